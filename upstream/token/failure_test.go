package token_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"kurir/upstream/explain"
	"kurir/upstream/token"
)

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// fails gives the failure of the first Token.
func fails(t testing.TB, o token.Options) *explain.Failure {
	t.Helper()
	_, err := source(t, o).Token(t.Context())
	var f *explain.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure", err)
	}
	if f.Stage != explain.StageAuth || f.Scope() != explain.ScopeRoute || f.Verdict() == explain.Return || f.Elsewhere() {
		t.Errorf("%v: at %s, about the %s: %s", f, f.Stage, f.Scope(), f.Verdict())
	}
	return f
}

// everything is all that a failure can tell anybody.
func everything(f *explain.Failure) string {
	return fmt.Sprintf("%v %+v %#v %s %s", f, *f, f.Facts, f.Details(), f.Explanation())
}

// Each refusal of a token endpoint has its own words (P5), keeps all mail
// (P4), and shows no secret even if the endpoint repeats it (P7).
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		says answer
		want explain.Cause
		fix  string
	}{
		{"wrong secret", refusal(401, "invalid_client", "AADSTS7000215: Invalid client secret provided."), explain.AuthToken, "put its Value"},
		{"expired secret", refusal(401, "invalid_client", "AADSTS7000222: The provided client secret keys are expired."), explain.AuthToken, "make a new client secret"},
		{"wrong app", refusal(400, "unauthorized_client", "AADSTS700016: Application with identifier 'app-id' was not found in the directory."), explain.AuthToken, "Application (client) ID"},
		{"tenant", refusal(400, "invalid_request", "AADSTS90002: Tenant 'x' not found."), explain.AuthToken, "Directory (tenant) ID"},
		{"consent", refusal(400, "invalid_grant", "AADSTS65001: The user or administrator has not consented."), explain.AuthToken, "Grant admin consent"},
		{"scope", refusal(400, "invalid_scope", "AADSTS70011: The provided value for 'scope' is not valid."), explain.AuthToken, "Remove upstream.oauth2.scope"},
		{"revoked", refusal(400, "invalid_grant", "AADSTS50173: The provided grant has expired due to it being revoked."), explain.AuthToken, "kurir login"},
		{"google revoked", refusal(400, "invalid_grant", "Token has been expired or revoked."), explain.AuthToken, "Publish app"},
		{"google delegation", refusal(401, "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."), explain.AuthToken, "Domain-wide delegation"},
		{"google clock", refusal(400, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."), explain.AuthToken, "Set the clock"},
		{"busy", answer{status: 503, body: "<html>busy</html>"}, explain.AuthTemporary, "later attempt"},
		{"rate", refusal(429, "rate_limit_exceeded", "slow down"), explain.AuthTemporary, "later attempt"},
		{"not found", answer{status: 404, body: "<html>s3cr3t-value</html>"}, explain.AuthToken, "token_url"},
		{"no token", answer{status: 200, body: `{"hello":"s3cr3t-value"}`}, explain.AuthToken, "token_url"},
		{"no JSON", answer{status: 200, body: "s3cr3t-value"}, explain.AuthToken, "token_url"},
		{"empty", answer{status: 200}, explain.AuthToken, "token_url"},
		{"an object", answer{status: 400, body: `{"error":{"code":400,"message":"s3cr3t-value"}}`}, explain.AuthToken, "token_url"},
		{"huge", answer{status: 400, body: `{"error":"invalid_grant","error_description":"` + strings.Repeat("x", 3<<20) + `"}`}, explain.AuthToken, "token_url"},
		{"echo", refusal(400, "invalid_request", "got client_secret=s3cr3t-value and refresh_token=r3fr3sh%2Fvalue\r\nand r3fr3sh/value \x1b[2J"), explain.AuthToken, "[upstream.oauth2]"},
		{"echo in the code", refusal(400, "s3cr3t-value", ""), explain.AuthToken, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := always(c.says).serve(t)
			o.Flow, o.RefreshToken = token.RefreshToken, "r3fr3sh/value"
			log := &told{}
			o.Log = log
			f := fails(t, o)
			if f.Cause != c.want || !strings.Contains(f.Explanation().Fix, c.fix) {
				t.Errorf("%s: %q, want %s with %q", f.Cause, f.Explanation().Fix, c.want, c.fix)
			}
			if log.failed != 1 || log.last.Error() != f.Error() {
				t.Errorf("the log was told %d failures", log.failed)
			}
			text := everything(f)
			for _, secret := range []string{"s3cr3t", "r3fr3sh", "\x1b", "\r"} {
				if strings.Contains(text, secret) {
					t.Errorf("%q is shown: %s", secret, text)
				}
			}
			if len(text) > 20<<10 {
				t.Errorf("%d bytes are shown", len(text))
			}
		})
	}
}

// An assertion is as good as a secret, whoever repeats it (P7).
func TestNoAssertionIsShown(t *testing.T) {
	p := &provider{reply: func(_ int, form url.Values) answer {
		return refusal(400, "invalid_grant", "I do not like "+form.Get("client_assertion")[:200]+" "+form.Get("client_assertion"))
	}}
	o := p.serve(t)
	o.ClientSecret, o.Certificate = "", selfSigned(t)
	text := everything(fails(t, o))
	if assertion := p.last().Get("client_assertion"); strings.Contains(text, assertion[20:60]) {
		t.Errorf("the assertion is shown: %s", text)
	}
}

// Trouble on the way has the causes that it has on every other way.
func TestNetworkTrouble(t *testing.T) {
	o := always(good("x", 60, "")).serve(t)
	o.Transport = nil
	if f := fails(t, o); f.Cause != explain.TLSCertificateUntrusted || !strings.Contains(f.Explanation().Title, "OAuth2") {
		t.Errorf("an unknown authority: %v", f)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.TokenURL = "https://" + l.Addr().String() + "/"
	_ = l.Close()
	if f := fails(t, o); f.Cause != explain.ConnectRefused || f.Candidate.HostPort() != l.Addr().String() {
		t.Errorf("a closed port: %v", f)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	o.TokenURL = strings.Replace(plain.URL, "http:", "https:", 1)
	if f := fails(t, o); f.Cause != explain.ProtocolWrongPort {
		t.Errorf("no TLS: %v", f)
	}
}

// Secrets do not follow a redirect to where nobody meant them to go.
func TestRedirect(t *testing.T) {
	other := always(good("stolen", 60, ""))
	elsewhere := other.serve(t)
	for _, status := range []int{302, 307, 308} {
		o := always(answer{status: status, header: http.Header{"Location": {elsewhere.TokenURL}}}).serve(t)
		if f := fails(t, o); f.Cause != explain.AuthToken || !strings.Contains(f.Explanation().Fix, "token_url") {
			t.Errorf("%d: %v", status, f)
		}
	}
	if n := other.requests(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// A command that gets the tokens has words of its own, and what it says of
// itself is shown, but a token in it is not (P7).
func TestCommandFails(t *testing.T) {
	jwt := strings.Repeat("eyJhbGciOiJSUzI1NiJ9", 2) + "." + strings.Repeat("eyJzdWIiOiJhcHAifQ", 2) + ".c2lnbmF0dXJl"
	s := token.NewCommand("app@example.com", nil, nilRun(errors.New("failed (exit status 1), saying no "+jwt)))
	_, err := s.Token(t.Context())
	var f *explain.Failure
	if !errors.As(err, &f) || f.Cause != explain.AuthToken || !strings.Contains(f.Explanation().Fix, "password_command") {
		t.Fatalf("got %v", err)
	}
	if text := everything(f); strings.Contains(text, "eyJ") || !strings.Contains(text, "exit status 1") {
		t.Errorf("got %s", text)
	}
}

// Whatever an endpoint says ends in a token or in a failure, quickly and
// without a secret (P7).
func FuzzAnswer(f *testing.F) {
	f.Add(200, good("access", 3600, "refresh").body)
	f.Add(400, refusal(400, "invalid_grant", "AADSTS50173: revoked s3cr3t-value").body)
	f.Add(200, `{"access_token":"a","expires_in":"-1"}`)
	f.Add(302, "s3cr3t-value")
	f.Add(500, `{"error":{"a":[1]}}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		s := source(t, token.Options{
			Flow: token.ClientCredentials, Issuer: token.Microsoft, Tenant: "t", ClientID: "app", ClientSecret: "s3cr3t-value",
			Transport: instant{status, body},
		})
		got, err := s.Token(t.Context())
		var failure *explain.Failure
		switch {
		case err == nil && got == "":
			t.Error("an empty token")
		case err != nil && !errors.As(err, &failure):
			t.Errorf("%v is no failure", err)
		case err != nil && strings.Contains(everything(failure), "s3cr3t-value"):
			t.Errorf("the secret is shown: %v", err)
		}
	})
}
