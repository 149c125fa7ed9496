package explain

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever reads Indonesian is told the same, of the same: the languages have
// the same rows with the same things filled in. Replies to apps are ASCII.
func TestLanguagesAgree(t *testing.T) {
	holes := regexp.MustCompile(`\{[a-z]+\}`)
	filled := func(e Explanation) []string {
		list := holes.FindAllString(e.Title+e.Meaning+e.Fix, -1)
		slices.Sort(list)
		return slices.Compact(list)
	}
	en, id := english(), indonesian()
	causes := Causes()
	for name, e := range en {
		cause, _, _ := strings.Cut(name, "/")
		if !slices.Contains(causes, Cause(cause)) {
			t.Errorf("%s is about no cause", name)
		}
		other, ok := id[name]
		if !ok {
			t.Errorf("%s is missing in Indonesian", name)
			continue
		}
		if a, b := filled(e), filled(other); !slices.Equal(a, b) {
			t.Errorf("%s: English fills in %q, Indonesian %q", name, a, b)
		}
		for _, pair := range [][2]string{{e.Title, other.Title}, {e.Meaning, other.Meaning}, {e.Fix, other.Fix}} {
			for _, text := range pair {
				if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("%s: empty or not ASCII: %q", name, text)
				}
			}
			if pair[0] == pair[1] {
				t.Errorf("%s: not translated: %q", name, pair[0])
			}
		}
	}
	for name := range id {
		if _, ok := en[name]; !ok {
			t.Errorf("%s is missing in English", name)
		}
	}
}

// The whole context counts: what is known chooses the words.
func TestVariants(t *testing.T) {
	loopback := &net.DNSError{Server: "[::1]:53", Err: "connection refused"}
	docker := &net.DNSError{Server: "127.0.0.11:53", Err: "server misbehaving"}
	dial := &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv6loopback, Port: 25}, Err: errors.New("refused")}
	clock := func(side string) error {
		return fmt.Errorf("x: %w", x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 2026-03-14T19:05:07Z is " + side + " 2026-03-08T21:19:04Z"})
	}
	silent := &Failure{Cause: ConnectTimeout}
	cases := []struct {
		f    Failure
		want string // within the words
	}{
		{Failure{Cause: DNSNotFound, Facts: []Fact{{FactNearestHost, "smtp.gmail.com"}}}, "Did you mean smtp.gmail.com?"},
		{Failure{Cause: DNSFailure, Err: loopback}, "no DNS server is configured"},
		{Failure{Cause: DNSFailure, Err: docker}, "did not answer, or answered with an error"},
		{Failure{Cause: ConnectRefused, Err: dial}, "In a container, localhost is the container"},
		{*FromText("dial tcp [::1]:25: connect: connection refused", "", ""), "In a container, localhost is the container"},
		{Failure{Cause: ConnectTimeout, Candidates: []*Failure{silent, silent}}, "DigitalOcean"},
		{Failure{Cause: ConnectTimeout, Candidates: []*Failure{silent, silent}, Facts: []Fact{{FactOtherPorts, "465 2525"}}}, "also listens on 465, 2525"},
		{Failure{Cause: ConnectTimeout, Facts: []Fact{{FactOtherPorts, "2525"}}}, "also listens on 2525"},
		{Failure{Cause: TLSCertificateExpired, Err: clock("before")}, "not valid yet"},
		{Failure{Cause: TLSCertificateExpired, Err: clock("after")}, "The clock says 2026-03-14"},
		{Failure{Cause: AuthRejected, Provider: "sendgrid"}, "the word apikey"},
		{Failure{Cause: AuthRejected, Provider: "ses"}, "region"},
		{Failure{Cause: AuthRejected, Provider: "office365"}, "December 2026"},
		{Failure{Cause: AuthRejected, Provider: "gmail", Facts: []Fact{{FactPasswordKind, "an app password (needs 2-Step Verification)"}}}, "Make an app password"},
		{Failure{Cause: AuthRejected, Provider: "x", Facts: []Fact{{FactUserKind, "the server id"}, {FactPasswordKind, "the SMTP password"}}}, "user name: the server id."},
		{Failure{Cause: AuthRejected}, "Many providers want an app password"},
	}
	for _, c := range cases {
		e := c.f.Explanation()
		if words := e.Title + " " + e.Meaning + " " + e.Fix; !strings.Contains(words, c.want) || strings.ContainsAny(words, "{}") {
			t.Errorf("%s: %q, want %q in it", c.f.Cause, words, c.want)
		}
	}
}

// What a person reads has one form everywhere.
func TestDetails(t *testing.T) {
	f := FromText("535-5.7.8 no\n535 5.7.8 not\x1b[1m accepted", StageAuth, "")
	f.Candidate = Candidate{Host: "smtp.example.com", Port: 587, TLS: STARTTLS, Addr: "192.0.2.7"}
	want := `smtp.example.com does not accept the user name or password.
  where:  smtp.example.com:587 STARTTLS (192.0.2.7), at auth
  reply:  535 5.7.8 no not [1m accepted
  why:    The login was refused. All mail is kept until it works.
  do:     Check upstream.username and the password. Many providers want an app password or an API key instead of the password of the website.
`
	if got := f.Details(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if id := f.DetailsIn(Indonesian); !strings.Contains(id, "\n  balasan:  535 5.7.8 no") {
		t.Errorf("in Indonesian:\n%s", id)
	}
}

// Where the stage is not told, the text often tells it.
func TestStageIsInferred(t *testing.T) {
	for text, want := range map[string]Stage{
		"535 5.7.8 no":                              StageAuth,
		"dial tcp: lookup x: no such host":          StageDNS,
		"550 5.1.1 no such user":                    StageRcpt,
		"dial tcp 192.0.2.1:587: i/o timeout":       StageConnect,
		"450 4.7.1 x (in reply to RCPT TO command)": StageRcpt,
		"421 busy": "",
	} {
		if f := FromText(text, "", ""); f.Stage != want {
			t.Errorf("%q: stage %q, want %q", text, f.Stage, want)
		}
	}
}
