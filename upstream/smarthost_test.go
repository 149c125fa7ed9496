package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kurir/upstream"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hurry is for what hangs on purpose: how long a silent candidate is waited for
// before the next is tried, and a caller waits before it leaves. Whatever is to
// answer is given a minute, as no test may fail on a busy machine.
const hurry = 50 * time.Millisecond

// options are those of a relay that is set up right for the sandbox.
func options(s *sandbox.Server) upstream.Options {
	return upstream.Options{
		Host: "localhost", Candidates: s.Candidates(), RootCAs: s.Pool(),
		Username: "sandbox", Password: "sandbox", FallbackAfter: time.Minute,
	}
}

// newHost runs a smart host for the length of a test.
func newHost(t testing.TB, o upstream.Options) *upstream.SmartHost {
	t.Helper()
	h, err := upstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { h.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return h
}

func message(content string, to ...envelope.Path) *envelope.Message {
	m := &envelope.Message{
		Envelope: envelope.Envelope{From: "app@example.com"},
		ID:       "test", Size: int64(len(content)),
		EightBit: strings.ContainsFunc(content, func(r rune) bool { return r > 127 }),
		Open:     func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
	for _, p := range to {
		m.To = append(m.To, envelope.Recipient{To: p})
	}
	return m
}

const hello = "Subject: hello\r\n\r\nIt works.\r\n"

// set makes both ports, or one of them, behave.
func set(t *testing.T, s *sandbox.Server, mode explain.TLSMode, b sandbox.Behaviour) {
	t.Helper()
	if err := s.SetPort(mode, b); err != nil {
		t.Fatal(err)
	}
}

func setAll(t *testing.T, s *sandbox.Server, b sandbox.Behaviour) {
	t.Helper()
	if err := s.Set(b); err != nil {
		t.Fatal(err)
	}
}

func failure(t *testing.T, err error) *explain.Failure {
	t.Helper()
	var f *explain.Failure
	if !errors.As(err, &f) {
		t.Fatalf("the error is no explain.Failure: %v", err)
	}
	return f
}

// What arrives is what was sent, octet by octet, whatever the server offers
// and however the content looks (P9).
func TestContentArrivesUnchanged(t *testing.T) {
	contents := map[string]string{
		"small":     hello,
		"dots":      "Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n\r\n.\r\nend\r\n",
		"no header": ".\r\n",
		"eight bit": "Subject: Grüße\r\n\r\nschöne Grüße\r\n",
		"long line": "Subject: long\r\n\r\n" + strings.Repeat("x", 100_000) + "\r\n",
		"large":     "Subject: large\r\n\r\n" + strings.Repeat(".dot and text of a line\r\n", 100_000),
		"edge":      strings.Repeat(strings.Repeat("y", 30)+"\r\n", 1024) + ".\r\n", // a dot where a buffer begins
	}
	offers := map[string][]string{
		"everything":    nil,
		"no chunking":   {"CHUNKING"},
		"no pipelining": {"PIPELINING"},
		"neither":       {"CHUNKING", "PIPELINING", "8BITMIME", "SIZE", "DSN"},
	}
	for offer, without := range offers {
		t.Run(offer, func(t *testing.T) {
			s := upstreamtest.Sandbox(t, sandbox.Options{})
			setAll(t, s, sandbox.Behaviour{Without: without})
			h := newHost(t, options(s))
			n := 0
			for name, content := range contents {
				receipt, err := h.Deliver(t.Context(), message(content, "a@example.org", "b@example.org"))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				n++
				if want := fmt.Sprintf("SANDBOX-%d", n); receipt.ID != want {
					t.Errorf("%s: receipt.ID = %q, want %q", name, receipt.ID, want)
				}
				got := s.Messages()[n-1]
				if string(got.Content) != content {
					t.Errorf("%s: %d octets arrived, other than the %d sent", name, len(got.Content), len(content))
				}
				if len(got.Envelope.To) != 2 || got.Envelope.From != "app@example.com" {
					t.Errorf("%s: envelope %+v", name, got.Envelope)
				}
			}
			if c := s.Stats().Connections; c != 1 {
				t.Errorf("%d connections for %d messages one after the other, want 1", c, n)
			}
		})
	}
}

// 587 is left for 465 for every reason that makes it unusable, the reason is
// told, and what worked is remembered over a restart.
func TestFallback(t *testing.T) {
	cases := []struct {
		name      string
		behaviour sandbox.Behaviour
		cause     explain.Cause
	}{
		{"closed", sandbox.Behaviour{Closed: true}, explain.ConnectRefused},
		{"silent", script(explain.StageGreeting, sandbox.Act{End: sandbox.Silence}), explain.ConnectTimeout},
		{"hangs up", script(explain.StageGreeting, sandbox.Act{End: sandbox.HangUpNow}), explain.ConnectClosed},
		{"greets with 554", script(explain.StageGreeting, sandbox.Act{Reply: "554 5.7.1 Your address is on our block list"}), explain.IPBlocked},
		{"no STARTTLS", sandbox.Behaviour{Without: []string{"STARTTLS"}}, explain.TLSNotOffered},
		{"STARTTLS refused", script(explain.StageSTARTTLS, sandbox.Act{Reply: "454 4.7.0 TLS not available"}), explain.TLSNotOffered},
		{"wrong name", sandbox.Behaviour{Certificate: sandbox.WrongName}, explain.TLSCertificateName},
		{"expired", sandbox.Behaviour{Certificate: sandbox.Expired}, explain.TLSCertificateExpired},
		{"untrusted", sandbox.Behaviour{Certificate: sandbox.Untrusted}, explain.TLSCertificateUntrusted},
		{"speaks HTTP", sandbox.Behaviour{Protocol: sandbox.HTTP}, explain.ProtocolWrongPort},
		{"speaks TLS", sandbox.Behaviour{Protocol: sandbox.TLS}, explain.ConnectTimeout},
		{"no AUTH", sandbox.Behaviour{Without: []string{"AUTH"}}, explain.AuthMechanism},
		{"other AUTH", sandbox.Behaviour{Auth: []string{"XOAUTH2"}}, explain.AuthMechanism},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := upstreamtest.Sandbox(t, sandbox.Options{})
			set(t, s, explain.STARTTLS, c.behaviour)
			var (
				way  explain.Candidate
				left []*explain.Failure
			)
			o := options(s)
			o.StateFile = filepath.Join(t.TempDir(), "route.json")
			if c.cause == explain.ConnectTimeout {
				o.FallbackAfter = hurry
			}
			o.Selected = func(w explain.Candidate, l []*explain.Failure) { way, left = w, l }
			if _, err := newHost(t, o).Deliver(t.Context(), message(hello, "a@example.org")); err != nil {
				t.Fatal(err)
			}
			if via := s.Messages()[0].Via; via != explain.Implicit || way.TLS != explain.Implicit {
				t.Errorf("sent over %s, selected %v", via, way)
			}
			if len(left) != 1 || left[0].Cause != c.cause {
				t.Errorf("left 587 because of %v, want %s", left, c.cause)
			}
			o.FallbackAfter = time.Minute
			o.Selected = func(_ explain.Candidate, l []*explain.Failure) { left = l }
			before := s.Stats().Connections
			if _, err := newHost(t, o).Deliver(t.Context(), message(hello, "a@example.org")); err != nil {
				t.Fatal(err)
			}
			if n := s.Stats().Connections - before; n != 1 || len(left) != 0 {
				t.Errorf("after a restart: %d connections, left %v; want 465 at once", n, left)
			}
		})
	}
}

func script(stage explain.Stage, act sandbox.Act) sandbox.Behaviour {
	return sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{stage: act}}
}

// What a server refuses once it knows the account, or the message, is not
// tried elsewhere: the other port belongs to the same account (lockouts).
func TestNoFallbackAfterAuth(t *testing.T) {
	for _, stage := range []explain.Stage{explain.StageAuth, explain.StageMail, explain.StageRcpt, explain.StageData, explain.StageDot} {
		t.Run(string(stage), func(t *testing.T) {
			s := upstreamtest.Sandbox(t, sandbox.Options{})
			b := script(stage, sandbox.Act{Reply: "550 5.0.0 no"})
			b.Without = []string{"CHUNKING"} // with BDAT, data and dot are one stage
			setAll(t, s, b)
			_, err := newHost(t, options(s)).Deliver(t.Context(), message(hello, "a@example.org"))
			if f := failure(t, err); f.Stage != stage || f.Reply == nil || f.Reply.String() != "550 5.0.0 no" {
				t.Errorf("failed with %v at %s", f, f.Stage)
			}
			if n := s.Stats().Connections; n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
		})
	}
}

// Credentials are never sent where the channel is not encrypted and verified,
// and words put behind the reply to STARTTLS are an attack (P3).
func TestInjectionIsAnAttack(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	set(t, s, explain.STARTTLS, script(explain.StageSTARTTLS, sandbox.Act{Inject: "250 forged\r\n"}))
	set(t, s, explain.Implicit, sandbox.Behaviour{Closed: true})
	_, err := newHost(t, options(s)).Deliver(t.Context(), message(hello, "a@example.org"))
	f := failure(t, err)
	var injected string
	for _, c := range append(f.Candidates, f) {
		if v := c.Fact(explain.FactInjected); v != "" {
			injected = v
		}
	}
	if injected != "250 forged\r\n" {
		t.Errorf("the failure does not show what was injected: %v", f)
	}
	if n := s.Stats().Auths; n != 0 {
		t.Errorf("signed in %d times", n)
	}
}

// A refused password is tried once, however many messages wait: each try
// counts towards a lockout.
func TestWrongPasswordIsTriedOnce(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{Password: "right"})
	issued := time.Now() // the certificate, which is not valid when a bubble begins
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(issued))
		var logins atomic.Int32
		asked, wait := make(chan struct{}), make(chan struct{})
		o := options(s)
		o.Connections = 10
		o.Transcript = func(l upstream.Line) {
			if strings.Contains(l.Text, "c2FuZGJveA") || strings.Contains(l.Text, "sandbox\x00") {
				t.Errorf("the transcript shows credentials: %q (P7)", l.Text)
			}
			if l.Sent && strings.HasPrefix(l.Text, "AUTH") && logins.Add(1) == 1 {
				close(asked)
				<-wait
			}
		}
		h := newHost(t, o)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := h.Deliver(t.Context(), message(hello, "a@example.org"))
				if f := failure(t, err); f.Cause != explain.AuthRejected || f.Verdict() != explain.Hold {
					t.Errorf("%v, verdict %s", f, f.Verdict())
				}
			})
		}
		<-asked
		synctest.Wait() // for all the others to wait as well
		close(wait)
		all.Wait()
		if n := logins.Load(); n != 1 {
			t.Errorf("%d logins with a wrong password for 10 messages at once", n)
		}
	})
}

// Each recipient has its own outcome (RFC 5321, section 3.3).
func TestRecipientsAreJudgedOneByOne(t *testing.T) {
	for _, without := range [][]string{nil, {"CHUNKING"}, {"CHUNKING", "PIPELINING"}} {
		t.Run(strings.Join(without, "+"), func(t *testing.T) {
			s := upstreamtest.Sandbox(t, sandbox.Options{})
			setAll(t, s, sandbox.Behaviour{Without: without})
			h := newHost(t, options(s))
			receipt, err := h.Deliver(t.Context(), message(hello, "a@example.org", "reply-550-5.1.1@example.org", "b@example.org", "reply-452-4.2.2@example.org"))
			if err != nil {
				t.Fatal(err)
			}
			var refused []string
			for _, f := range receipt.Refused {
				refused = append(refused, string(f.Recipient)+" "+string(f.Cause))
			}
			want := "reply-550-5.1.1@example.org recipient.unknown, reply-452-4.2.2@example.org recipient.mailbox_full"
			if got := strings.Join(refused, ", "); got != want {
				t.Errorf("refused %s, want %s", got, want)
			}
			if n := len(s.Messages()[0].Envelope.To); n != 2 {
				t.Errorf("%d recipients at the server, want 2", n)
			}

			_, err = h.Deliver(t.Context(), message(hello, "reply-550-5.1.1@example.org", "reply-550-5.1.2@example.org"))
			var all explain.Refusals
			if !errors.As(err, &all) || len(all) != 2 {
				t.Errorf("all refused: %v", err)
			}
			// The session goes on to serve.
			if _, err := h.Deliver(t.Context(), message(hello, "a@example.org")); err != nil {
				t.Error(err)
			}
			if n := s.Stats().Connections; n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
		})
	}
}

// More recipients than a transaction may have are served in several (RFC 5321,
// section 4.5.3.1.8).
func TestManyRecipientsAreSplit(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	m := message(hello)
	for i := range 250 {
		m.To = append(m.To, envelope.Recipient{To: envelope.Path(fmt.Sprintf("u%d@example.org", i))})
	}
	if _, err := newHost(t, options(s)).Deliver(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, got := range s.Messages() {
		if len(got.Envelope.To) > 100 {
			t.Errorf("%d recipients in one transaction", len(got.Envelope.To))
		}
		total += len(got.Envelope.To)
	}
	if total != 250 {
		t.Errorf("%d recipients served, want 250", total)
	}
}

// A connection lost after the final dot leaves the outcome unknown, and only
// there (P6).
func TestLostConnections(t *testing.T) {
	for _, without := range [][]string{{"CHUNKING"}, {"CHUNKING", "PIPELINING"}, {"PIPELINING"}, nil} {
		for _, stage := range []explain.Stage{explain.StageMail, explain.StageRcpt, explain.StageData, explain.StageDot} {
			t.Run(fmt.Sprint(without, stage), func(t *testing.T) {
				s := upstreamtest.Sandbox(t, sandbox.Options{})
				b := script(stage, sandbox.Act{End: sandbox.HangUp})
				b.Without = without
				setAll(t, s, b)
				_, err := newHost(t, options(s)).Deliver(t.Context(), message(hello, "a@example.org"))
				f := failure(t, err)
				oneFlight := len(without) == 0
				chunking := oneFlight || without[0] == "PIPELINING"
				if uncertain := stage == explain.StageDot || oneFlight || chunking && stage == explain.StageData; (f.Cause == explain.DeliveryUncertain) != uncertain {
					t.Errorf("lost at %s: %s", stage, f.Cause)
				}
				if f.Verdict() != explain.Retry {
					t.Errorf("verdict %s, want retry", f.Verdict())
				}
			})
		}
	}
}

// A server may close a kept connection whenever it likes; the next message
// does not suffer for it.
func TestStaleSessionsAreReplaced(t *testing.T) {
	for _, without := range [][]string{nil, {"CHUNKING"}} {
		s := upstreamtest.Sandbox(t, sandbox.Options{})
		b := sandbox.Behaviour{Without: without}
		b.Script = map[explain.Stage]sandbox.Act{explain.StageDot: {Reply: "421 4.4.2 that was enough"}}
		setAll(t, s, b)
		h := newHost(t, options(s))
		_, err := h.Deliver(t.Context(), message(hello, "a@example.org"))
		if f := failure(t, err); f.Reply == nil || f.Reply.Code != 421 {
			t.Fatalf("%v", err)
		}
		setAll(t, s, sandbox.Behaviour{Without: without})
		for range 3 {
			if _, err := h.Deliver(t.Context(), message(hello, "a@example.org")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// BeforeDot is the last word: while it says no, the server does not get the
// end of the content, so that it cannot accept the message.
func TestBeforeDotStopsTheMessage(t *testing.T) {
	for _, without := range [][]string{nil, {"CHUNKING"}, {"PIPELINING"}} {
		for _, size := range []int{10, 32 << 10, 200_000} {
			s := upstreamtest.Sandbox(t, sandbox.Options{})
			setAll(t, s, sandbox.Behaviour{Without: without})
			h := newHost(t, options(s))
			m := message(strings.Repeat("z", size)+"\r\n", "a@example.org")
			no := errors.New("the app gave up")
			m.BeforeDot = func() error { return no }
			if _, err := h.Deliver(t.Context(), m); !errors.Is(err, no) {
				t.Fatalf("%v, want %v", err, no)
			}
			m.BeforeDot = nil
			if _, err := h.Deliver(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if n := len(s.Messages()); n != 1 {
				t.Errorf("without %v, %d octets: %d messages arrived, want 1", without, size, n)
			}
		}
	}
}

// What can be known before it is sent is refused before it is sent.
func TestTooLargeIsRefusedEarly(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{Size: 100_000})
	h := newHost(t, options(s))
	_, err := h.Deliver(t.Context(), message(strings.Repeat("x", 200_000)+"\r\n", "a@example.org"))
	if f := failure(t, err); f.Cause != explain.MessageTooLarge || f.Verdict() != explain.Return {
		t.Errorf("%v", err)
	}
	if h.MaxMessageSize() != 100_000 {
		t.Errorf("MaxMessageSize = %d, want what EHLO said", h.MaxMessageSize())
	}
}

// What a server cannot mean is not learned: no message would be let in that
// could find out better.
func TestSizeThatNobodyCanMean(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{Size: 1})
	h := newHost(t, options(s))
	_, err := h.Deliver(t.Context(), message(hello, "a@example.org"))
	if f := failure(t, err); f.Cause != explain.MessageTooLarge || h.MaxMessageSize() != 0 {
		t.Errorf("%v; MaxMessageSize = %d", f, h.MaxMessageSize())
	}
}

// When ctx ends, a delivery ends wherever it is.
func TestCancelledDelivery(t *testing.T) {
	for _, stage := range []explain.Stage{explain.StageGreeting, explain.StageAuth, explain.StageMail, explain.StageDot} {
		s := upstreamtest.Sandbox(t, sandbox.Options{})
		setAll(t, s, script(stage, sandbox.Act{End: sandbox.Silence}))
		h := newHost(t, options(s))
		ctx, cancel := context.WithCancel(t.Context())
		stop := time.AfterFunc(hurry, cancel)
		if _, err := h.Deliver(ctx, message(hello, "a@example.org")); err == nil {
			t.Errorf("%s: delivered", stage)
		}
		stop.Stop()
		cancel()
	}
}

// Also while a kept connection is asked whether it is still there.
func TestCancelledWhileAsked(t *testing.T) {
	upstream.Dawdle(t)
	server := upstreamtest.Load(t, "testdata/silent-at-rset.txtar").Serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	h := newHost(t, upstream.Options{
		Host: "localhost", Candidates: server.Candidates()[:1], RootCAs: server.Pool(), Hostname: "app.example.com",
		Transcript: func(l upstream.Line) {
			if l.Text == "250-One moment" {
				cancel()
			}
		},
	})
	_, err := h.Deliver(ctx, message(hello, "a@example.org"))
	if f := failure(t, err); f.Cause != explain.Greylisted {
		t.Fatal(err)
	}
	if _, err := h.Deliver(ctx, message(hello, "a@example.org")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Garbage of every kind is explained, bounded and never taken for consent.
func TestHostileReplies(t *testing.T) {
	replies := map[string]string{
		"endless line":  strings.Repeat("2", 1<<20),
		"endless reply": strings.Repeat("220-more\r\n", 100_000),
		"binary":        "\x00\x01\x02\xff\r\n",
		"no code":       "hello there\r\n",
		"mixed codes":   "220-a\r\n250 b\r\n",
		"short":         "22\r\n",
	}
	for name, reply := range replies {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var served sync.WaitGroup
			served.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(c, reply)
					_, _ = io.Copy(io.Discard, c)
					_ = c.Close()
				}
			})
			defer func() { _ = l.Close(); served.Wait() }()
			h := newHost(t, upstream.Options{
				Host:       "localhost",
				Candidates: []explain.Candidate{{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: explain.STARTTLS}},
			})
			_, err = h.Deliver(t.Context(), message(hello, "a@example.org"))
			if f := failure(t, err); f.Verdict() == explain.Return {
				t.Errorf("a reply of no sense returned the mail: %v", f)
			}
		})
	}
}

// The state file is for its owner only, and a damaged one is no obstacle.
func TestStateFile(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	o := options(s)
	o.StateFile = filepath.Join(t.TempDir(), "route.json")
	if err := os.WriteFile(o.StateFile, []byte("{damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newHost(t, o).Deliver(t.Context(), message(hello, "a@example.org")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(o.StateFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	data, _ := os.ReadFile(o.StateFile)
	if !bytes.Contains(data, []byte(`"starttls"`)) || bytes.Contains(data, []byte("sandbox")) {
		t.Errorf("state file: %s", data)
	}
}

// Another configuration takes over in the middle of a message: what is left of
// it still gets its transactions, and so does one that has just begun.
func TestDeliveryOutlivesRun(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	h, err := upstream.New(options(s))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { h.Run(ctx); close(ended) }()
	var to []envelope.Path
	for n := range 150 { // two transactions
		to = append(to, envelope.Path(fmt.Sprintf("u%d@example.org", n)))
	}
	m := message(hello, to...)
	m.BeforeDot = func() error { cancel(); return nil }
	if _, err := h.Deliver(t.Context(), m); err != nil {
		t.Error(err)
	}
	<-ended
	if _, err := h.Deliver(t.Context(), message(hello, "late@example.org")); err != nil {
		t.Error(err)
	}
	if n := len(s.Messages()); n != 3 {
		t.Errorf("%d transactions, want 3", n)
	}
}
