package token_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/token"
)

// instant is an endpoint that answers at once.
type instant struct {
	status int
	body   string
}

func (i instant) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: i.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(i.body)), Request: r,
	}, nil
}

func nilRun(err error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return "", err }
}

func selfSigned(t *testing.T) *tls.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &newKey().PublicKey, newKey())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: newKey()}
}

// of gives options for a provider within a bubble.
func (p *provider) of(log token.Log) token.Options {
	return token.Options{
		Flow: token.ClientCredentials, Issuer: token.Microsoft, Tenant: "t", Account: "app@example.com",
		ClientID: "app", ClientSecret: "secret", Transport: p, Log: log,
	}
}

// numbered gives another token each time, good for an hour.
func numbered() *provider {
	return &provider{reply: func(n int, _ url.Values) answer { return good(fmt.Sprintf("access-%d", n), 3600, "") }}
}

// A hundred connections need one token, not a hundred.
func TestOneRequestForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := numbered()
		s := source(t, p.of(nil))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if got := get(t, s); got != "access-1" {
					t.Errorf("got %q", got)
				}
			})
		}
		all.Wait()
		if n := p.requests(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// A token is renewed ten minutes before its end, and a short-lived one at half
// of its life: neither too late for a slow delivery nor all the time.
func TestRenewedAhead(t *testing.T) {
	for life, renewed := range map[time.Duration]time.Duration{
		time.Hour: 50 * time.Minute, 30 * time.Minute: 20 * time.Minute, 4 * time.Minute: 2 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{reply: func(n int, _ url.Values) answer { return good(fmt.Sprint(n), int(life/time.Second), "") }}
			s := source(t, p.of(nil))
			get(t, s)
			time.Sleep(renewed - time.Second)
			if get(t, s); p.requests() != 1 {
				t.Errorf("%s: renewed before %s", life, renewed)
			}
			time.Sleep(2 * time.Second)
			if got := get(t, s); got != "2" || p.requests() != 2 {
				t.Errorf("%s: not renewed after %s", life, renewed)
			}
		})
	}
}

// While the endpoint is down, the old token is used to its end, and the
// failure tells nobody but the log.
func TestOldTokenWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.reply = func(n int, _ url.Values) answer {
			if n == 1 || n > 20 {
				return good(fmt.Sprint("access-", n), 3600, "")
			}
			return answer{}
		}
		log := &told{}
		s := source(t, p.of(log))
		get(t, s)
		for range 59 { // to just before its end
			time.Sleep(time.Minute)
			if got := get(t, s); got != "access-1" {
				t.Fatalf("got %q", got)
			}
		}
		if log.failed == 0 || log.last.Cause != explain.ConnectRefused {
			t.Errorf("the log was told %d failures: %v", log.failed, log.last)
		}
		time.Sleep(2 * time.Minute)
		if _, err := s.Token(t.Context()); !errors.Is(err, explain.ConnectRefused) {
			t.Errorf("the token has ended, and the error is %v", err)
		}
	})
}

// An endpoint that is down for an hour is asked less and less, however many
// messages wait (no storm), and is used soon after it is back.
func TestDownForAnHour(t *testing.T) {
	for name, down := range map[string]answer{
		"unreachable": {}, "busy": {status: 503}, "refusing": refusal(400, "invalid_grant", "revoked"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				p := &provider{reply: func(int, url.Values) answer {
					if time.Since(begin) < time.Hour {
						return down
					}
					return good("access", 3600, "")
				}}
				log := &told{}
				s := source(t, p.of(log))
				for time.Since(begin) < time.Hour-time.Second {
					var all sync.WaitGroup
					for range 3 {
						all.Go(func() {
							_, err := s.Token(t.Context())
							var f *explain.Failure
							if !errors.As(err, &f) {
								t.Errorf("got %v", err)
								return
							}
							f.Facts = append(f.Facts, explain.Fact{Name: explain.FactKept, Value: "5d"}) // as a session does
							f.Provider = "office365"
						})
					}
					all.Wait()
					time.Sleep(time.Second)
				}
				if n := p.requests(); n < 10 || n > 20 || log.failed != n {
					t.Errorf("%d requests in an hour, %d told", n, log.failed)
				}
				time.Sleep(5*time.Minute + 2*time.Second)
				get(t, s)
				if log.refreshed != 1 {
					t.Errorf("the log was told of %d tokens", log.refreshed)
				}
			})
		})
	}
}

// Who says when to come back is heard.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := always(answer{status: 429, header: http.Header{"Retry-After": {"120"}}})
		s := source(t, p.of(nil))
		for range 119 {
			if _, err := s.Token(t.Context()); !errors.Is(err, explain.AuthTemporary) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := p.requests(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// A refused token is replaced once, and not again within a minute, so that an
// account without the permission does not hammer the endpoint.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := numbered()
		s := source(t, p.of(nil))
		first := get(t, s)
		s.Refused("some other token")
		if get(t, s) != first {
			t.Error("a refusal of another token counts")
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { s.Refused(first) })
		}
		all.Wait()
		second := get(t, s)
		if second == first || p.requests() != 2 {
			t.Errorf("%q after %q, %d requests", second, first, p.requests())
		}
		for range 50 {
			s.Refused(get(t, s))
			time.Sleep(time.Second)
		}
		if n := p.requests(); n != 2 {
			t.Errorf("%d requests within a minute", n)
		}
		time.Sleep(20 * time.Second)
		s.Refused(second)
		if get(t, s) == second {
			t.Error("a minute later it is still not replaced")
		}
	})
}

// A caller that goes away leaves the others their turn, and is no failure of
// the provider.
func TestCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := numbered()
		log := &told{}
		s := source(t, p.of(log))
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { _, err := s.Token(ctx); gone <- err }()
		synctest.Wait()
		waits := make(chan string)
		go func() { waits <- get(t, s) }()
		synctest.Wait()
		cancel()
		if err := <-gone; err == nil || errors.Is(err, explain.AuthToken) {
			t.Errorf("got %v", err)
		}
		if got := <-waits; got != "access-1" || log.failed != 0 {
			t.Errorf("got %q, %d failures told", got, log.failed)
		}
	})
}

// Tokens of a command are asked for every half hour and when they are refused.
func TestCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := token.NewCommand("app@example.com", nil, func(context.Context) (string, error) {
			n++
			return fmt.Sprint(n), nil
		})
		for range 29 {
			if got := get(t, s); got != "1" {
				t.Fatalf("got %s", got)
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Minute)
		if got := get(t, s); got != "2" {
			t.Errorf("after 31 minutes: %s", got)
		}
		s.Refused("2")
		if got := get(t, s); got != "3" {
			t.Errorf("after a refusal: %s", got)
		}
	})
}
