package discover

import (
	"testing"

	"kurir/upstream/explain"
)

// The file comes from a stranger, and what it says goes into a configuration:
// whatever is in it, only a host name, a port with encryption and a printable
// user name come out.
func FuzzParseAutoconfig(f *testing.F) {
	const file = `<clientConfig><emailProvider><outgoingServer type="smtp"><hostname>smtp.%EMAILDOMAIN%</hostname>` +
		`<port>2525</port><socketType>SSL</socketType><username>%EMAILLOCALPART%</username></outgoingServer></emailProvider></clientConfig>`
	f.Add([]byte(file), "me@example.com")
	f.Add([]byte(file), "a%EMAILADDRESS%@example.com")
	f.Add([]byte(`<clientConfig><emailProvider><outgoingServer type="smtp"/></emailProvider></clientConfig>`), "me@example.com")
	f.Add([]byte("<!DOCTYPE a [<!ENTITY b 'c'>]><clientConfig>&b;</clientConfig>"), "me@example.com")
	f.Fuzz(func(t *testing.T, file []byte, address string) {
		if _, err := domainOf(address); err != nil {
			return
		}
		s, err := parseAutoconfig(file, address)
		if err != nil {
			return
		}
		if host, ok := hostName(s.host); !ok || host != s.host {
			t.Errorf("host %q", s.host)
		}
		if s.way.Port < 1 || s.way.Port > 65535 || s.way.TLS != explain.STARTTLS && s.way.TLS != explain.Implicit {
			t.Errorf("way in %v", s.way)
		}
		if s.username != "" && !isUsername(s.username) {
			t.Errorf("user name %q", s.username)
		}
	})
}
