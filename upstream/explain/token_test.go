package explain

import (
	"crypto/x509"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// tokenFailure is a failure to get a token, as package token makes it.
func tokenFailure(said string, err error) *Failure {
	f := Failure{
		Stage: StageAuth, Candidate: Candidate{Host: "login.example.com", Port: 443}, Err: err,
		Facts: []Fact{{FactTokenEndpoint, "login.example.com"}},
	}
	if said != "" {
		f.Facts = append(f.Facts, Fact{FactTokenError, said})
	}
	return Explain(f)
}

// A rule on token endpoints must be reached by its own example and have words.
func TestTokenRules(t *testing.T) {
	list := rules().Token
	for i := range list {
		r := &list[i]
		q := askToken(r.Example)
		if got := q.answer(); got != r {
			t.Errorf("token %d (%s): its example is answered by %v", i+1, r.Variant, got)
		}
		if _, ok := english()[string(r.Cause)+"/"+r.Variant]; r.Variant != "" && !ok {
			t.Errorf("token %d: the catalogue has no words for %s/%s", i+1, r.Cause, r.Variant)
		}
		if f := tokenFailure(r.Example, nil); f.Cause != r.Cause || f.Scope() != ScopeRoute || f.Elsewhere() {
			t.Errorf("token %d: %s, about the %s, elsewhere %v", i+1, f.Cause, f.Scope(), f.Elsewhere())
		}
	}
}

// What providers say about tokens must lead a person to the place that mends
// it (P5), also when the line was pasted, and must cost no mail (P4).
func TestTokenErrors(t *testing.T) {
	for _, c := range [][2]string{
		{"HTTP 401: invalid_client: AADSTS7000215: Invalid client secret provided. Trace ID: 6a1f4b33 Timestamp: 2026-10-02 12:00:00Z", "auth.token/wrong_secret"},
		{"HTTP 401: invalid_client: AADSTS7000222: The provided client secret keys are expired.", "auth.token/expired_secret"},
		{"HTTP 400: unauthorized_client: AADSTS700016: Application with identifier 'x' was not found in the directory 'Contoso'.", "auth.token/wrong_application"},
		{"HTTP 400: invalid_request: AADSTS90002: Tenant 'contoso' not found. Check to make sure you have the correct tenant ID.", "auth.token/wrong_tenant"},
		{"HTTP 400: invalid_grant: AADSTS65001: The user or administrator has not consented to use the application", "auth.token/consent"},
		{"HTTP 400: invalid_scope: AADSTS70011: The provided request must include a 'scope' input parameter.", "auth.token/scope"},
		{"HTTP 400: invalid_scope: AADSTS1002012: The provided value for scope is not valid.", "auth.token/scope"},
		{"HTTP 400: invalid_grant: AADSTS50173: The provided grant has expired due to it being revoked", "auth.token/signed_out"},
		{"HTTP 400: invalid_grant: AADSTS700082: The refresh token has expired due to inactivity.", "auth.token/signed_out"},
		{"HTTP 400: invalid_grant: AADSTS70008: The refresh token has expired", "auth.token/signed_out"},
		{"HTTP 400: invalid_grant: AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication", "auth.token/conditional"},
		{"HTTP 400: invalid_grant: AADSTS53003: Access has been blocked by Conditional Access policies.", "auth.token/conditional"},
		{"HTTP 401: invalid_client: AADSTS700027: Client assertion contains an invalid signature. [Reason - The key was not found.]", "auth.token/certificate"},
		{"HTTP 401: invalid_client: AADSTS700024: Client assertion is not within its valid time range.", "auth.token/clock"},
		{"HTTP 401: invalid_client: AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", "auth.token/public_client"},
		{"HTTP 400: invalid_grant: Token has been expired or revoked.", "auth.token/signed_out_google"},
		{"HTTP 400: invalid_grant: Bad Request", "auth.token/signed_out_google"},
		{"HTTP 400: invalid_grant: Invalid JWT Signature.", "auth.token/key"},
		{"HTTP 400: invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.", "auth.token/clock"},
		{"HTTP 401: unauthorized_client: Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.", "auth.token/delegation"},
		{"HTTP 400: invalid_grant: Invalid email or User ID", "auth.token/subject"},
		{"HTTP 401: invalid_client: The OAuth client was not found.", "auth.token/wrong_application"},
		{"HTTP 401: invalid_client: Unauthorized", "auth.token/wrong_client"},
		{"HTTP 400: invalid_grant", "auth.token/signed_out"},
		{"HTTP 302: Found", "auth.token/endpoint"},
		{"HTTP 200: the answer has no token in it", "auth.token/endpoint"},
		{"HTTP 400: something_new: Never seen before", "auth.token/token"},
		{"HTTP 429: Too Many Requests", "auth.temporary/token"},
		{"HTTP 503: Service Unavailable", "auth.temporary/token"},
		{"HTTP 400: invalid_request: AADSTS90033: A transient error has occurred. Please try again.", "auth.temporary/token"},
	} {
		said, want := c[0], c[1]
		f := tokenFailure(said, nil)
		wantText := english()[want]
		if got := f.Explanation(); got.Fix != fill(f, wantText.Fix) {
			t.Errorf("%s\n\tis %s and says %q\n\twant %s", said, f.Cause, got.Fix, want)
		}
		if v := f.Verdict(); v == Return {
			t.Errorf("%s: costs mail", said)
		}
		if !tokenWords.MatchString(said) {
			continue
		}
		pasted := FromText(`oauth2: "`+strings.TrimPrefix(said, "HTTP ")+`"`, "", "")
		if pasted.Cause != f.Cause || pasted.Explanation().Fix != f.Explanation().Fix && f.Candidate.Host == "" {
			t.Errorf("%s: pasted it is %s", said, pasted.Cause)
		}
	}
}

func fill(f *Failure, text string) string {
	_, words := English.words()
	return strings.NewReplacer(f.placeholders(words)...).Replace(text)
}

// Trouble on the way to the token endpoint is told apart as on the way to the
// smart host, but in words about that other host.
func TestTokenNetwork(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, c := range []struct {
		err  error
		want Cause
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, DNSNotFound},
		{&net.DNSError{Err: "server misbehaving"}, DNSFailure},
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), ConnectRefused},
		{dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), ConnectUnreachable},
		{dial(os.NewSyscallError("read", syscall.ECONNRESET)), ConnectClosed},
		{os.ErrDeadlineExceeded, ConnectTimeout},
		{x509.UnknownAuthorityError{}, TLSCertificateUntrusted},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, TLSCertificateName},
		{x509.CertificateInvalidError{Reason: x509.Expired}, TLSCertificateExpired},
		{syscall.EINVAL, AuthToken},
	} {
		f := tokenFailure("", c.err)
		if f.Cause != c.want || f.Verdict() == Return || f.Scope() != ScopeRoute || f.Elsewhere() {
			t.Errorf("%v: %s %s, want %s", c.err, f.Cause, f.Verdict(), c.want)
		}
		for _, l := range Languages() {
			texts, _ := l.words()
			text, ok := texts[string(c.want)+"/token"]
			if !ok || slices.Contains([]string{text.Title, text.Meaning, text.Fix}, "") {
				t.Errorf("%s: no words in %s", c.want, l)
			}
			if got := f.ExplanationIn(l).Title; !strings.Contains(got, "OAuth2") {
				t.Errorf("%s: %q", c.want, got)
			}
		}
	}
}
