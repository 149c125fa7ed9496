package upstream_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kurir/upstream"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
	"kurir/upstream/provider"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// scripted are the providers that have a directory of dialogues: what they
// offer, and in what words they refuse. The host is given where the provider
// has none of its own.
var scripted = map[string]string{
	"gmail": "", "office365": "", "zoho": "", "mailgun": "", "sendgrid": "", "smtp2go": "",
	"ses": "email-smtp.eu-central-1.amazonaws.com", "cpanel": "mail.example.com",
}

// A mail passes at each of the providers that most people use, and what
// typically goes wrong there is explained.
func TestProviders(t *testing.T) {
	for name := range scripted {
		t.Run(name, func(t *testing.T) {
			files := glob(t, filepath.Join("testdata/providers", name, "*.txtar"))
			pass := filepath.Join("testdata/providers", name, "pass.txtar")
			if !slices.Contains(files, pass) || len(files) < 4 {
				t.Errorf("want pass.txtar and three refusals at least, have %q", files)
			}
			for _, file := range files {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
					playFile(t, file, upstream.Options{Provider: name})
				})
			}
		})
	}
}

// A way in that a provider does not have costs time whenever the others fail:
// port 465 does not exist at Microsoft 365, and is not tried there.
func TestProviderWays(t *testing.T) {
	for name, host := range scripted {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, upstream.WithResolver(
				upstream.Options{Provider: name, Host: host}, upstreamtest.Resolver()))
			_, err := h.Deliver(t.Context(), message(hello, "you@example.org"))
			f := failure(t, err)
			if f.Cause != explain.DNSNotFound {
				t.Fatalf("the resolver knows no name, and yet: %v", f)
			}
			tried := f.Candidates
			if len(tried) == 0 { // the one there is speaks for itself
				tried = []*explain.Failure{f}
			}
			var got []provider.Candidate
			for _, c := range tried {
				got = append(got, provider.Candidate{Port: c.Candidate.Port, TLS: c.Candidate.TLS})
			}
			want := provider.ByName(name).Candidates
			if name == "office365" {
				want = []provider.Candidate{{Port: 587, TLS: explain.STARTTLS}}
			}
			if !slices.Equal(got, want) {
				t.Errorf("tried %v, want %v", got, want)
			}
		})
	}
}

// A provider's limits are kept before it has to point them out: connections,
// and recipients of one transaction.
func TestProviderLimits(t *testing.T) {
	for name := range scripted {
		t.Run(name, func(t *testing.T) {
			s := upstreamtest.Sandbox(t, sandbox.Options{})
			o := options(s)
			o.Provider = name
			var got []int // RCPT commands of each transaction
			o.Transcript = func(l upstream.Line) {
				switch {
				case strings.HasPrefix(l.Text, "MAIL "):
					got = append(got, 0)
				case strings.HasPrefix(l.Text, "RCPT "):
					got[len(got)-1]++
				}
			}
			h := newHost(t, o)
			p := provider.ByName(name)
			if p.Connections > 0 && h.Connections() > p.Connections {
				t.Errorf("%d connections, it allows %d", h.Connections(), p.Connections)
			}
			if h.MaxMessageSize() != p.Size {
				t.Errorf("messages of %d octets, it takes %d", h.MaxMessageSize(), p.Size)
			}
			limit := p.Recipients
			if limit == 0 {
				limit = 100 // RFC 5321, section 4.5.3.1.8
			}
			limit = min(limit, 500) // what one flight may hold, whoever takes more
			var to []envelope.Path
			for i := range limit + 1 {
				to = append(to, envelope.Path(fmt.Sprintf("you%d@example.org", i)))
			}
			if _, err := h.Deliver(t.Context(), message(hello, to...)); err != nil {
				t.Fatal(err)
			}
			if want := []int{limit, 1}; !slices.Equal(got, want) {
				t.Errorf("transactions of %v recipients, want %v", got, want)
			}
		})
	}
}

// notPlayed are the causes that no server can bring about, and where they are
// proven instead.
var notPlayed = map[explain.Cause]string{
	explain.SpoolFull: "it is about our own disk: relay/queue and relay/listener refuse with it in their tests",
}

// Every cause is heard from a server through the real client, so that no
// explanation exists in the catalogue alone.
func TestEveryCauseIsPlayed(t *testing.T) {
	files := append(glob(t, "testdata/dialogues/*.txtar"), glob(t, "testdata/providers/*/*.txtar")...)
	played := map[explain.Cause]bool{}
	for _, file := range files {
		for line := range strings.Lines(upstreamtest.Load(t, file).Explanation) {
			cause, _, _ := strings.Cut(line, " at ") // the candidates' own lines are indented
			played[explain.Cause(cause)] = true
		}
	}
	for _, c := range explain.Causes() {
		if reason := notPlayed[c]; played[c] == (reason != "") {
			t.Errorf("%s: played: %t, the reason not to: %q", c, played[c], reason)
		}
	}
}

// notMagic are the causes that no address of the sandbox brings about: they
// come before the recipient is known, so its behaviours do; or, as the last
// two, they are no refusals.
var notMagic = []explain.Cause{
	explain.DNSNotFound, explain.DNSFailure, explain.ConnectRefused, explain.ConnectTimeout,
	explain.ConnectUnreachable, explain.ProtocolWrongPort, explain.GreetingRejected,
	explain.TLSNotOffered, explain.TLSVersion, explain.TLSCertificateExpired, explain.TLSCertificateName,
	explain.TLSCertificateUntrusted, explain.TLSRequired, explain.AuthRejected, explain.AuthAppPassword,
	explain.AuthDisabled, explain.AuthMechanism, explain.AuthToken, explain.AuthTemporary, explain.SpoolFull,
	explain.Unknown,
}

// Who writes to an address named after a cause sees that cause, whatever the
// words are that the sandbox picks for it.
func TestMagicAddresses(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	// With everything in one flight, who hangs up in the middle has the whole
	// message, and nobody knows what became of it.
	setAll(t, s, sandbox.Behaviour{Without: []string{"CHUNKING"}})
	h := newHost(t, options(s))
	for _, want := range explain.Causes() {
		_, err := h.Deliver(t.Context(), message(hello, envelope.Path(string(want)+"@sandbox.test")))
		if slices.Contains(notMagic, want) {
			if err != nil {
				t.Errorf("%s is an address like any other, and yet: %v", want, err)
			}
			continue
		}
		var f *explain.Failure
		if !errors.As(err, &f) || f.Cause != want {
			t.Errorf("to %s: got %v", want, err)
		}
	}
}
