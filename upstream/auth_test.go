package upstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"testing"

	"kurir/upstream"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// tokens is a token source that gives one after the other, as each is refused.
type tokens struct {
	mu      sync.Mutex
	left    []string
	err     error
	refused int
}

func (t *tokens) Token(context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return "", t.err
	}
	return t.left[0], nil
}

func (t *tokens) Refused(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused++
	if token == t.left[0] && len(t.left) > 1 {
		t.left = t.left[1:]
	}
}

// signingIn are the options for a mechanism with good and with bad credentials.
func signingIn(t *testing.T, s *sandbox.Server, mechanism string) (good, bad upstream.Options) {
	t.Helper()
	good = options(s)
	bad = good
	bad.Password = "wrong"
	switch {
	case strings.Contains(mechanism, "OAUTH"):
		good.Password, bad.Password = "", ""
		good.Token, bad.Token = &tokens{left: []string{"sandbox"}}, &tokens{left: []string{"wrong"}}
	case mechanism == "EXTERNAL":
		authority, err := sandbox.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		pair, err := authority.Issue(sandbox.Good)
		if err != nil {
			t.Fatal(err)
		}
		good.Password, bad.Password, bad.Username = "", "", "somebody"
		good.ClientCertificates, bad.ClientCertificates = []tls.Certificate{pair}, []tls.Certificate{pair}
	}
	return good, bad
}

// AUTH follows what is offered behind TLS, and what there is to sign in with;
// pinned or not, a good credential signs in, and a bad one is told as such.
func TestAuthMechanisms(t *testing.T) {
	for _, mechanism := range upstream.Mechanisms() {
		t.Run(mechanism, func(t *testing.T) {
			s := upstreamtest.Sandbox(t, sandbox.Options{})
			setAll(t, s, sandbox.Behaviour{Auth: []string{mechanism}})
			good, bad := signingIn(t, s, mechanism)
			for _, pin := range []string{"", mechanism, strings.ToLower(mechanism)} {
				good.Auth, bad.Auth = pin, pin
				if _, err := newHost(t, good).Deliver(t.Context(), message(hello, "a@example.org")); err != nil {
					t.Errorf("pinned %q: %v", pin, err)
				}
				var mu sync.Mutex // two candidates may speak at once
				var lines []string
				bad.Transcript = func(l upstream.Line) {
					mu.Lock()
					defer mu.Unlock()
					lines = append(lines, l.Text)
				}
				_, err := newHost(t, bad).Deliver(t.Context(), message(hello, "a@example.org"))
				want := explain.AuthRejected
				if bad.Token != nil {
					want = explain.AuthToken
				}
				if f := failure(t, err); f.Cause != want {
					t.Errorf("pinned %q, refused: %v", pin, err)
				}
				mu.Lock()
				if said := strings.Join(lines, "\n"); strings.Contains(said, "wrong") {
					t.Errorf("P7: the credential is in the transcript:\n%s", said)
				}
				mu.Unlock()
			}
		})
	}
}

// Of what is offered the best is used: what keeps the password from the server
// and is bound to the channel, else what takes one round trip.
func TestAuthPreference(t *testing.T) {
	for _, c := range []struct {
		offered []string
		want    string
	}{
		{[]string{"LOGIN", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2"}, "SCRAM-SHA-256-PLUS"},
		{[]string{"LOGIN", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"}, "SCRAM-SHA-256"},
		{[]string{"CRAM-MD5", "LOGIN", "PLAIN", "OAUTHBEARER"}, "PLAIN"},
		{[]string{"CRAM-MD5", "LOGIN"}, "LOGIN"},
		{[]string{"CRAM-MD5", "SCRAM-SHA-1"}, "SCRAM-SHA-1"},
	} {
		s := upstreamtest.Sandbox(t, sandbox.Options{})
		setAll(t, s, sandbox.Behaviour{Auth: c.offered})
		o := options(s)
		var mu sync.Mutex
		var used string
		o.Transcript = func(l upstream.Line) {
			mu.Lock()
			defer mu.Unlock()
			if verb, rest, _ := strings.Cut(l.Text, " "); l.Sent && verb == "AUTH" {
				used, _, _ = strings.Cut(rest, " ")
			}
		}
		_, err := newHost(t, o).Deliver(t.Context(), message(hello, "a@example.org"))
		mu.Lock()
		if err != nil || used != c.want {
			t.Errorf("%q: %s: %v", c.offered, used, err)
		}
		mu.Unlock()
	}
}

// A token that was refused is replaced once; if the new one is refused too, or
// there is none, the route is held, with no further attempt.
func TestTokens(t *testing.T) {
	long := strings.Repeat("x", 3000) // more than a command line holds
	s := upstreamtest.Sandbox(t, sandbox.Options{Password: long})
	setAll(t, s, sandbox.Behaviour{Auth: []string{"XOAUTH2"}})
	trouble := explain.Explain(explain.Failure{Stage: explain.StageAuth, Cause: explain.AuthToken, Err: errors.New("revoked")})
	for name, c := range map[string]struct {
		source  *tokens
		refused int
		want    explain.Cause
	}{
		"good":      {&tokens{left: []string{long}}, 0, ""},
		"renewed":   {&tokens{left: []string{"old", long}}, 1, ""},
		"the same":  {&tokens{left: []string{"old"}}, 1, explain.AuthToken},
		"both bad":  {&tokens{left: []string{"old", "older", long}}, 2, explain.AuthToken},
		"no token":  {&tokens{err: trouble}, 0, explain.AuthToken},
		"odd error": {&tokens{err: errors.New("odd")}, 0, explain.AuthMechanism},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(s)
			o.Password, o.Token = "", c.source
			_, err := newHost(t, o).Deliver(t.Context(), message(hello, "a@example.org"))
			if c.source.refused != c.refused {
				t.Errorf("%d tokens told as refused, want %d", c.source.refused, c.refused)
			}
			if c.want == "" && err != nil {
				t.Error(err)
			}
			if c.want != "" {
				if f := failure(t, err); f.Cause != c.want || f.Verdict() != explain.Hold {
					t.Errorf("%v: %s", f.Cause, f)
				}
			}
		})
	}
}

// Microsoft 365 is going to refuse passwords, which must be known before it
// happens; who signs in with a token, or elsewhere, need not be told.
func TestPasswordEnds(t *testing.T) {
	microsoft := upstream.Options{Host: "smtp.office365.com", Username: "app@example.com", Password: "x"}
	if provider, end := microsoft.PasswordEnds(); provider != "Microsoft 365" || end.Format("2006-01-02") != "2026-12-31" {
		t.Errorf("%s: %s", provider, end)
	}
	withToken, pinned, elsewhere := microsoft, microsoft, microsoft
	withToken.Token = &tokens{}
	pinned.Auth = "XOAUTH2"
	elsewhere.Host = "smtp.gmail.com"
	for _, o := range []upstream.Options{withToken, pinned, elsewhere, {Host: "smtp.office365.com"}, {}} {
		if _, end := o.PasswordEnds(); !end.IsZero() {
			t.Errorf("%s %s: %s", o.Host, o.Auth, end)
		}
	}
}

// A server that asks without end keeps nobody waiting: all mechanisms that there
// are ask less.
func TestQuestionsWithoutEnd(t *testing.T) {
	playFile(t, "testdata/questions-without-end.txtar", upstream.Options{Host: "localhost", Token: endless{}})
}

type endless struct{}

func (endless) Token(context.Context) (string, error) { return "token", nil }
func (endless) Refused(string)                        {}
