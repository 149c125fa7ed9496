package provider_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// TestRows exists because the table is written by hand: each row must be
// complete enough to use, and none may lead to plaintext (P3).
func TestRows(t *testing.T) {
	slug := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	names := map[string]string{}
	hosts := map[string]string{}
	for _, p := range provider.All() {
		if !slug.MatchString(p.Name) {
			t.Errorf("%q is no plain name", p.Name)
		}
		if p.Title == "" || p.Username == "" || p.Password == "" {
			t.Errorf("%s: title, username or password is missing", p.Name)
		}
		for _, n := range append([]string{p.Name}, p.Aliases...) {
			if other, taken := names[n]; taken {
				t.Errorf("name %q is both %s and %s", n, other, p.Name)
			}
			names[n] = p.Name
			if provider.ByName(strings.ToUpper(n)) != p {
				t.Errorf("ByName(%q) does not lead to %s", n, p.Name)
			}
		}
		for _, h := range p.Hosts {
			if other, taken := hosts[h]; taken || h != strings.ToLower(h) {
				t.Errorf("host %q of %s: also of %q, or not lower case", h, p.Name, other)
			}
			hosts[h] = p.Name
			if got := provider.ByHost(strings.Replace(h, "*", "label", 1)); got != p {
				t.Errorf("ByHost(%q) does not lead to %s", h, p.Name)
			}
		}
		if p.Size < 0 || p.Recipients < 0 || p.Connections < 0 || p.MessagesPerConnection < 0 || p.Idle < 0 {
			t.Errorf("%s: a limit below zero", p.Name)
		}
		checkCandidates(t, p)
	}
}

func checkCandidates(t *testing.T, p *provider.Provider) {
	t.Helper()
	if len(p.Candidates) == 0 {
		t.Errorf("%s: no way in", p.Name)
	}
	var ports []int
	for _, c := range p.Candidates {
		if c.TLS != explain.STARTTLS && c.TLS != explain.Implicit {
			t.Errorf("%s: port %d is not encrypted", p.Name, c.Port)
		}
		if slices.Contains(ports, c.Port) {
			t.Errorf("%s: port %d twice", p.Name, c.Port)
		}
		ports = append(ports, c.Port)
	}
	if slices.Contains(ports, 25) && len(ports) > 1 {
		t.Errorf("%s: port 25 although there are others", p.Name)
	}
	if i, j := slices.Index(ports, 587), slices.Index(ports, 465); i > 0 || i == 0 && j > 1 {
		t.Errorf("%s: ports %v, want 587, then 465, then the rest", p.Name, ports)
	}
}

// TestHosts holds the hosts that people really configure against the rows
// they must find.
func TestHosts(t *testing.T) {
	file, err := os.ReadFile("testdata/hosts.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		host, want, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || host == "#" {
			continue
		}
		if p := provider.ByHost(host); p == nil || p.Name != want {
			t.Errorf("ByHost(%q) = %v, want %s", host, p, want)
		}
	}
}

// TestByHost exists for the ways in which one name can be written, and for
// names that only resemble a provider's.
func TestByHost(t *testing.T) {
	tests := []struct{ host, want string }{
		{"SMTP.Gmail.COM", "gmail"},
		{"smtp.gmail.com.", "gmail"},
		{"email-smtp.us-east-1.amazonaws.com", "ses"},
		{"email-smtp.a.b.amazonaws.com", ""},
		{"email-smtp..amazonaws.com", ""},
		{"smtp.gmail.com.example.org", ""},
		{"gmail.com", ""},
		{"", ""},
		{".", ""},
	}
	for _, tt := range tests {
		got := ""
		if p := provider.ByHost(tt.host); p != nil {
			got = p.Name
		}
		if got != tt.want {
			t.Errorf("ByHost(%q) = %q, want %q", tt.host, got, tt.want)
		}
	}
	if p := provider.ByName("nobody"); p != nil {
		t.Errorf("ByName(nobody) = %s", p.Name)
	}
}

// TestOddities pins the facts that cost mail when they are wrong.
func TestOddities(t *testing.T) {
	m365 := provider.ByHost("smtp.office365.com")
	if slices.Contains(m365.Candidates, provider.Candidate{Port: 465, TLS: explain.Implicit}) {
		t.Error("Microsoft 365 has no port 465")
	}
	if slices.Contains(m365.Auth, "PLAIN") {
		t.Error("Microsoft 365 has no AUTH PLAIN")
	}
	if idle := provider.ByName("ses").Idle.Seconds(); idle <= 0 || idle >= 10 {
		t.Errorf("SES hangs up after 10 s; a connection may rest %v s", idle)
	}
}

// TestCandidateText exists because a typing error in the file must not
// become a candidate without encryption.
func TestCandidateText(t *testing.T) {
	for _, bad := range []string{"", "587", "587 plain", "starttls", "65536 starttls", "-1 implicit"} {
		var c provider.Candidate
		if err := c.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, c)
		}
	}
}
