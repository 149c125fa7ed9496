package provider_test

import (
	"testing"

	"kurir/upstream/provider"
)

// A mistyped host is the commonest reason why a name does not exist.
func TestNearest(t *testing.T) {
	for host, want := range map[string]string{
		"smtp.gmial.com":      "smtp.gmail.com",
		"SMTP.Gmai.com.":      "smtp.gmail.com",
		"smpt.sendgrid.net":   "smtp.sendgrid.net",
		"smtp.ofice365.com":   "smtp.office365.com",
		"smtp.gmail.com":      "",
		"smtp.example.com":    "",
		"mail.my-company.org": "",
		"":                    "",
	} {
		if got := provider.Nearest(host); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", host, got, want)
		}
	}
}
