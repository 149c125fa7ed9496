package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/relay/config"
	"kurir/upstream/discover"
	"kurir/upstream/provider"
)

// written makes a directory with the files for a finding, as kurir init does,
// and loads them.
func written(t *testing.T, f discover.Finding) *config.Config {
	t.Helper()
	files := newConfigFiles(&initOptions{output: filepath.Join(t.TempDir(), "kurir.toml")}, f)
	if err := files.write(configText(f, filepath.Base(files.password)), "hunter2"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{files.config, files.password} {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	var names []string
	for _, p := range provider.All() {
		names = append(names, p.Name)
	}
	c, err := config.Load(config.Options{Path: files.config, Providers: names})
	if err != nil {
		t.Fatalf("%+v\n%v", f, err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("%+v\n%v", f, c.Warnings)
	}
	if entries, err := os.ReadDir(filepath.Dir(files.config)); err != nil || len(entries) != 2 {
		t.Errorf("%d files are left, not 2: %v", len(entries), err)
	}
	return c
}

// A written configuration works as it is, for every provider that has one
// host and for what only the network knows.
func TestWrittenConfigLoads(t *testing.T) {
	findings := []discover.Finding{
		{How: discover.ByGuess, Domain: "own.example", Host: "mail.own.example", Username: "me@own.example", MX: "mx.own.example"},
		{How: discover.BySRV, Domain: "own.example", Source: "_submissions._tcp.own.example", Host: "out.own.example",
			Candidate: provider.Candidate{Port: 2465, TLS: "implicit"}, Username: "me@own.example"},
		{How: discover.ByAutoconfig, Domain: "own.example", Source: "https://autoconfig.own.example/mail/config-v1.1.xml",
			Host: "out.own.example", Username: `a"\b#\u0041'@own.example`},
	}
	for _, p := range provider.All() {
		if tokensOnly(p) { // its file waits for an application to be registered
			continue
		}
		f, err := discover.FromProvider(p.Name, "me@own.example")
		if err != nil {
			t.Fatal(err)
		}
		if f.Host == "" {
			f.Host = "server.own.example"
		}
		if f.Username == "" {
			f.Username = "me"
		}
		findings = append(findings, f)
	}
	for _, f := range findings {
		u := written(t, f).Upstreams[0]
		if u.Host != f.Host || u.Username != f.Username || u.Password != "hunter2" || u.Port != f.Candidate.Port {
			t.Errorf("%+v\nbecame %s:%d %s", f, u.Host, u.Port, u.Username)
		}
		if f.Candidate.Port != 0 && u.TLS != string(f.Candidate.TLS) {
			t.Errorf("TLS %s, want %s", u.TLS, f.Candidate.TLS)
		}
	}
}

// Whatever a person types or a file is called, it stays inside its quotes.
func TestSetting(t *testing.T) {
	for _, text := range []string{`"`, `\`, "\n", "a\"\n[listen]\nallow = [\"0.0.0.0/0\"]\n#", "\x00\x1f\x7f", "é€😀", `\u0041`} {
		path := filepath.Join(t.TempDir(), "kurir.toml")
		body := "[upstream]\nhost = \"mail.own.example\"\nusername = \"me\"\n" + setting("password_command", text)
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Options{Path: path})
		if err != nil || c.Upstreams[0].PasswordCommand != text {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What a finding leaves in doubt is told to the person who must judge it.
func TestNotes(t *testing.T) {
	outlook, err := discover.FromProvider("outlook", "")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		f    discover.Finding
		want string
	}{
		{outlook, "Outlook.com takes no passwords"},
		{discover.Finding{How: discover.BySRV, Domain: "own.example", Host: "mail.else.example", Foreign: true}, "mail.else.example is outside of own.example"},
		{discover.Finding{How: discover.ByGuess, Host: "mail.gmial.com", Similar: "gmail.com"}, "Did you mean gmail.com?"},
		{discover.Finding{How: discover.ByGuess, Host: "mail.own.example", MX: "mx.else.example"}, "try mx.else.example"},
		{discover.Finding{How: discover.ByGuess, Host: "mail.own.example", Trouble: io.ErrUnexpectedEOF}, "DNS did not answer (unexpected EOF)"},
		{discover.Finding{How: discover.ByGuess, Host: "mail.own.example", MX: "mail.own.example"}, ""},
	}
	for _, tt := range tests {
		if got := strings.Join(notes(tt.f), "\n"); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// A path must come out of the shell as it went in.
func TestShellWord(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/kurir/kurir.toml": "/etc/kurir/kurir.toml",
		"my kurir.toml":         "'my kurir.toml'",
		"it's;rm":               `'it'\''s;rm'`,
	} {
		if got := shellWord(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
