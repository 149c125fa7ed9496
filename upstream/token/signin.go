package token

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"kurir/upstream/explain"
)

// A SignIn is how a person agrees, once, that mail is sent with their mailbox.
// It runs on a machine that may have no browser.
type SignIn struct {
	o        Options
	endpoint *endpoint
	config   oauth2.Config
}

// NewSignIn makes a sign-in of the options of the Source that will go on with
// it. Its error is an *OptionError.
func NewSignIn(o Options) (*SignIn, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := &SignIn{o: o, endpoint: newEndpoint(o)}
	s.config = oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scopes: o.scopes(),
		Endpoint: oauth2.Endpoint{
			TokenURL:  o.TokenURL,
			AuthURL:   "https://accounts.google.com/o/oauth2/v2/auth",
			AuthStyle: authStyle(o.Issuer),
			// Microsoft has it beside the token endpoint, in each cloud and tenant.
			DeviceAuthURL: strings.TrimSuffix(o.TokenURL, "/token") + "/devicecode",
		},
	}
	return s, nil
}

// A DeviceCode is what a person has to type, and where, on any device.
type DeviceCode struct {
	URL, Code string
	Until     time.Time
}

// Device signs in by a code (RFC 8628): show is told the code once, and then
// it waits until the person has agreed, declined, or let it expire. It gives
// the refresh token. Its error is an *explain.Failure.
func (s *SignIn) Device(ctx context.Context, show func(DeviceCode)) (refresh string, err error) {
	web := s.endpoint.context(ctx)
	asked, err := s.config.DeviceAuth(web)
	if err != nil {
		return "", s.failed(err)
	}
	show(DeviceCode{asked.VerificationURI, asked.UserCode, asked.Expiry})
	for {
		t, err := s.config.DeviceAccessToken(web, asked)
		var offline *url.Error
		switch {
		case err == nil:
			return s.refreshOf(t)
		case ctx.Err() != nil:
			return "", s.failed(context.Cause(ctx))
		case errors.As(err, &offline) && time.Now().Before(asked.Expiry):
			// The network came between; the person may be typing still.
		case errors.Is(err, context.DeadlineExceeded):
			return "", s.failed(&Error{Code: "expired_token"})
		default:
			return "", s.failed(err, asked.DeviceCode)
		}
	}
}

// A Browser sign-in sends the person to a page of the provider, which sends
// their browser back to this machine (RFC 8252, section 7.3) with a code that
// is good for us alone (RFC 7636).
type Browser struct {
	URL string // where the person goes

	s               *SignIn
	config          oauth2.Config
	state, verifier string
	port            net.Listener
}

// Browser begins a sign-in by browser. The caller calls Wait.
func (s *SignIn) Browser() (*Browser, error) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Browser{s: s, config: s.config, state: rand.Text(), verifier: oauth2.GenerateVerifier(), port: port}
	b.config.RedirectURL = "http://" + port.Addr().String()
	b.URL = b.config.AuthCodeURL(b.state, oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(b.verifier),
		oauth2.SetAuthURLParam("prompt", "consent"), // or there is a refresh token for the first sign-in only
		oauth2.SetAuthURLParam("login_hint", s.o.Account))
	return b, nil
}

// errForeign is an answer that does not belong to this sign-in.
var errForeign = errors.New("this is not the address that the browser was sent back to, nor the code in it")

// Wait waits for the browser, or for what the person pastes: the address that
// their browser, on another machine, was sent to and could not show, or the
// code in it. foreign is told of each pasted line that is neither. It gives
// the refresh token and frees the port. Its error is an *explain.Failure.
func (b *Browser) Wait(ctx context.Context, pasted <-chan string, foreign func(error)) (refresh string, err error) {
	type result struct {
		code string
		err  error
	}
	found := make(chan result, 1)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, err := b.code(r.URL)
		text := "Kurir has got the answer. You can close this page.\n"
		if errors.Is(err, errForeign) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text)) // the answer counts, not that the page is seen
		select {
		case found <- result{code, err}:
		default:
		}
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(b.port) // until Shutdown
	}()
	defer func() {
		patience, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(patience) != nil {
			_ = server.Close()
		}
		<-served
	}()
	for {
		var r result
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return "", b.s.failed(&Error{Code: "expired_token"})
			}
			return "", b.s.failed(context.Cause(ctx))
		case r = <-found:
		case line, ok := <-pasted:
			if !ok {
				pasted = nil // there is only the browser now
				continue
			}
			if r.code, r.err = b.pastedCode(line); errors.Is(r.err, errForeign) {
				foreign(r.err)
				continue
			}
		}
		if r.err != nil {
			return "", b.s.failed(r.err)
		}
		t, err := b.config.Exchange(b.s.endpoint.context(ctx), r.code, oauth2.VerifierOption(b.verifier))
		if err != nil {
			return "", b.s.failed(err, r.code, b.verifier)
		}
		return b.s.refreshOf(t)
	}
}

// code takes the code out of the address that a browser was sent back to.
func (b *Browser) code(u *url.URL) (string, error) {
	q := u.Query()
	switch {
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(b.state)) != 1:
		return "", errForeign // another page may send a browser here too
	case q.Get("error") != "":
		return "", &Error{Code: harmless(q.Get("error"), nil), Description: harmless(q.Get("error_description"), nil)}
	case q.Get("code") == "":
		return "", errForeign
	}
	return q.Get("code"), nil
}

// pastedCode takes the code out of what a person pasted. A bare code cannot
// show whom it was meant for, but the provider will see that it is not ours.
func (b *Browser) pastedCode(line string) (string, error) {
	line = strings.TrimSpace(line)
	u, err := url.Parse(line)
	switch {
	case err == nil && u.RawQuery != "":
		return b.code(u)
	case len(line) < 10 || strings.ContainsAny(line, " ?&="):
		return "", errForeign
	}
	if code, err := url.PathUnescape(line); err == nil { // as it stands in the address
		line = code
	}
	return line, nil
}

// refreshOf is what is kept of a sign-in.
func (s *SignIn) refreshOf(t *oauth2.Token) (string, error) {
	if t.RefreshToken == "" {
		return "", s.failed(&Error{Code: "no_refresh_token"})
	}
	return t.RefreshToken, nil
}

func (s *SignIn) failed(err error, secrets ...string) *explain.Failure {
	var told *Error
	if !errors.As(err, &told) {
		err = s.endpoint.clean(err, append(secrets, s.o.ClientSecret))
	}
	return s.endpoint.failure(err)
}
