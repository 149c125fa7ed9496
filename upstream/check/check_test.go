package check_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"kurir/upstream"
	"kurir/upstream/check"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// said keeps what the client said to all candidates.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) hear(l upstream.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.Sent {
		s.lines = append(s.lines, l.Text)
	}
}

// count is how many commands began with a verb.
func (s *said) count(verb string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if strings.HasPrefix(l, verb) {
			n++
		}
	}
	return n
}

// password is none that could stand in a report by chance.
const password = "correct-horse-battery"

func options(s *sandbox.Server, heard *said) upstream.Options {
	return upstream.Options{
		Host: "localhost", Candidates: s.Candidates(), RootCAs: s.Pool(),
		Username: "sandbox", Password: "sandbox", Transcript: heard.hear,
	}
}

// run checks the one smart host of u.
func run(t *testing.T, u upstream.Options, to envelope.Path) *check.Report {
	t.Helper()
	return runAll(t, check.Options{Upstreams: []upstream.Options{u}, Send: to})[0]
}

func runAll(t *testing.T, o check.Options) []*check.Report {
	t.Helper()
	reports, err := check.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return reports
}

// What a check says is what a delivery would meet: which candidates work,
// which one is taken, one login whatever happens, and one failure that speaks
// for all. Logging in twice with a wrong password brings a lockout nearer.
func TestRun(t *testing.T) {
	both := func(b sandbox.Behaviour) map[explain.TLSMode]sandbox.Behaviour {
		return map[explain.TLSMode]sandbox.Behaviour{explain.STARTTLS: b, explain.Implicit: b}
	}
	type results = []check.Result
	cases := []struct {
		name    string
		behave  map[explain.TLSMode]sandbox.Behaviour
		change  func(*upstream.Options)
		results results
		way     explain.TLSMode
		cause   explain.Cause
		stage   explain.Stage // at which the first candidate ended
		logins  int
		clock   bool
	}{
		{name: "good", results: results{check.SignedIn, check.Ready}, way: explain.STARTTLS, stage: explain.StageAuth, logins: 1},
		{
			name:    "587 closed",
			behave:  map[explain.TLSMode]sandbox.Behaviour{explain.STARTTLS: {Closed: true}},
			results: results{check.Failed, check.SignedIn}, way: explain.Implicit, stage: explain.StageConnect, logins: 1,
		},
		{
			name: "wrong certificate everywhere", behave: both(sandbox.Behaviour{Certificate: sandbox.WrongName}),
			results: results{check.Failed, check.Failed}, cause: explain.TLSCertificateName, stage: explain.StageTLS,
		},
		{
			name: "certificates out of their dates", behave: both(sandbox.Behaviour{Certificate: sandbox.Expired}),
			results: results{check.Failed, check.Failed}, cause: explain.TLSCertificateExpired, stage: explain.StageTLS, clock: true,
		},
		{
			name: "wrong password", change: func(o *upstream.Options) { o.Password = password },
			results: results{check.Failed, check.Ready}, cause: explain.AuthRejected, stage: explain.StageAuth, logins: 1,
		},
		{
			name: "no AUTH", behave: both(sandbox.Behaviour{Without: []string{"AUTH"}}),
			results: results{check.Failed, check.Failed}, cause: explain.AuthMechanism, stage: explain.StageAuth,
		},
		{
			name: "no login wanted", change: func(o *upstream.Options) { o.Username, o.Password = "", "" },
			results: results{check.Ready, check.Ready}, way: explain.STARTTLS, stage: explain.StageEHLO,
		},
		{
			name: "hangs up on AUTH without a word",
			behave: map[explain.TLSMode]sandbox.Behaviour{explain.STARTTLS: {
				Script: map[explain.Stage]sandbox.Act{explain.StageAuth: {End: sandbox.HangUpNow}},
			}},
			results: results{check.Failed, check.SignedIn}, way: explain.Implicit, stage: explain.StageAuth, logins: 2,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := upstreamtest.Sandbox(t, sandbox.Options{})
			for mode, b := range c.behave {
				if err := s.SetPort(mode, b); err != nil {
					t.Fatal(err)
				}
			}
			heard := &said{}
			o := options(s, heard)
			if c.change != nil {
				c.change(&o)
			}
			r := run(t, o, "")
			var got results
			for _, candidate := range r.Candidates {
				got = append(got, candidate.Result)
			}
			if !slices.Equal(got, c.results) {
				t.Errorf("candidates %v, want %v", got, c.results)
			}
			if r.OK != (c.way != "") || r.OK != (r.Way != nil) || r.Way != nil && r.Way.TLS != c.way {
				t.Errorf("ok %v over %v, want %q", r.OK, r.Way, c.way)
			}
			if (r.Trouble == nil) != (c.cause == "") || r.Trouble != nil && r.Trouble.Cause != c.cause {
				t.Errorf("trouble %+v, want %q", r.Trouble, c.cause)
			}
			first := r.Candidates[0]
			if last := first.Steps[len(first.Steps)-1]; last.Stage != c.stage || last.Failed != (first.Result == check.Failed) {
				t.Errorf("the first candidate ended with %+v, want %s", last, c.stage)
			}
			if n := heard.count("AUTH"); n != c.logins {
				t.Errorf("%d logins, want %d", n, c.logins)
			}
			if r.ClockSuspect != c.clock {
				t.Errorf("clock suspect: %v", r.ClockSuspect)
			}
			if n := heard.count("MAIL"); n != 0 {
				t.Errorf("a check without a test mail began %d transactions", n)
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), password) {
				t.Errorf("the password is in the report: %s", text)
			}
		})
	}
}

// The facts are those that people compare with their provider's manual, and
// every session is left as RFC 5321, section 4.1.1.10, asks for.
func TestFacts(t *testing.T) {
	s, heard := upstreamtest.Sandbox(t, sandbox.Options{}), &said{}
	r := run(t, options(s, heard), "")
	var stages []explain.Stage
	for _, step := range r.Candidates[0].Steps {
		stages = append(stages, step.Stage)
	}
	want := []explain.Stage{
		explain.StageDNS, explain.StageConnect, explain.StageGreeting, explain.StageEHLO,
		explain.StageSTARTTLS, explain.StageTLS, explain.StageEHLO, explain.StageAuth,
	}
	// An address needs no DNS, but is looked up all the same.
	if !slices.Equal(stages, want) {
		t.Errorf("steps %v, want %v", stages, want)
	}
	for _, c := range r.Candidates {
		if c.TLSVersion != "TLS 1.3" || c.Size != 50_000_000 || !slices.Equal(c.Auth, []string{"PLAIN", "LOGIN"}) {
			t.Errorf("%s: %+v", c, c)
		}
		if x := c.Certificate; x == nil || x.EndsSoon || !slices.Contains(x.Names, "localhost") || !strings.Contains(x.Issuer, "sandbox authority") {
			t.Errorf("%s: certificate %+v", c, x)
		}
	}
	if !r.Names.LoopbackOnly || len(r.Names.Addresses) != 1 {
		t.Errorf("names %+v", r.Names)
	}
	if n := heard.count("QUIT"); n != 2 {
		t.Errorf("%d sessions left with QUIT, want 2", n)
	}
}

// Some providers refuse a sender only after DATA, so only a mail that was
// taken proves that mail is taken; and after a refused login none is tried.
func TestSend(t *testing.T) {
	s, heard := upstreamtest.Sandbox(t, sandbox.Options{}), &said{}
	o := options(s, heard)
	r := run(t, o, "admin@example.org")
	if !r.OK || r.Sent == nil || !strings.HasPrefix(r.Sent.Reply, "250 ") {
		t.Fatalf("ok %v, sent %+v, trouble %+v", r.OK, r.Sent, r.Trouble)
	}
	if got := s.Messages(); len(got) != 1 || got[0].Envelope.From != "admin@example.org" {
		t.Errorf("arrived: %+v", got)
	}

	// The sandbox plays what an address names.
	for to, cause := range map[envelope.Path]explain.Cause{
		"message.spam@example.org": explain.MessageSpam,
		"greylisted@example.org":   explain.Greylisted,
	} {
		if r = run(t, o, to); r.OK || r.Way == nil || r.Sent != nil || r.Trouble == nil || r.Trouble.Cause != cause {
			t.Errorf("%s: ok %v, way %v, sent %+v, trouble %+v", to, r.OK, r.Way, r.Sent, r.Trouble)
		}
	}

	*heard = said{}
	o.Password = password
	if r = run(t, o, "admin@example.org"); r.OK || heard.count("AUTH") != 1 || r.Sent != nil {
		t.Errorf("wrong password: ok %v after %d logins, sent %+v", r.OK, heard.count("AUTH"), r.Sent)
	}
}

// A relay sends again what may have arrived, a check does not, and must not
// say that it does.
func TestSendUncertain(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	lost := sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageDot: {End: sandbox.HangUp}}}
	if err := s.Set(lost); err != nil {
		t.Fatal(err)
	}
	for l, want := range map[explain.Language]string{explain.English: "Look into the mailbox", explain.Indonesian: "Lihat kotak surat"} {
		r := runAll(t, check.Options{Upstreams: []upstream.Options{options(s, &said{})}, Send: "admin@example.org", Language: l})[0]
		if r.OK || r.Way == nil || r.Trouble == nil || r.Trouble.Cause != explain.DeliveryUncertain || !strings.HasPrefix(r.Trouble.Fix, want) {
			t.Errorf("ok %v, way %v, trouble %+v", r.OK, r.Way, r.Trouble)
		}
	}
	if n := len(s.Messages()); n != 2 {
		t.Errorf("%d messages arrived of 2 checks", n)
	}
}

// Several smart hosts are often one account with several senders. An account
// that was refused is not asked again, by whichever way in, as each refusal
// brings a lockout nearer; the others are checked all the same.
func TestSeveral(t *testing.T) {
	s, heard := upstreamtest.Sandbox(t, sandbox.Options{}), &said{}
	good := options(s, heard)
	bad := good
	bad.Password = password
	elsewhere := bad // the same account over the other port
	elsewhere.Host, elsewhere.Candidates = "LOCALHOST.", bad.Candidates[1:]
	reports := runAll(t, check.Options{Upstreams: []upstream.Options{bad, good, elsewhere}})
	for i, want := range []bool{false, true, false} {
		r := reports[i]
		if r.OK != want || (r.Way != nil) != want || (r.Trouble == nil) != want || r.Trouble != nil && r.Trouble.Cause != explain.AuthRejected {
			t.Errorf("%d: ok %v, way %v, trouble %+v", i, r.OK, r.Way, r.Trouble)
		}
	}
	if got := reports[2].Candidates; len(got) != 1 || got[0].Result != check.Ready {
		t.Errorf("the second candidates of the refused account: %+v", got)
	}
	if n := heard.count("AUTH"); n != 2 {
		t.Errorf("%d logins, want one of each password", n)
	}
}

// A server may offer whatever it likes; a report of it stays readable.
func TestHostile(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	long := strings.Repeat("A", 300)
	offer := "250-localhost\n250-STARTTLS"
	for i := range 150 {
		offer += fmt.Sprintf("\n250-X%d%s", i, long)
	}
	offer += "\n250-AUTH PLAIN" + strings.Repeat(" "+long, 30) + "\n250 SIZE"
	for name, reply := range map[string]string{
		"many offers":    offer,
		"endless offers": strings.Repeat("250-"+long+"\n", 1000) + "250 SIZE",
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Set(sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageEHLO: {Reply: reply}}}); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(run(t, options(s, &said{}), ""))
			if err != nil || len(text) > 64<<10 {
				t.Errorf("a report of %d octets: %v", len(text), err)
			}
		})
	}
}

// Faulty options are the caller's, and told as such, before anybody is asked.
func TestFaultyOptions(t *testing.T) {
	s, heard := upstreamtest.Sandbox(t, sandbox.Options{}), &said{}
	if _, err := check.Run(t.Context(), check.Options{Upstreams: []upstream.Options{options(s, heard), {}}}); err == nil {
		t.Error("a smart host without a host was checked")
	}
	if n := heard.count(""); n != 0 {
		t.Errorf("%d lines were said", n)
	}
}
