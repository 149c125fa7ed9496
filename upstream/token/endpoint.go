package token

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"kurir/upstream/explain"
	"kurir/upstream/redact"
)

// An Error is what a token endpoint said instead of giving a token, without
// anything secret.
type Error struct {
	Status      int    // of HTTP; 0 if it was not asked
	Code        string // such as "invalid_grant" (RFC 6749, section 5.2); may be ""
	Description string // its own words, in one line; may be ""

	// RetryAfter is how long it wants to be left alone, 0 if it did not say.
	RetryAfter time.Duration
}

// Codes of our own, for when nobody was asked.
const (
	notSignedIn   = "not_signed_in"
	commandFailed = "command_failed"
)

// Error is the whole in one line, which the rules of package explain read:
// "HTTP 400: invalid_grant: AADSTS50173: The provided grant has expired".
func (e *Error) Error() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", e.Status))
	}
	for _, part := range []string{e.Code, e.Description} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// An endpoint is asked for tokens.
type endpoint struct {
	host      string
	port      int
	transport http.RoundTripper
}

func newEndpoint(o Options) *endpoint {
	u, _ := url.Parse(o.TokenURL) // fill has seen that it is one
	e := &endpoint{host: u.Hostname(), port: 443}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		e.port = port
	}
	if e.transport = o.Transport; e.transport == nil {
		e.transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			DisableKeepAlives:   true, // one request an hour
		}
	}
	return e
}

// context makes package oauth2 use a client of ours until ctx ends.
func (e *endpoint) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport: whole{e.transport, ctx},
		// A redirect would carry secrets to where nobody meant them to go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
}

// whole is a transport that reads answers to their end, within their time, so
// that an error on the way is one of the network and not of package oauth2,
// which would make plain text of it, and does not give each request a context.
type whole struct {
	http.RoundTripper
	until context.Context
}

func (t whole) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	defer context.AfterFunc(t.until, cancel)()
	response, err := t.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// clean makes an *Error of what the endpoint said, and leaves of other errors
// what is underneath: neither the answer as it came nor the URL, which may
// hold secrets.
func (e *endpoint) clean(err error, secrets []string) error {
	var (
		said *oauth2.RetrieveError
		web  *url.Error
	)
	switch {
	case errors.As(err, &said):
		return &Error{
			Status:      said.Response.StatusCode,
			Code:        harmless(said.ErrorCode, secrets),
			Description: harmless(description(said), secrets),
			RetryAfter:  retryAfter(said.Response.Header),
		}
	case errors.As(err, &web):
		return web.Err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &Error{Status: http.StatusOK, Description: "the answer has no token in it"}
}

// description are the endpoint's own words. Google has them in the code of
// some errors, and what is no OAuth2 endpoint has other ones, or none.
func description(said *oauth2.RetrieveError) string {
	if said.ErrorCode == "" && said.ErrorDescription == "" {
		return http.StatusText(said.Response.StatusCode)
	}
	return said.ErrorDescription
}

// maxDescription bounds what is shown of the endpoint's words.
const maxDescription = 600

// looksSecret fits JWTs, also when they were cut off, and other tokens.
var looksSecret = regexp.MustCompile(`eyJ[\w-]{8,}[\w.-]*|[\w+/=-]{60,}`)

// harmless is a text without secrets, in one line. An endpoint could repeat
// what it was sent.
func harmless(text string, secrets []string) string {
	text = looksSecret.ReplaceAllString(redact.New(secrets...).Redact(text), redact.Mark)
	return explain.Cut(strings.Join(strings.Fields(explain.Printable(text)), " "), maxDescription)
}

// retryAfter is the header in seconds (RFC 9110, section 10.2.3), within
// reason.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
}

// failure explains why there is no token.
func (e *endpoint) failure(err error) *explain.Failure {
	f := explain.Failure{
		Stage:     explain.StageAuth,
		Candidate: explain.Candidate{Host: e.host, Port: e.port},
		Facts:     []explain.Fact{{Name: explain.FactTokenEndpoint, Value: e.host}},
		Err:       err,
	}
	var said *Error
	switch {
	case errors.Is(err, context.Canceled):
		f.Cause = explain.AuthTemporary // we broke it off
	case errors.Is(err, http.ErrSchemeMismatch):
		f.Cause = explain.ProtocolWrongPort
	case errors.As(err, &said):
		f.Facts = append(f.Facts, explain.Fact{Name: explain.FactTokenError, Value: said.Error()})
	}
	return explain.Explain(f)
}
