package provider_test

import (
	"strings"
	"testing"

	"kurir/upstream/provider"
)

// TestPatterns exists because the patterns are written by hand: each must
// lead to a host of its own provider, and to no other provider.
func TestPatterns(t *testing.T) {
	domains, mx := map[string]string{}, map[string]string{}
	for _, p := range provider.All() {
		checkPatterns(t, p, p.Domains, domains, provider.ByDomain)
		checkPatterns(t, p, p.MX, mx, provider.ByMX)
	}
}

func checkPatterns(t *testing.T, p *provider.Provider, patterns []provider.Pattern, seen map[string]string,
	by func(string) (*provider.Provider, string)) {
	t.Helper()
	for _, q := range patterns {
		if other, taken := seen[q.Name]; taken || q.Name != strings.ToLower(q.Name) {
			t.Errorf("%q of %s: also of %q, or not lower case", q.Name, p.Name, other)
		}
		seen[q.Name] = p.Name
		got, host := by(strings.ReplaceAll(q.Name, "*", "label"))
		if got != p || provider.ByHost(host) != p || strings.Contains(host, "*") {
			t.Errorf("%q of %s leads to %v and host %q", q.Name, p.Name, got, host)
		}
		if q.Host != "" && host != q.Host {
			t.Errorf("%q leads to %q, not %q", q.Name, host, q.Host)
		}
	}
}

// TestByDomain exists for the addresses that people really have, and for
// domains that only look like a provider's.
func TestByDomain(t *testing.T) {
	tests := []struct{ domain, want, host string }{
		{"gmail.com", "gmail", "smtp.gmail.com"},
		{"GoogleMail.com.", "gmail", "smtp.gmail.com"},
		{"hotmail.co.uk", "outlook", "smtp-mail.outlook.com"},
		{"live.nl", "outlook", "smtp-mail.outlook.com"},
		{"contoso.onmicrosoft.com", "office365", "smtp.office365.com"},
		{"yahoo.fr", "yahoo", "smtp.mail.yahoo.com"},
		{"yahoo.co.id", "yahoo", "smtp.mail.yahoo.com"},
		{"yahoo.co.jp", "", ""}, // another company
		{"aol.com", "yahoo", "smtp.aol.com"},
		{"me.com", "icloud", "smtp.mail.me.com"},
		{"zohomail.eu", "zoho", "smtp.zoho.eu"},
		{"gmx.de", "gmx", "mail.gmx.net"},
		{"gmx.com", "gmx", "mail.gmx.com"},
		{"proton.me", "proton", "smtp.protonmail.ch"},
		{"ya.ru", "yandex", "smtp.yandex.ru"},
		{"bk.ru", "mailru", "smtp.mail.ru"},
		{"mail.gmail.com", "", ""},
		{"gmail.com.example.org", "", ""},
		{"", "", ""},
	}
	for _, tt := range tests {
		p, host := provider.ByDomain(tt.domain)
		if name(p) != tt.want || host != tt.host {
			t.Errorf("ByDomain(%q) = %q, %q; want %q, %q", tt.domain, name(p), host, tt.want, tt.host)
		}
	}
}

// TestByMX holds the MX hosts of real domains against the rows they must find.
func TestByMX(t *testing.T) {
	tests := []struct{ mx, want, host string }{
		{"ASPMX.L.GOOGLE.COM.", "gmail", "smtp.gmail.com"},
		{"alt2.aspmx.l.google.com", "gmail", "smtp.gmail.com"},
		{"aspmx3.googlemail.com", "gmail", "smtp.gmail.com"},
		{"smtp.google.com", "gmail", "smtp.gmail.com"},
		{"contoso-com.mail.protection.outlook.com", "office365", "smtp.office365.com"},
		{"contoso-com.o-v1.mx.microsoft", "office365", "smtp.office365.com"},
		{"outlook-com.olc.protection.outlook.com", "outlook", "smtp-mail.outlook.com"},
		{"mx2.zoho.com", "zoho", "smtp.zoho.com"},
		{"mx.zoho.eu", "zoho", "smtp.zoho.eu"},
		{"in1-smtp.messagingengine.com", "fastmail", "smtp.fastmail.com"},
		{"mta5.am0.yahoodns.net", "yahoo", "smtp.mail.yahoo.com"},
		{"mx01.mail.icloud.com", "icloud", "smtp.mail.me.com"},
		{"mx00.ionos.de", "ionos", "smtp.ionos.de"},
		{"mx.yandex.net", "yandex", "smtp.yandex.ru"},
		{"mxa.eu.mailgun.org", "mailgun", "smtp.eu.mailgun.org"},
		{"mx1.hostinger.com", "hostinger", "smtp.hostinger.com"},
		{"mail.protection.outlook.com", "", ""},
		{"aspmx.l.google.com.example.org", "", ""},
		{".", "", ""},
	}
	for _, tt := range tests {
		p, host := provider.ByMX(tt.mx)
		if name(p) != tt.want || host != tt.host {
			t.Errorf("ByMX(%q) = %q, %q; want %q, %q", tt.mx, name(p), host, tt.want, tt.host)
		}
	}
}

func name(p *provider.Provider) string {
	if p == nil {
		return ""
	}
	return p.Name
}
