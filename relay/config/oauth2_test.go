package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"kurir/relay/config"
)

// A section within a section belongs to the upstream it stands below, and the
// environment reaches it; no secret is printed (P7).
func TestOAuth2(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "from-a-file\n")
	path := write(t, filepath.Join(dir, "kurir.toml"), `
[[upstream]]
host = "smtp.example.com"
username = "a@example.com"
password = "first"
[[upstream]]
provider = "office365"
username = "b@example.com"
[upstream.oauth2]
flow = "Client_Credentials"
tenant = "example.com"
client_id = "app"
client_secret_file = "secret"
`)
	c := load(t, config.Options{Path: path, Environ: []string{"HOME=" + dir}})
	if c.Upstreams[0].OAuth2.Used() {
		t.Errorf("the first upstream got the tokens of the second: %+v", c.Upstreams[0])
	}
	o := c.Upstreams[1].OAuth2
	if o.Flow != "client_credentials" || o.ClientSecret.Reveal() != "from-a-file" || o.ClientID != "app" {
		t.Errorf("got %+v", o)
	}

	path = write(t, filepath.Join(dir, "kurir.toml"), `
[upstream]
host = "smtp.office365.com"
username = "b@example.com"
oauth2 = { flow = "client_credentials", tenant = "example.com", client_id = "app", client_secret_file = "gone" }
`)
	c = load(t, config.Options{Path: path, Environ: []string{"HOME=" + dir, "KURIR_UPSTREAM_OAUTH2_CLIENT_SECRET=from-outside"}})
	if got := c.Upstreams[0].OAuth2.ClientSecret.Reveal(); got != "from-outside" {
		t.Errorf("the variable does not replace the secret of the file: %q", got)
	}
	c = load(t, config.Options{Path: path, Dir: dir, Environ: []string{"HOME=" + dir, "KURIR_UPSTREAM_OAUTH2_CLIENT_SECRET_FILE=secret"}})
	if got := c.Upstreams[0].OAuth2.ClientSecret.Reveal(); got != "from-a-file" {
		t.Errorf("the variable with _FILE gives %q", got)
	}
}

// Who gives the tokens follows from what people write anyway.
func TestTokenIssuer(t *testing.T) {
	for _, c := range []struct {
		u    config.Upstream
		want string
	}{
		{config.Upstream{Host: "smtp.office365.com"}, "microsoft"},
		{config.Upstream{Host: "smtp-mail.outlook.com"}, "microsoft"},
		{config.Upstream{Host: "smtp.hve.mx.microsoft"}, "microsoft"},
		{config.Upstream{Provider: "m365"}, "microsoft"},
		{config.Upstream{Host: "smtp.example.com", OAuth2: config.OAuth2{Tenant: "x"}}, "microsoft"},
		{config.Upstream{Host: "smtp.gmail.com."}, "google"},
		{config.Upstream{Provider: "google-workspace"}, "google"},
		{config.Upstream{Host: "smtp.example.com"}, ""},
		{config.Upstream{Host: "smtp.notgmail.com"}, ""},
	} {
		if got := c.u.TokenIssuer(); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.u.Provider, c.u.Host, got, c.want)
		}
	}
}

// A password that is a token is asked for again, from where it came from.
func TestFetchPassword(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "token"), "one\n")
	for _, u := range []config.Upstream{
		{PasswordFile: path, Password: "zero"}, {PasswordCommand: "echo one", Password: "zero"}, {Password: "one"},
	} {
		if got, err := u.FetchPassword(t.Context()); err != nil || got != "one" {
			t.Errorf("%q: %v", got.Reveal(), err)
		}
	}
	u := config.Upstream{PasswordCommand: "echo one; echo no >&2; false"}
	if _, err := u.FetchPassword(t.Context()); err == nil || strings.Contains(err.Error(), "one") {
		t.Errorf("got %v", err)
	}
}
