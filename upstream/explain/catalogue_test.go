package explain_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"kurir/upstream/explain"
)

// Every failure names what it means and what to do (P5), so every cause has a
// row and texts, and no text has a hole.
func TestCatalogueIsComplete(t *testing.T) {
	declared := map[explain.Cause]bool{}
	source, err := os.ReadFile("cause.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Cause = "([a-z_.]+)"`).FindAllStringSubmatch(string(source), -1) {
		declared[explain.Cause(m[1])] = true
	}
	for _, c := range explain.Causes() {
		if !declared[c] {
			t.Errorf("%s stands in the catalogue, but is no declared cause", c)
		}
		delete(declared, c)
		f := explain.Explain(explain.Failure{Cause: c})
		whole := explain.Explain(explain.Failure{Cause: c, Candidates: []*explain.Failure{f, f}})
		for _, l := range explain.Languages() {
			for _, e := range []explain.Explanation{f.ExplanationIn(l), whole.ExplanationIn(l)} {
				for _, text := range []string{e.Title, e.Meaning, e.Fix} {
					if strings.ContainsAny(text, "{}\n") || !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") && !strings.HasSuffix(text, ".)") {
						t.Errorf("%s: not a sentence without holes: %q", c, text)
					}
				}
				if e.Actor == "" {
					t.Errorf("%s: nobody must act", c)
				}
			}
		}
		switch f.Verdict() {
		case explain.Retry, explain.Return, explain.Hold:
		default:
			t.Errorf("%s: verdict %q", c, f.Verdict())
		}
	}
	for c := range declared {
		t.Errorf("%s has no row in the catalogue", c)
	}
}

func reply(code int, lines ...string) *explain.Reply { return explain.NewReply(code, lines) }

// The cause decides what becomes of the mail, not the digit (P4).
func TestVerdict(t *testing.T) {
	cases := []struct {
		f       explain.Failure
		verdict explain.Verdict
		scope   explain.Scope
	}{
		{explain.Failure{Cause: explain.AuthRejected, Stage: explain.StageAuth, Reply: reply(535, "5.7.8 no")}, explain.Hold, explain.ScopeRoute},
		{explain.Failure{Cause: explain.LimitQuota, Stage: explain.StageDot, Reply: reply(550, "5.4.5 quota")}, explain.Hold, explain.ScopeRoute},
		{explain.Failure{Cause: explain.SenderDomain, Stage: explain.StageRcpt, Reply: reply(421, "not set up")}, explain.Hold, explain.ScopeRoute},
		{explain.Failure{Cause: explain.RecipientUnknown, Stage: explain.StageRcpt, Recipient: "a@b", Reply: reply(550, "5.1.1 no")}, explain.Return, explain.ScopeRecipient},
		{explain.Failure{Cause: explain.RecipientUnknown, Stage: explain.StageRcpt, Recipient: "a@b", Reply: reply(450, "4.1.1 no")}, explain.Retry, explain.ScopeRecipient},
		{explain.Failure{Cause: explain.MessageSpam, Stage: explain.StageDot, Reply: reply(554, "spam")}, explain.Return, explain.ScopeMessage},
		{explain.Failure{Cause: explain.MessageSpam, Stage: explain.StageGreeting, Reply: reply(554, "spam")}, explain.Hold, explain.ScopeRoute},
		{explain.Failure{Cause: explain.ServerError, Stage: explain.StageDot, Reply: reply(451, "x")}, explain.Retry, explain.ScopeMessage},
		{explain.Failure{Cause: explain.ServerError, Stage: explain.StageDot, Reply: reply(554, "x")}, explain.Return, explain.ScopeMessage},
		{explain.Failure{Cause: explain.Unknown, Stage: explain.StageDot, Reply: reply(599, "x")}, explain.Return, explain.ScopeMessage},
		{explain.Failure{Cause: explain.Unknown, Stage: explain.StageAuth, Reply: reply(599, "x")}, explain.Hold, explain.ScopeRoute},
		{explain.Failure{Cause: explain.ServerBusy, Stage: explain.StageRcpt, Reply: reply(421, "x")}, explain.Retry, explain.ScopeRoute},
		{explain.Failure{Cause: explain.ConnectTimeout, Stage: explain.StageConnect}, explain.Retry, explain.ScopeRoute},
		{explain.Failure{Cause: explain.DeliveryUncertain, Stage: explain.StageDot}, explain.Retry, explain.ScopeMessage},
		// What the domain's owner can mend is still said of this message.
		{explain.Failure{Cause: explain.MessageAuthentication, Stage: explain.StageDot, Reply: reply(550, "5.7.26 unauthenticated")}, explain.Return, explain.ScopeMessage},
		{explain.Failure{Cause: explain.MessageAuthentication, Stage: explain.StageDot, Reply: reply(451, "4.7.26 unauthenticated")}, explain.Retry, explain.ScopeMessage},
		// A lock that opens by itself needs nobody.
		{explain.Failure{Cause: explain.AuthLocked, Stage: explain.StageAuth, Reply: reply(451, "too much fail authentication")}, explain.Retry, explain.ScopeRoute},
		{explain.Failure{Cause: explain.AuthLocked, Stage: explain.StageAuth, Reply: reply(450, "4.7.0 Account suspended, contact support")}, explain.Hold, explain.ScopeRoute},
		// Neither a bare code nor one misspelt sender keeps all other mail.
		{explain.Failure{Cause: explain.SenderDomain, Stage: explain.StageMail, Reply: reply(501, "5.5.4 Invalid parameter")}, explain.Return, explain.ScopeMessage},
		{explain.Failure{Cause: explain.SenderDomain, Stage: explain.StageMail, Reply: reply(501, "5.1.7 Bad sender address syntax")}, explain.Return, explain.ScopeMessage},
		{explain.Failure{Cause: explain.SenderDomain, Stage: explain.StageMail, Reply: reply(550, "Sender domain is not verified")}, explain.Hold, explain.ScopeSender},
		{explain.Failure{Cause: explain.SenderDomain, Stage: explain.StageMail, Reply: reply(450, "4.1.7 Sender address rejected: unverified address")}, explain.Hold, explain.ScopeSender},
		{explain.Failure{Cause: explain.RelayDenied, Stage: explain.StageRcpt, Recipient: "a@b", Reply: reply(551, "No")}, explain.Return, explain.ScopeRecipient},
		{explain.Failure{Cause: explain.RelayDenied, Stage: explain.StageRcpt, Recipient: "a@b", Reply: reply(554, "5.7.1 Relay access denied")}, explain.Hold, explain.ScopeRoute},
		{explain.Failure{Cause: explain.IPBlocked, Stage: explain.StageGreeting, Reply: reply(554, "No")}, explain.Hold, explain.ScopeRoute},
	}
	for _, c := range cases {
		if v, s := c.f.Verdict(), c.f.Scope(); v != c.verdict || s != c.scope {
			t.Errorf("%v: %s %s, want %s %s", &c.f, v, s, c.verdict, c.scope)
		}
	}
}

// Errors of Go are told apart by their types.
func TestCausesOfErrors(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	verify := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	cases := []struct {
		stage explain.Stage
		err   error
		want  explain.Cause
	}{
		{explain.StageDNS, &net.DNSError{Err: "no such host", IsNotFound: true}, explain.DNSNotFound},
		{explain.StageDNS, &net.DNSError{Err: "server misbehaving", IsTemporary: true}, explain.DNSFailure},
		{explain.StageDNS, &net.DNSError{Err: "i/o timeout", IsTimeout: true}, explain.DNSFailure},
		{explain.StageConnect, dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), explain.ConnectRefused},
		{explain.StageConnect, dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), explain.ConnectUnreachable},
		{explain.StageConnect, dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), explain.ConnectTimeout},
		{explain.StageConnect, context.DeadlineExceeded, explain.ConnectTimeout},
		{explain.StageGreeting, os.ErrDeadlineExceeded, explain.ConnectTimeout},
		{explain.StageGreeting, io.EOF, explain.ConnectClosed},
		{explain.StageMail, dial(os.NewSyscallError("read", syscall.ECONNRESET)), explain.ConnectClosed},
		{explain.StageGreeting, errors.New("this is no SMTP"), explain.ProtocolWrongPort},
		{explain.StageSTARTTLS, errors.New("not offered"), explain.TLSNotOffered},
		{explain.StageTLS, tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, explain.ProtocolWrongPort},
		{explain.StageTLS, verify(x509.UnknownAuthorityError{}), explain.TLSCertificateUntrusted},
		{explain.StageTLS, verify(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}), explain.TLSCertificateName},
		{explain.StageTLS, verify(x509.CertificateInvalidError{Reason: x509.Expired}), explain.TLSCertificateExpired},
		{explain.StageTLS, &net.OpError{Op: "remote error", Err: tls.AlertError(70)}, explain.TLSVersion},
		{explain.StageAuth, errors.New("none offered"), explain.AuthMechanism},
		{explain.StageDot, errors.New("?"), explain.Unknown},
	}
	for _, c := range cases {
		f := explain.Explain(explain.Failure{Stage: c.stage, Err: fmt.Errorf("wrapped: %w", c.err)})
		if f.Cause != c.want {
			t.Errorf("%s: %v: %s, want %s", c.stage, c.err, f.Cause, c.want)
		}
		if !errors.Is(f, c.want) || !errors.Is(f, c.err) {
			t.Errorf("errors.Is does not see %s and the error underneath", c.want)
		}
	}
}

// When all ways in fail, one explanation speaks for all: the one that tells
// what to do.
func TestWhole(t *testing.T) {
	failed := func(c explain.Cause, port int) *explain.Failure {
		return &explain.Failure{Cause: c, Stage: explain.StageConnect, Candidate: explain.Candidate{Host: "smtp.example.com", Port: port}}
	}
	cases := []struct {
		causes []explain.Cause
		want   explain.Cause
		words  string
	}{
		{[]explain.Cause{explain.ConnectTimeout, explain.ConnectTimeout}, explain.ConnectTimeout, "blocked"},
		{[]explain.Cause{explain.ConnectRefused, explain.ConnectRefused}, explain.ConnectRefused, "every port"},
		{[]explain.Cause{explain.DNSNotFound, explain.DNSNotFound}, explain.DNSNotFound, "does not exist"},
		{[]explain.Cause{explain.ConnectTimeout, explain.TLSCertificateName}, explain.TLSCertificateName, "not for"},
		{[]explain.Cause{explain.TLSNotOffered, explain.ConnectRefused}, explain.TLSNotOffered, "encryption"},
		{[]explain.Cause{explain.ConnectTimeout, explain.ConnectUnreachable}, explain.ConnectTimeout, "did not answer in time on port 587"},
	}
	for _, c := range cases {
		f := explain.Whole([]*explain.Failure{failed(c.causes[0], 587), failed(c.causes[1], 465)})
		if f.Cause != c.want || !strings.Contains(f.Explanation().Title, c.words) || len(f.Candidates) != 2 {
			t.Errorf("%v: %s, %q", c.causes, f.Cause, f.Explanation().Title)
		}
	}
	// What came through TLS found a mail server, whatever then went wrong.
	cut := &explain.Failure{Cause: explain.ConnectClosed, Stage: explain.StageAuth, Candidate: explain.Candidate{Host: "smtp.example.com", Port: 465, TLS: explain.Implicit}}
	for _, other := range []explain.Cause{explain.ProtocolWrongPort, explain.DNSFailure, explain.TLSNotOffered, explain.ConnectTimeout} {
		for _, both := range [][]*explain.Failure{{cut, failed(other, 587)}, {failed(other, 587), cut}} {
			if f := explain.Whole(both); f.Cause != explain.ConnectClosed || f.Stage != explain.StageAuth {
				t.Errorf("%s at one port, cut off while signing in at another: %s at %s speaks", other, f.Cause, f.Stage)
			}
		}
	}
	silent := &explain.Failure{Cause: explain.ConnectTimeout, Stage: explain.StageAuth, Candidate: cut.Candidate}
	if f := explain.Whole([]*explain.Failure{failed(explain.ConnectTimeout, 587), silent}); strings.Contains(f.Explanation().Title, "blocked") {
		t.Errorf("one port let us sign in: %q", f.Explanation().Title)
	}
	if one := failed(explain.ConnectRefused, 587); explain.Whole([]*explain.Failure{one}) != one {
		t.Error("a single candidate does not speak for itself")
	}
}

// What a server says cannot break the lines that people read.
func TestForgedWords(t *testing.T) {
	f := explain.Explain(explain.Failure{Cause: explain.RecipientUnknown, Recipient: "x\r\ny\x1b[1m@z"})
	if title := f.Explanation().Title; strings.ContainsAny(title, "\r\n\x1b") {
		t.Errorf("forged lines: %q", title)
	}
}

// No server and no address may steer the terminal or the eye of who reads.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"Zażółć, 日本語, ไทย, 👍":                     "Zażółć, 日本語, ไทย, 👍",
		"a\r\nb\tc\x1b[2J\x7f":                    "a  b c [2J ",
		"c1 \u009b31m, nel\u0085":                 "c1  31m, nel ",
		"bidi \u202egnp.exe\u2066 \u200f":         "bidi  gnp.exe   ",
		"line\u2028paragraph\u2029 bom\ufeff":     "line paragraph  bom ",
		"tag \U000e0041 private \ue000 \xff byte": "tag   private   \ufffd byte",
	} {
		if got := explain.Printable(text); got != want {
			t.Errorf("Printable(%q): got %q, want %q", text, got, want)
		}
	}
}

// The reply's class wins where it and the enhanced code disagree.
func TestNewReply(t *testing.T) {
	if e := reply(450, "5.1.1 x").Enhanced; e != (explain.EnhancedCode{4, 0, 0}) {
		t.Errorf("450 5.1.1 is %v", e)
	}
	if e := reply(550, "no code", "5.7.1 x").Enhanced; e != (explain.EnhancedCode{5, 7, 1}) {
		t.Errorf("the code of the last line is %v", e)
	}
	if s := reply(550, "5.1.1 one", "5.1.1 two").Line(); s != "550 5.1.1 one two" {
		t.Errorf("Line = %q", s)
	}
}
