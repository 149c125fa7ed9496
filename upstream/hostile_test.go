package upstream_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"kurir/upstream"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// There is no way to reach a server without TLS, not even by mistake (P3).
func TestNoPlaintextCandidate(t *testing.T) {
	for _, mode := range []explain.TLSMode{"", "none", "plain"} {
		_, err := upstream.New(upstream.Options{
			Host: "localhost", Candidates: []explain.Candidate{{Host: "localhost", Port: 25, TLS: mode}},
		})
		if err == nil {
			t.Errorf("a candidate with TLS mode %q was taken", mode)
		}
	}
	if _, err := upstream.New(upstream.Options{Host: "localhost", Auth: "NTLM"}); err == nil {
		t.Error("a mechanism that is not known was taken")
	}
}

// Parameters of a caller cannot become commands.
func TestCommandInjection(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	h := newHost(t, options(s))
	inject := "x\r\nRCPT TO:<evil@example.org>"
	for _, change := range []func(*envelope.Message){
		func(m *envelope.Message) { m.Envelope.ID = inject },
		func(m *envelope.Message) { m.Return = inject },
		func(m *envelope.Message) { m.To[0].Notify = inject },
		func(m *envelope.Message) { m.To[0].Original = inject },
		func(m *envelope.Message) { m.To[0].To = "a@b>\r\nRCPT TO:<evil@example.org" },
		func(m *envelope.Message) { m.From = "a@b>\r\nRCPT TO:<evil@example.org" },
	} {
		m := message(hello, "a@example.org")
		change(m)
		if _, err := h.Deliver(t.Context(), m); err == nil {
			t.Errorf("sent: %+v", m.Envelope)
		}
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

// Content that is not what its size says is our trouble, and is not sent cut
// off or with somebody else's octets.
func TestContentOfAnotherSize(t *testing.T) {
	for _, without := range []string{"none", "CHUNKING"} {
		s := upstreamtest.Sandbox(t, sandbox.Options{})
		setAll(t, s, sandbox.Behaviour{Without: []string{without}})
		h := newHost(t, options(s))
		for _, off := range []int64{-8, 8} {
			m := message(strings.Repeat("a line\r\n", 100), "a@example.org")
			m.Size += off
			var f *explain.Failure
			if _, err := h.Deliver(t.Context(), m); err == nil || errors.As(err, &f) {
				t.Errorf("without %s, size off by %d: %v", without, off, err)
			}
		}
		if n := len(s.Messages()); n != 0 {
			t.Errorf("without %s: %d messages arrived", without, n)
		}
	}
}

// An address that the server cannot take costs the others nothing.
func TestAddressesThatAreNotASCII(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	setAll(t, s, sandbox.Behaviour{Without: []string{"SMTPUTF8"}})
	m := message(hello, "günter@example.org", "plain@example.org")
	m.UTF8 = true
	receipt, err := newHost(t, options(s)).Deliver(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if len(receipt.Refused) != 1 || receipt.Refused[0].Recipient != "günter@example.org" || receipt.Refused[0].Cause != explain.RecipientSyntax {
		t.Errorf("refused %v", receipt.Refused)
	}
	if to := s.Messages()[0].Envelope.To; len(to) != 1 || to[0].To != "plain@example.org" {
		t.Errorf("sent to %v", to)
	}
}

// Nothing is sent for a caller that has gone already, and no session suffers.
func TestCancelledBefore(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	h := newHost(t, options(s))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		if _, err := h.Deliver(ctx, message(hello, "a@example.org")); !errors.Is(err, context.Canceled) {
			t.Fatalf("Deliver = %v", err)
		}
		if _, err := h.Deliver(t.Context(), message(hello, "b@example.org")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Messages()); n != 50 {
		t.Errorf("%d messages arrived, want 50", n)
	}
	if n := s.Stats().Connections; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// A port that breaks off at AUTH without a word is left for the next.
func TestBrokenOffAtAuth(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	set(t, s, explain.STARTTLS, script(explain.StageAuth, sandbox.Act{End: sandbox.HangUpNow}))
	var left []*explain.Failure
	o := options(s)
	o.Selected = func(_ explain.Candidate, l []*explain.Failure) { left = l }
	if _, err := newHost(t, o).Deliver(t.Context(), message(hello, "a@example.org")); err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].Stage != explain.StageAuth || left[0].Cause != explain.ConnectClosed {
		t.Errorf("left %v", left)
	}
}

// When a delivery is cancelled, that is not told as a failure of the server.
func TestCancellationIsNoFailure(t *testing.T) {
	for _, stage := range []explain.Stage{explain.StageGreeting, explain.StageAuth, explain.StageMail, explain.StageRcpt} {
		s := upstreamtest.Sandbox(t, sandbox.Options{})
		b := script(stage, sandbox.Act{End: sandbox.Silence})
		b.Without = []string{"CHUNKING", "PIPELINING"}
		setAll(t, s, b)
		ctx, cancel := context.WithTimeout(t.Context(), hurry)
		_, err := newHost(t, options(s)).Deliver(ctx, message(hello, "a@example.org"))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", stage, err)
		}
		var f *explain.Failure
		if errors.As(err, &f) {
			t.Errorf("%s: told as %v", stage, f)
		}
	}
}

// A server that says the password back does not bring it into a log or an
// explanation (P7).
func TestEchoedSecrets(t *testing.T) {
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	setAll(t, s, script(explain.StageAuth, sandbox.Act{Reply: "501 5.5.4 what is S3cretPw, AHNhbmRib3gAUzNjcmV0UHc= or UzNjcmV0UHc=?"}))
	o := options(s)
	o.Password = "S3cretPw"
	check := func(text string) {
		for _, secret := range []string{"S3cretPw", "AHNhbmRib3gAUzNjcmV0UHc=", "UzNjcmV0UHc="} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is told in %q", secret, text)
			}
		}
	}
	o.Transcript = func(l upstream.Line) { check(l.Text) }
	_, err := newHost(t, o).Deliver(t.Context(), message(hello, "a@example.org"))
	if f := failure(t, err); f.Reply == nil || !strings.Contains(f.Reply.String(), "[redacted]") {
		t.Errorf("reply: %v", f.Reply)
	}
	check(err.Error())
}
