package check_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"kurir/upstream"
	"kurir/upstream/check"
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

func run(t *testing.T, o check.Options) *check.Report {
	t.Helper()
	r, err := check.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
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
			r := run(t, check.Options{Upstream: o})
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
	r := run(t, check.Options{Upstream: options(s, heard)})
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
	o := check.Options{Upstream: options(s, heard), Send: "admin@example.org"}
	r := run(t, o)
	if !r.OK || r.Sent == nil || !strings.HasPrefix(r.Sent.Reply, "250 ") {
		t.Fatalf("ok %v, sent %+v, trouble %+v", r.OK, r.Sent, r.Trouble)
	}
	if got := s.Messages(); len(got) != 1 || got[0].Envelope.From != "admin@example.org" {
		t.Errorf("arrived: %+v", got)
	}

	o.Send = "message.spam@example.org" // the sandbox plays it
	if r = run(t, o); r.OK || r.Way == nil || r.Sent != nil || r.Trouble == nil || r.Trouble.Cause != explain.MessageSpam {
		t.Errorf("refused: ok %v, sent %+v, trouble %+v", r.OK, r.Sent, r.Trouble)
	}

	*heard = said{}
	o.Upstream.Password, o.Language = password, explain.Indonesian
	if r = run(t, o); r.OK || heard.count("AUTH") != 1 || r.Sent != nil {
		t.Errorf("wrong password: ok %v after %d logins, sent %+v", r.OK, heard.count("AUTH"), r.Sent)
	}
	if !strings.Contains(r.Trouble.Details, "balasan:") {
		t.Errorf("not in Indonesian: %s", r.Trouble.Details)
	}
}

// Faulty options are the caller's, and told as such.
func TestFaultyOptions(t *testing.T) {
	if _, err := check.Run(t.Context(), check.Options{}); err == nil {
		t.Error("a smart host without a host was checked")
	}
}
