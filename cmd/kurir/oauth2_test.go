package main_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// An issuer is the token endpoint of a provider, as Microsoft documents it.
type issuer struct {
	*httptest.Server

	mu     sync.Mutex
	asked  int
	tokens []string // given in turn, the last one for ever
	code   int      // of the error that is given instead, if it is set
	fault  string
	words  string
}

func newIssuer(t *testing.T, authority *sandbox.Authority) *issuer {
	t.Helper()
	i := new(issuer)
	i.Server = httptest.NewUnstartedServer(i)
	pair, err := authority.Issue(sandbox.Good)
	if err != nil {
		t.Fatal(err)
	}
	i.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	i.StartTLS()
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	w.Header().Set("Content-Type", "application/json")
	if err := r.ParseForm(); err != nil || r.Form.Get("client_secret") != "the secret" || r.Form.Get("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if i.code != 0 {
		w.WriteHeader(i.code)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": i.fault, "error_description": i.words})
		return
	}
	token := i.tokens[0]
	if len(i.tokens) > 1 {
		i.tokens = i.tokens[1:]
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3599})
}

func (i *issuer) set(code int, fault, words string, tokens ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.code, i.fault, i.words, i.tokens = code, fault, words, tokens
}

// Whatever becomes of the tokens, no mail is lost, neither the endpoint nor the
// provider sees a storm of requests, and each trouble is told by its own cause.
func TestOAuth2(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	authority, err := sandbox.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := newIssuer(t, authority)
	smartHost := upstreamtest.Sandbox(t, sandbox.Options{Username: "app@example.com", Password: "token-good"})
	if err := smartHost.Set(sandbox.Behaviour{Auth: []string{"XOAUTH2"}}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca, trusted := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "trusted.pem")
	for path, text := range map[string][]byte{ca: smartHost.CA(), trusted: authority.PEM()} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := writeConfig(t, dir, fmt.Sprintf(`[listen]
smtp = ["127.0.0.1:0"]
[upstream]
host = "localhost"
port = %d
tls = "starttls"
username = "app@example.com"
ca_file = %q
[upstream.oauth2]
flow = "client_credentials"
client_id = "app"
client_secret = "the secret"
token_url = "https://localhost:%s/token"
scope = "https://outlook.office365.com/.default"
[delivery]
retry_min = "50ms"
retry_max = "100ms"
`, smartHost.STARTTLS().Port, ca, endpoint.URL[len("https://127.0.0.1:"):]))
	s := newScene()
	relay := newRelay(t, s, "kurir", "serve", "--config", file)
	relay.environ = append(relay.environ, "SSL_CERT_FILE="+trusted)

	endpoint.set(0, "", "", "token-good")
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	load := &load{scene: s, relay: relay, addr: relay.started().SMTP[0], taken: map[string]bool{}, sent: map[string]int{}, sizes: []int{100}}
	sent := 0
	send := func() {
		t.Helper()
		sent++
		if !load.try(fmt.Sprintf("mail-%d", sent)) {
			t.Fatalf("mail %d was not taken", sent)
		}
	}
	arrive := func() {
		t.Helper()
		if _, err := smartHost.Wait(ctx, sent); err != nil {
			t.Fatalf("%v; log:\n%s", err, tail(relay.log()))
		}
	}
	reloads := 0
	reload := func() { // without the token that is still good
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, "state", "tokens")); err != nil {
			t.Fatal(err)
		}
		reloads++
		if err := relay.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if err := s.until(ctx, "the reload", func() bool {
			n := 0
			for _, e := range relay.events {
				if e.Event == "relay.reloaded" {
					n++
				}
			}
			return n == reloads
		}); err != nil {
			t.Fatal(err)
		}
	}
	send()
	arrive()

	for _, c := range []struct {
		name         string
		code         int
		fault, words string
		cause        explain.Cause
	}{
		{name: "revoked", code: 400, fault: "invalid_grant", words: "AADSTS50173: The provided grant has expired due to it being revoked", cause: explain.AuthToken},
		{name: "expired secret", code: 401, fault: "invalid_client", words: "AADSTS7000222: The provided client secret keys for app 'app' are expired.", cause: explain.AuthToken},
		{name: "wrong scope", code: 400, fault: "invalid_scope", words: "AADSTS70011: The provided value for the input parameter 'scope' is not valid.", cause: explain.AuthToken},
		{name: "busy", code: 503, fault: "temporarily_unavailable", words: "try later", cause: explain.AuthTemporary},
	} {
		endpoint.set(c.code, c.fault, c.words)
		from := len(relay.log())
		reload()
		send()
		if err := s.until(ctx, c.name, func() bool {
			for _, e := range relay.events[min(from, len(relay.events)):] {
				if (e.Event == "upstream.held" || e.Event == "upstream.unavailable") && e.Cause == string(c.cause) {
					return true
				}
			}
			return false
		}); err != nil {
			t.Fatalf("%v; log:\n%s", err, tail(relay.log()))
		}
		endpoint.mu.Lock()
		asked := endpoint.asked
		endpoint.mu.Unlock()
		for range 5 {
			send()
		}
		endpoint.mu.Lock()
		if endpoint.asked > asked+2 {
			t.Errorf("%s: %d requests for tokens while mail came in", c.name, endpoint.asked-asked)
		}
		endpoint.mu.Unlock()
		endpoint.set(0, "", "", "token-stale", "token-good") // the first one is refused by the provider
		reload()
		arrive()
	}
	if n := smartHost.Stats().Auths; n > 20 {
		t.Errorf("%d logins for %d mails", n, sent)
	}
}
