package token_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kurir/upstream/explain"
	"kurir/upstream/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An answer is what the endpoint of a test says.
type answer struct {
	status int
	body   string
	header http.Header
}

func good(access string, seconds int, refresh string) answer {
	body := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": seconds}
	if refresh != "" {
		body["refresh_token"] = refresh
	}
	text, _ := json.Marshal(body)
	return answer{status: 200, body: string(text)}
}

func refusal(status int, code, description string) answer {
	text, _ := json.Marshal(map[string]string{"error": code, "error_description": description})
	return answer{status: status, body: string(text)}
}

// A provider plays a token endpoint: reply gives the answer to the nth
// request, from 1. It is a transport, for bubbles of synctest, or a server.
type provider struct {
	reply func(n int, form url.Values) answer

	mu    sync.Mutex
	forms []url.Values
}

func (p *provider) answer(form url.Values) answer {
	p.mu.Lock()
	p.forms = append(p.forms, form)
	n := len(p.forms)
	p.mu.Unlock()
	return p.reply(n, form)
}

func (p *provider) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.forms)
}

func (p *provider) last() url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forms[len(p.forms)-1]
}

// RoundTrip answers after a second. A status of 0 is an endpoint that nobody
// reaches.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Second):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	a := p.answer(form)
	if a.status == 0 {
		return nil, refused
	}
	response := &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(a.body)), Request: r,
	}
	for name, values := range a.header {
		response.Header[name] = values
	}
	return response, nil
}

// serve makes a TLS server of p, and options that lead to it.
func (p *provider) serve(t *testing.T) token.Options {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.ParseForm() != nil {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		a := p.answer(r.PostForm)
		w.Header().Set("Content-Type", "application/json")
		for name, values := range a.header {
			w.Header()[name] = values
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return token.Options{
		Flow: token.ClientCredentials, Issuer: token.Microsoft, Tenant: "example.com",
		Account: "app@example.com", ClientID: "app-id", ClientSecret: "s3cr3t-value",
		TokenURL: server.URL + "/oauth2/v2.0/token", Transport: server.Client().Transport,
	}
}

func always(a answer) *provider {
	return &provider{reply: func(int, url.Values) answer { return a }}
}

func source(t testing.TB, o token.Options) *token.Source {
	t.Helper()
	s, err := token.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t testing.TB, s *token.Source) string {
	t.Helper()
	got, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var newKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func keyPEM(t *testing.T) string {
	der, err := x509.MarshalPKCS8PrivateKey(newKey())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// verify checks the signature of a JWT, and gives header and claims.
func verify(t *testing.T, jwt string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", jwt)
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&newKey().PublicKey, crypto.SHA256, digest[:], decoded[2]); err != nil {
		t.Fatal(err)
	}
	for i, to := range []*map[string]any{&header, &claims} {
		if err := json.Unmarshal(decoded[i], to); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func expect(t *testing.T, got url.Values, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s = %q, want %q", name, got.Get(name), value)
		}
	}
}

// Each flow asks as the providers document it.
func TestFlows(t *testing.T) {
	t.Run("secret", func(t *testing.T) {
		p := always(good("access-1", 3600, ""))
		if got := get(t, source(t, p.serve(t))); got != "access-1" {
			t.Errorf("got %q", got)
		}
		expect(t, p.last(), map[string]string{
			"grant_type": "client_credentials", "client_id": "app-id", "client_secret": "s3cr3t-value",
			"scope": "https://outlook.office365.com/.default",
		})
	})
	t.Run("certificate", func(t *testing.T) {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &newKey().PublicKey, newKey())
		if err != nil {
			t.Fatal(err)
		}
		p := always(good("access-1", 3600, ""))
		o := p.serve(t)
		o.ClientSecret, o.Certificate = "", &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: newKey()}
		get(t, source(t, o))
		expect(t, p.last(), map[string]string{
			"grant_type": "client_credentials", "client_id": "app-id", "client_secret": "",
			"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		})
		header, claims := verify(t, p.last().Get("client_assertion"))
		digest := sha1.Sum(der)
		if header["alg"] != "RS256" || header["x5t"] != base64.RawURLEncoding.EncodeToString(digest[:]) {
			t.Errorf("header %v", header)
		}
		if claims["iss"] != "app-id" || claims["sub"] != "app-id" || claims["aud"] != o.TokenURL || claims["jti"] == "" {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("refresh token", func(t *testing.T) {
		p := always(good("access-1", 3600, ""))
		o := p.serve(t)
		o.Flow, o.RefreshToken = token.RefreshToken, "refresh-0"
		get(t, source(t, o))
		expect(t, p.last(), map[string]string{
			"grant_type": "refresh_token", "refresh_token": "refresh-0", "client_id": "app-id",
			"scope": "https://outlook.office.com/SMTP.Send offline_access",
		})
	})
	t.Run("google service account", func(t *testing.T) {
		p := always(good("access-1", 3600, ""))
		o := p.serve(t)
		key, _ := json.Marshal(map[string]string{
			"type": "service_account", "client_email": "kurir@project.iam.gserviceaccount.com",
			"private_key_id": "key-1", "private_key": keyPEM(t),
		})
		o = token.Options{Flow: token.GoogleServiceAccount, Account: "app@example.com", KeyFile: key, TokenURL: o.TokenURL, Transport: o.Transport}
		get(t, source(t, o))
		expect(t, p.last(), map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id": "", "client_secret": ""})
		header, claims := verify(t, p.last().Get("assertion"))
		if header["kid"] != "key-1" || claims["iss"] != "kurir@project.iam.gserviceaccount.com" ||
			claims["sub"] != "app@example.com" || claims["scope"] != "https://mail.google.com/" || claims["aud"] != o.TokenURL {
			t.Errorf("%v %v", header, claims)
		}
	})
	t.Run("basic", func(t *testing.T) {
		// RFC 6749 wants every endpoint to know Basic, and some know nothing else.
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "app-id" || password != "s3cr3t-value" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, good("access-1", 60, "").body)
		}))
		defer server.Close()
		s := source(t, token.Options{Flow: token.ClientCredentials, TokenURL: server.URL, ClientID: "app-id", ClientSecret: "s3cr3t-value", Transport: server.Client().Transport})
		if got := get(t, s); got != "access-1" {
			t.Errorf("got %q", got)
		}
	})
}

// What is missing is told before anything is asked, by the name of the key.
func TestOptions(t *testing.T) {
	ok := token.Options{Flow: token.ClientCredentials, Issuer: token.Microsoft, Tenant: "t", ClientID: "c", ClientSecret: "s"}
	for key, change := range map[string]func(*token.Options){
		"tenant":        func(o *token.Options) { o.Tenant = "" },
		"cloud":         func(o *token.Options) { o.Cloud = "moon" },
		"token_url":     func(o *token.Options) { o.Issuer = "" },
		"client_id":     func(o *token.Options) { o.ClientID = "" },
		"client_secret": func(o *token.Options) { o.ClientSecret = "" },
		"key_file":      func(o *token.Options) { o.Flow = token.GoogleServiceAccount },
		"client_key":    func(o *token.Options) { o.Certificate = &tls.Certificate{} },
	} {
		o := ok
		change(&o)
		_, err := token.New(o)
		if e, is := err.(*token.OptionError); !is || e.Key != key {
			t.Errorf("%s: got %v", key, err)
		}
	}
	for _, bad := range []string{"http://login.example.com/token", "https://u:p@login.example.com/", "https:///token", "x"} {
		o := ok
		o.TokenURL = bad
		if _, err := token.New(o); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// A told is what the log was told.
type told struct {
	mu                sync.Mutex
	refreshed, failed int
	warnings          []string
	last              *explain.Failure
}

func (l *told) TokenRefreshed(string, time.Time) { l.mu.Lock(); l.refreshed++; l.mu.Unlock() }
func (l *told) TokenFailed(_ string, f *explain.Failure, _, _ time.Time) {
	l.mu.Lock()
	l.failed++
	l.last = f
	l.mu.Unlock()
}
func (l *told) Warning(where, text string) {
	l.mu.Lock()
	l.warnings = append(l.warnings, fmt.Sprint(where, text))
	l.mu.Unlock()
}
