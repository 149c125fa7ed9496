package relay_test

import (
	"os"
	"path/filepath"
	"testing"

	"kurir/relay"
	"kurir/relay/config"
)

// A smart host signs in with tokens where the configuration says so, and with
// the password elsewhere.
func TestTokens(t *testing.T) {
	dir := t.TempDir()
	refresh := filepath.Join(dir, "refresh")
	if err := os.WriteFile(refresh, []byte("refresh-0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := config.Default().Upstreams[0]
	base.Host, base.Username = "smtp.example.com", "app@example.com"
	with := func(change func(*config.Upstream)) config.Upstream {
		u := base
		change(&u)
		return u
	}
	oauth2 := with(func(u *config.Upstream) {
		u.OAuth2 = config.OAuth2{Flow: "refresh_token", ClientID: "app", TokenURL: "https://login.example.com/token", RefreshTokenFile: refresh}
	})
	for _, c := range []struct {
		name   string
		u      config.Upstream
		tokens bool
	}{
		{"password", with(func(u *config.Upstream) { u.Password = "secret" }), false},
		{"pinned", with(func(u *config.Upstream) { u.Password, u.Auth = "secret", "PLAIN" }), false},
		{"token for a password", with(func(u *config.Upstream) { u.Password, u.Auth = "token", "XOAUTH2" }), true},
		{"oauth2", oauth2, true},
	} {
		all, err := relay.UpstreamOptions(&config.Config{StateDir: dir, Upstreams: []config.Upstream{c.u}})
		if err != nil || (all[0].Token != nil) != c.tokens {
			t.Errorf("%s: %+v, %v", c.name, all, err)
			continue
		}
		if c.name == "token for a password" {
			if got, err := all[0].Token.Token(t.Context()); got != "token" || err != nil {
				t.Errorf("%s: got %q, %v", c.name, got, err)
			}
		}
	}
	o, err := relay.TokenOptions(oauth2, dir)
	if err != nil || o.RefreshToken != "refresh-0" || o.Dir != filepath.Join(dir, "tokens") || o.Account != "app@example.com" {
		t.Errorf("got %+v, %v", o, err)
	}
	oauth2.OAuth2.RefreshTokenFile += "-gone"
	if _, err := relay.TokenOptions(oauth2, dir); err == nil {
		t.Error("a file that is missing is no error")
	}
	if _, err := relay.UpstreamOptions(&config.Config{Upstreams: []config.Upstream{with(func(u *config.Upstream) { u.OAuth2.Flow = "client_credentials" })}}); err == nil {
		t.Error("a flow without an application is no error")
	}
}
