package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kurir/relay/config"
)

// Whoever hands mail in gets as far as the relay, whatever can be read of its
// configuration: a mistake in there costs no mail.
func TestLoadOutside(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	defaults := []string{"unix:/run/kurir/smtp.sock", "127.0.0.1:25", "[::1]:25"}
	for _, test := range []struct {
		name    string
		environ []string
		smtp    []string
		drop    string
	}{
		{"no file", []string{"KURIR_CONFIG=" + filepath.Join(dir, "none")}, defaults, ""},
		{"no host", []string{"KURIR_CONFIG=" + write("a.toml", "state_dir = \"/s\"\nlisten.smtp = [\"unix:/x\", \"127.0.0.1:2525\"]\n")},
			[]string{"unix:/x", "127.0.0.1:2525"}, "/s/drop"},
		{"relative", []string{"KURIR_CONFIG=" + write("b.toml", "spool.drop = \"d\"\n")}, defaults, filepath.Join(dir, "d")},
		{"no TOML", []string{"KURIR_CONFIG=" + write("c.toml", "state_dir = \"/s\n")}, defaults, ""},
		{"faults", []string{"KURIR_CONFIG=" + write("d.toml", "stat_dir = 1\nstate_dir = \"/s\"\nlisten.smtp = 25\n")}, defaults, "/s/drop"},
		{"environment", []string{"KURIR_CONFIG=" + filepath.Join(dir, "a.toml"), "KURIR_LISTEN_SMTP=127.0.0.1:26", "KURIR_SPOOL_DROP=/d", "KURIR_NONSENSE=1"},
			[]string{"127.0.0.1:26"}, "/d"},
		{"of another service", []string{"KURIR_CONFIG=" + filepath.Join(dir, "none"), "STATE_DIRECTORY=/other", "RUNTIME_DIRECTORY=/other"}, defaults, ""},
	} {
		c := config.LoadOutside(config.Options{Environ: append(test.environ, "HOME="+filepath.Join(dir, "home"))})
		drop := test.drop
		if drop == "" {
			drop = config.Default().StateDir + "/drop"
		}
		if !slices.Equal(c.Listen.SMTP, test.smtp) || c.DropDir() != drop {
			t.Errorf("%s: %q, %q; want %q, %q", test.name, c.Listen.SMTP, c.DropDir(), test.smtp, drop)
		}
	}
}

// The working directory may belong to who wants mail to go another way, and a
// password that happens to be readable is not kept.
func TestLoadOutsideTrustsNoWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("kurir.toml", []byte("listen.smtp = [\"127.0.0.1:666\"]\n[upstream]\npassword = \"geheim\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := config.LoadOutside(config.Options{})
	if slices.Contains(c.Listen.SMTP, "127.0.0.1:666") {
		t.Error("a file in the working directory was read")
	}
	if c = config.LoadOutside(config.Options{Environ: []string{"KURIR_CONFIG=kurir.toml"}}); len(c.Upstreams) > 0 {
		t.Errorf("it has %v", c.Upstreams)
	}
}
