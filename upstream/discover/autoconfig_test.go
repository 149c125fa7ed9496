package discover_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"kurir/upstream/discover"
)

const (
	wellKnown = "example.com/.well-known/autoconfig/mail/config-v1.1.xml"
	elsewhere = "example.com/elsewhere.xml"
)

// config is an autoconfig file with these servers.
func config(servers ...string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><clientConfig version="1.1"><emailProvider id="example.com">
		<incomingServer type="imap"><hostname>imap.example.com</hostname><port>993</port></incomingServer>` +
		strings.Join(servers, "") + `</emailProvider></clientConfig>`
}

func outgoing(host, port, socket, username string) string {
	return fmt.Sprintf(`<outgoingServer type="smtp"><hostname>%s</hostname><port>%s</port>
		<socketType>%s</socketType><username>%s</username></outgoingServer>`, host, port, socket, username)
}

// web plays HTTPS for example.com: its files by host and path. What is not
// there is 404; a file that begins with "to " is a redirect.
func web(t *testing.T, files map[string]string) http.RoundTripper {
	var plain atomic.Bool
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain.Store(plain.Load() || r.TLS == nil)
		file, ok := files[r.Host+r.URL.Path]
		target, moved := strings.CutPrefix(file, "to ")
		switch {
		case !ok:
			http.NotFound(w, r)
		case moved:
			http.Redirect(w, r, target, http.StatusFound)
		default:
			_, _ = w.Write([]byte(file))
		}
		if r.URL.RawQuery != "" {
			t.Errorf("was told more than it needs: %s", r.URL)
		}
	})
	secure, open := httptest.NewUnstartedServer(handler), httptest.NewServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of clients that refuse its certificate
	secure.StartTLS()
	transport := secure.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		to := secure.Listener.Addr()
		if strings.HasSuffix(address, ":80") {
			to = open.Listener.Addr()
		}
		return new(net.Dialer).DialContext(ctx, "tcp", to.String())
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		secure.Close()
		open.Close()
		if plain.Load() {
			t.Error("was asked over plain HTTP")
		}
	})
	return transport
}

// The files of hosting companies, good ones and bad ones. None leads to
// plaintext (P3), and none brings anything into a configuration that is no
// host, port or user name.
func TestAutoconfig(t *testing.T) {
	good := config(outgoing("smtp.example.com", "587", "STARTTLS", "%EMAILADDRESS%"))
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"first place", map[string]string{"autoconfig.example.com/mail/config-v1.1.xml": good}, "autoconfig smtp.example.com me@example.com"},
		{"second place", map[string]string{wellKnown: good}, "autoconfig smtp.example.com me@example.com"},
		{"known provider", map[string]string{wellKnown: config(outgoing("smtp.fastmail.com", "465", "SSL", "%EMAILADDRESS%"))},
			"autoconfig smtp.fastmail.com (fastmail) me@example.com"},
		{"known user name", map[string]string{wellKnown: config(outgoing("smtp.sendgrid.net", "587", "STARTTLS", "%EMAILADDRESS%"))},
			"autoconfig smtp.sendgrid.net (sendgrid) apikey"},
		{"unusual", map[string]string{wellKnown: config(outgoing("smtp.%EMAILDOMAIN%", " 2525 ", "starttls", "%EMAILLOCALPART%"))},
			"autoconfig smtp.example.com starttls me"},
		{"plain first", map[string]string{wellKnown: config(outgoing("a.example.com", "25", "plain", ""), outgoing("b.example.com", "465", "SSL", ""))},
			"autoconfig b.example.com me@example.com"},
		{"plain only", map[string]string{wellKnown: config(outgoing("a.example.com", "587", "plain", ""))}, ""},
		{"bad servers", map[string]string{wellKnown: config(
			outgoing("a&quot;&#10;b.example.com", "587", "STARTTLS", ""), outgoing("192.0.2.1", "587", "STARTTLS", ""),
			outgoing("c.example.com", "0", "STARTTLS", ""), outgoing("d.example.com", "70000", "STARTTLS", ""),
			outgoing("e.example.com", "587&#10;", "STARTTLS", "a&#10;b"))}, "autoconfig e.example.com me@example.com"},
		{"exchange", map[string]string{wellKnown: strings.ReplaceAll(good, `"smtp"`, `"exchange"`)}, ""},
		{"no XML", map[string]string{wellKnown: "<html><p>Welcome<br></html>"}, ""},
		{"too large", map[string]string{wellKnown: good + strings.Repeat(" ", 64<<10)}, ""},
		{"deep", map[string]string{wellKnown: strings.Repeat("<clientConfig>", 4000)}, ""},
		{"redirect", map[string]string{wellKnown: "to https://www." + elsewhere, "www." + elsewhere: good}, "autoconfig smtp.example.com me@example.com"},
		{"redirect to plaintext", map[string]string{wellKnown: "to http://" + elsewhere, elsewhere: good}, ""},
		{"redirect in a circle", map[string]string{wellKnown: "to https://" + wellKnown}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = "guess mail.example.com me@example.com"
			}
			o := discover.Options{Resolver: &zone{}, Transport: web(t, tt.files)}
			f, err := discover.FromAddress(t.Context(), "me@example.com", o)
			if err != nil || line(f) != tt.want {
				t.Errorf("got %s\nwant %s (%v)", line(f), tt.want, err)
			}
		})
	}
}

// A file behind a certificate that is not valid for the domain is somebody
// else's.
func TestAutoconfigCertificate(t *testing.T) {
	transport := web(t, map[string]string{
		"example.org/.well-known/autoconfig/mail/config-v1.1.xml": config(outgoing("smtp.example.org", "587", "STARTTLS", "")),
	})
	f, err := discover.FromAddress(t.Context(), "me@example.org", discover.Options{Resolver: &zone{}, Transport: transport})
	if err != nil || f.How != discover.ByGuess {
		t.Errorf("%s, %v", line(f), err)
	}
}
