package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/token"
)

// device plays Microsoft's two endpoints: polls are the answers after the code
// was given out, the last one for all that follow.
func device(t *testing.T, polls ...answer) (*provider, *[]time.Duration) {
	begin, at := time.Now(), &[]time.Duration{}
	return &provider{reply: func(n int, form url.Values) answer {
		if n == 1 {
			expect(t, form, map[string]string{"client_id": "app", "scope": "https://outlook.office.com/SMTP.Send offline_access"})
			text, _ := json.Marshal(map[string]any{
				"device_code": "device-secret", "user_code": "ABCD-1234", "verification_uri": "https://microsoft.com/devicelogin",
				"expires_in": 900, "interval": 5,
			})
			return answer{status: 200, body: string(text)}
		}
		*at = append(*at, time.Since(begin))
		expect(t, form, map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "device-secret"})
		return polls[min(n-2, len(polls)-1)]
	}}, at
}

func signIn(t *testing.T, o token.Options) *token.SignIn {
	t.Helper()
	o.Flow = token.RefreshToken
	s, err := token.NewSignIn(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The sign-in by code waits as long as it is told to, slows down when it is
// told to, bears a network that comes and goes, and ends with what happened.
func TestDevice(t *testing.T) {
	pending := refusal(400, "authorization_pending", "AADSTS70016: Pending end-user authorization")
	for name, c := range map[string]struct {
		polls []answer
		fix   string // "" for success
	}{
		"agreed":     {[]answer{pending, pending, good("access", 3600, "refresh-1")}, ""},
		"slow down":  {[]answer{pending, refusal(400, "slow_down", ""), pending, good("access", 3600, "refresh-1")}, ""},
		"offline":    {[]answer{pending, {}, good("access", 3600, "refresh-1")}, ""},
		"declined":   {[]answer{pending, refusal(400, "authorization_declined", "AADSTS65004: User declined to consent")}, "and agree"},
		"expired":    {[]answer{pending, refusal(400, "expired_token", "AADSTS70020: The provided device code has expired")}, "the new code"},
		"never":      {[]answer{pending}, "the new code"},
		"public":     {[]answer{refusal(401, "invalid_client", "AADSTS7000218: The request body must contain client_assertion or client_secret for device-secret.")}, "Allow public client flows"},
		"no refresh": {[]answer{good("access", 3600, "")}, "offline_access"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, at := device(t, c.polls...)
				shown := 0
				got, err := signIn(t, p.of(nil)).Device(t.Context(), func(d token.DeviceCode) {
					shown++
					if d.URL != "https://microsoft.com/devicelogin" || d.Code != "ABCD-1234" || time.Until(d.Until) < 14*time.Minute {
						t.Errorf("shown: %+v", d)
					}
				})
				if shown != 1 {
					t.Errorf("the code is shown %d times", shown)
				}
				for i := 1; i < len(*at); i++ {
					wait := 5 * time.Second
					if name == "slow down" && i > 1 {
						wait = 10 * time.Second
					}
					if pause := (*at)[i] - (*at)[i-1]; pause < wait {
						t.Errorf("asked again after %s", pause)
					}
				}
				if c.fix == "" {
					if got != "refresh-1" || err != nil {
						t.Errorf("got %q, %v", got, err)
					}
					return
				}
				var f *explain.Failure
				if !errors.As(err, &f) || !strings.Contains(f.Explanation().Fix, c.fix) {
					t.Fatalf("got %v, want %q", err, c.fix)
				}
				if text := everything(f); strings.Contains(text, "device-secret") {
					t.Errorf("the device code is shown: %s", text)
				}
			})
		})
	}
}

// A person who interrupts the sign-in does not have to wait for the next poll.
func TestDeviceInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := device(t, refusal(400, "authorization_pending", ""))
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := signIn(t, p.of(nil)).Device(ctx, func(token.DeviceCode) {}); err == nil || time.Since(begin) > 12*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

// google plays a token endpoint that wants the code, and options for it.
func google(t *testing.T) (*provider, token.Options) {
	p := &provider{reply: func(_ int, form url.Values) answer {
		if form.Get("code") != "4/0code-of-the-person" || form.Get("code_verifier") == "" {
			return refusal(400, "invalid_grant", "Bad Request")
		}
		return good("access", 3600, "refresh-1")
	}}
	o := p.serve(t)
	o.Issuer, o.Tenant = token.Google, ""
	return p, o
}

// The browser's answer is taken when it is ours: by the redirect, or pasted
// where the browser is on another machine.
func TestBrowser(t *testing.T) {
	type way func(t *testing.T, redirect, state string, pasted chan<- string)
	visit := func(t *testing.T, address string, want int) {
		response, err := http.Get(address)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %s", address, response.Status)
		}
	}
	const code = "4%2F0code-of-the-person"
	for name, c := range map[string]struct {
		act     way
		fix     string
		foreign int
	}{
		"redirect": {func(t *testing.T, redirect, state string, pasted chan<- string) {
			close(pasted) // no terminal
			visit(t, redirect+"/favicon.ico", 400)
			visit(t, redirect+"/?code=forged-by-another-page&state=guessed", 400)
			visit(t, redirect+"/?state="+state+"&code="+code+"&scope=x", 200)
		}, "", 0},
		"pasted address": {func(_ *testing.T, redirect, state string, pasted chan<- string) {
			pasted <- "what?"
			pasted <- redirect + "/?state=other&code=" + code
			pasted <- redirect + "/?state=" + state + "&code=" + code
		}, "", 2},
		"pasted code":  {func(_ *testing.T, _, _ string, pasted chan<- string) { pasted <- " 4/0code-of-the-person\r" }, "", 0},
		"escaped code": {func(_ *testing.T, _, _ string, pasted chan<- string) { pasted <- code }, "", 0},
		"another code": {func(_ *testing.T, _, _ string, pasted chan<- string) { pasted <- "4/0code-of-somebody" }, "kurir login", 0},
		"access denied": {func(t *testing.T, redirect, state string, _ chan<- string) {
			visit(t, redirect+"/?error=access_denied&state="+state, 200)
		}, "and agree", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, o := google(t)
			b, err := signIn(t, o).Browser()
			if err != nil {
				t.Fatal(err)
			}
			page, err := url.Parse(b.URL)
			if err != nil {
				t.Fatal(err)
			}
			q := page.Query()
			expect(t, q, map[string]string{
				"client_id": "app-id", "response_type": "code", "scope": "https://mail.google.com/", "access_type": "offline",
				"code_challenge_method": "S256", "prompt": "consent", "login_hint": "app@example.com",
			})
			redirect := q.Get("redirect_uri")
			if !strings.HasPrefix(redirect, "http://127.0.0.1:") || len(q.Get("state")) < 16 {
				t.Errorf("the page is %s", b.URL)
			}
			pasted, foreign := make(chan string), 0
			done := make(chan struct{})
			go func() { defer close(done); c.act(t, redirect, q.Get("state"), pasted) }()
			got, err := b.Wait(t.Context(), pasted, func(error) { foreign++ })
			<-done
			if foreign != c.foreign {
				t.Errorf("%d lines were foreign", foreign)
			}
			if c.fix == "" {
				if err != nil || got != "refresh-1" {
					t.Errorf("got %q, %v", got, err)
				}
				expect(t, p.last(), map[string]string{"grant_type": "authorization_code", "redirect_uri": redirect, "client_secret": "s3cr3t-value"})
				return
			}
			var f *explain.Failure
			if !errors.As(err, &f) || !strings.Contains(f.Explanation().Fix, c.fix) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Nobody comes: the wait ends, and the port is free again.
func TestBrowserNobodyComes(t *testing.T) {
	_, o := google(t)
	b, err := signIn(t, o).Browser()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	_, err = b.Wait(ctx, nil, nil)
	var f *explain.Failure
	if !errors.As(err, &f) || !strings.Contains(f.Explanation().Title, "in time") {
		t.Errorf("got %v", err)
	}
}
