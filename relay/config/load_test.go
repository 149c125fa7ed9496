package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/relay/config"
)

const minimal = `[upstream]
host = "smtp.example.com"
username = "you@example.com"
password = "secret"
`

// write makes a file that only its owner can read and returns its path.
func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, o config.Options) *config.Config {
	t.Helper()
	c, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestExample proves that the example file shows every key with its default,
// and that the three lines it sets are all that a user must give.
func TestExample(t *testing.T) {
	data, err := os.ReadFile("../../config.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != config.Example() {
		t.Error("relay/config/example.toml is what the program carries of config.example.toml, and differs from it: copy that over it")
	}
	want := config.Default()
	want.Upstreams[0].Host = "smtp.example.com"
	want.Upstreams[0].Username = "you@example.com"
	want.Upstreams[0].Password = "secret"
	all := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAllString(string(data), "$1")
	for _, text := range []string{string(data), all} {
		path := write(t, filepath.Join(t.TempDir(), "kurir.toml"), text)
		got := load(t, config.Options{Path: path}.OnMachine("", "/var/lib/kurir", true))
		if len(got.Warnings) > 0 {
			t.Errorf("warnings: %v", got.Warnings)
		}
		got.File = ""
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("got  %+v\nwant %+v", *got, want)
		}
	}

	section, shown := "", []string{}
	for line := range strings.Lines(all) {
		if header, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimRight(header, "]\n") + "."
		} else if name, _, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(line, "#") {
			shown = append(shown, section+name)
		}
	}
	slices.Sort(shown)
	if keys := keysOf(reflect.TypeFor[config.Config](), ""); !slices.Equal(shown, keys) {
		t.Errorf("the example shows %v\nthe keys are     %v", shown, keys)
	}
}

func keysOf(table reflect.Type, prefix string) (keys []string) {
	for f := range table.Fields() {
		name, kind := f.Tag.Get("toml"), f.Type
		if kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
		switch {
		case name == "-":
		case kind.Kind() == reflect.Struct && kind != reflect.TypeFor[config.Rate]():
			keys = append(keys, keysOf(kind, prefix+name+".")...)
		default:
			keys = append(keys, prefix+name)
		}
	}
	slices.Sort(keys)
	return keys
}

// TestWhole proves that each kind of value arrives, in the plain and in other
// notations of TOML.
func TestWhole(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pw"), "abcd efgh ijkl mnop\n")
	path := write(t, filepath.Join(dir, "kurir.toml"), `
hostname = "relay.example.com"
state_dir = "state"
listen = { smtp = [":2525"], allow = ["private", "192.0.2.7", "2001:db8::/32"], max_message_size = 26214400 }
log.level = "DEBUG"
[[upstream]]
host = "smtp.example.com"
port = 465
tls = "implicit"
username = "you@example.com"
password_file = "pw"
auth = "plain"
senders = ["@example.com", "example.org", "me@example.net"]
[[upstream]]
host = "2001:db8::7"
fallback_after = "1m"
[delivery]
give_up_after = "1d12h"
keep_failed = "0s"
[spool]
max_size = "1.5 GiB"
`)
	c := load(t, config.Options{Path: path})
	first, second := c.Upstreams[0], c.Upstreams[1]
	for _, test := range []struct{ what, got, want any }{
		{"hostname", c.Hostname, "relay.example.com"},
		{"state_dir", c.StateDir, filepath.Join(dir, "state")},
		{"spool.dir", c.Spool.Dir, filepath.Join(dir, "state", "spool")},
		{"listen.smtp", c.Listen.SMTP, []string{":2525"}},
		{"listen.max_message_size", c.Listen.MaxMessageSize, config.Size(25 << 20)},
		{"listen.max_recipients", c.Listen.MaxRecipients, 1000},
		{"log.level", c.Log.Level, "debug"},
		{"auth", first.Auth, "PLAIN"},
		{"password, as it is in the file", first.Password.Reveal(), "abcd efgh ijkl mnop"},
		{"senders", first.Senders, []string{"@example.com", "example.org", "me@example.net"}},
		{"host", second.Host, "2001:db8::7"},
		{"tls of the second", second.TLS, "auto"},
		{"fallback_after", second.FallbackAfter, config.Duration(time.Minute)},
		{"give_up_after", c.Delivery.GiveUpAfter, config.Duration(36 * time.Hour)},
		{"keep_failed", c.Delivery.KeepFailed, config.Duration(0)},
		{"max_size", c.Spool.MaxSize, config.Size(3 << 29)},
		{"file", c.File, path},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("%s: %v, want %v", test.what, test.got, test.want)
		}
	}
}

// TestEnvironment proves that a container needs no file, and that the
// environment goes before one.
func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "from a file\r\n")
	write(t, filepath.Join(dir, "names"), "a@example.com\nb@example.com\n")
	machine := func(environ ...string) config.Options {
		return config.Options{Dir: dir, Environ: append(environ, "HOME=/home/you")}.OnMachine(filepath.Join(dir, "none"), "/nonexistent/kurir", false)
	}
	c := load(t, machine(
		"KURIR_HOSTNAME=relay.example.com", "KURIR_UPSTREAM_HOST=smtp.example.com", "KURIR_UPSTREAM_PORT=587",
		"KURIR_UPSTREAM_USERNAME=you", "KURIR_UPSTREAM_PASSWORD_FILE=secret", "KURIR_UPSTREAM_SENDERS_FILE=names",
		"KURIR_LISTEN_SMTP=127.0.0.1:25, [::1]:2525", "KURIR_DELIVERY_WAIT=2s", "KURIR_LISTEN_MAX_MESSAGE_SIZE=10MB",
		"KURIR_LOG_LEVEL=", "KURIR_CONFIG=",
		// What Kubernetes sets beside a service called kurir.
		"KURIR_PORT=tcp://192.0.2.1:25", "KURIR_SERVICE_HOST=192.0.2.1", "KURIR_SERVICE_PORT=25",
		"KURIR_SERVICE_PORT_SMTP=25", "KURIR_PORT_25_TCP=tcp://192.0.2.1:25", "KURIR_PORT_25_TCP_ADDR=192.0.2.1",
		"KURIR_HTTP_PORT=tcp://192.0.2.1:80",
	))
	u := c.Upstreams[0]
	for _, test := range []struct{ what, got, want any }{
		{"host", u.Host, "smtp.example.com"},
		{"port", u.Port, 587},
		{"password", u.Password.Reveal(), "from a file"},
		{"senders", u.Senders, []string{"a@example.com", "b@example.com"}},
		{"smtp", c.Listen.SMTP, []string{"127.0.0.1:25", "[::1]:2525"}},
		{"wait", c.Delivery.Wait, config.Duration(2 * time.Second)},
		{"size", c.Listen.MaxMessageSize, config.Size(10e6)},
		{"level, empty and so not set", c.Log.Level, "info"},
		{"state_dir", c.StateDir, "/home/you/.local/state/kurir"},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("%s: %v, want %v", test.what, test.got, test.want)
		}
	}

	write(t, filepath.Join(dir, "kurir.toml"), strings.Replace(minimal, `password = "secret"`, `password_command = "false"`, 1))
	c = load(t, machine("KURIR_UPSTREAM_PASSWORD=from the environment", "KURIR_UPSTREAM_HOST=other.example.com"))
	u = c.Upstreams[0]
	if u.Host != "other.example.com" || u.Password.Reveal() != "from the environment" || u.PasswordCommand != "" {
		t.Errorf("the file goes before the environment: %+v", u)
	}
}

// TestEnvironmentFaults proves that a fault in the environment names the
// variable, and writes what to write as a variable.
func TestEnvironmentFaults(t *testing.T) {
	dir := t.TempDir()
	_, err := config.Load(config.Options{Dir: dir, Path: write(t, filepath.Join(dir, "some.toml"), minimal), Environ: []string{
		"KURIR_UPSTREAM_HSOT=smtp.example.com", "KURIR_PASSWORD=hunter2", "KURIR_FLAVOUR=sweet", "KURIR_UPSTREAM_PASWORD_FILE=x",
		"KURIR_UPSTREAM_PORT=smtp", "KURIR_UPSTREAM_HOST=smtps://smtp.example.com:465", "KURIR_LOG_LEVEL=loud",
		"KURIR_LISTEN_SMTP=0.0.0.0:25", "KURIR_HOSTNAME_FILE=no-such-file", "KURIR_DELIVERY_WAIT=4",
		"KURIR_LOG_FORMAT=json", "KURIR_LOG_FORMAT_FILE=format", "KURIR_SPOOL_MAX_SIZE=big",
		"KURIR_LISTEN_MAX_RECIPIENTS=-1", "KURIR_DELIVERY_MODE=queued",
	}})
	want := `KURIR_DELIVERY_WAIT: delivery.wait: "4" has no unit (ms, s, m, h or d): write KURIR_DELIVERY_WAIT=4s if seconds are meant
KURIR_FLAVOUR: is not a variable that Kurir knows: remove it, or name it KURIR_SECTION_KEY after a key of the file
KURIR_HOSTNAME_FILE: hostname: DIR/no-such-file: there is no such file: create the file, or correct KURIR_HOSTNAME_FILE
KURIR_LOG_FORMAT_FILE: log.format: is set by KURIR_LOG_FORMAT too: keep one of the two
KURIR_PASSWORD: is not a variable that Kurir knows: write KURIR_UPSTREAM_PASSWORD
KURIR_SPOOL_MAX_SIZE: spool.max_size: "big" is not a size: write KURIR_SPOOL_MAX_SIZE=2GB
KURIR_UPSTREAM_HSOT: is not a variable that Kurir knows: write KURIR_UPSTREAM_HOST
KURIR_UPSTREAM_PASWORD_FILE: is not a variable that Kurir knows: write KURIR_UPSTREAM_PASSWORD_FILE
KURIR_UPSTREAM_PORT: upstream.port: "smtp" is not a number: write KURIR_UPSTREAM_PORT=587
KURIR_LISTEN_SMTP: listen.smtp: "0.0.0.0:25" listens to the network, but only this machine may send: write KURIR_LISTEN_ALLOW=loopback,private or the networks of your apps, or listen on 127.0.0.1 alone
KURIR_LISTEN_MAX_RECIPIENTS: listen.max_recipients: -1 is out of range: write a number from 1 to 100000
KURIR_UPSTREAM_HOST: upstream.host: begins with "smtps://", which is not part of the name: write KURIR_UPSTREAM_HOST=smtp.example.com
KURIR_DELIVERY_MODE: delivery.mode: "queued" is not "through", "queue" or "direct": write KURIR_DELIVERY_MODE=queue
KURIR_LOG_LEVEL: log.level: "loud" is not "debug", "info", "warn" or "error": write KURIR_LOG_LEVEL=info`
	if got := strings.ReplaceAll(fmt.Sprint(err), dir, "DIR"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}

	// Without any file, what is missing is told as a variable too.
	_, err = config.Load(config.Options{
		Dir: dir, Environ: []string{"KURIR_UPSTREAM_HOST=smtp.example.com:587", "KURIR_UPSTREAM_USERNAME=you"},
	}.OnMachine("/nonexistent/kurir", "/nonexistent/kurir", false))
	want = `KURIR_UPSTREAM_HOST: upstream.host: "smtp.example.com:587" has a port in it: write KURIR_UPSTREAM_HOST=smtp.example.com and KURIR_UPSTREAM_PORT=587
upstream.password: is missing, for there is a username: write KURIR_UPSTREAM_PASSWORD=…, or KURIR_UPSTREAM_PASSWORD_FILE=/etc/kurir/password`
	if fmt.Sprint(err) != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

// TestFind proves in what order the file is looked for, and that each place
// that is named must exist.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	system := write(t, filepath.Join(dir, "system.toml"), minimal)
	named := write(t, filepath.Join(dir, "named.toml"), minimal)
	o := config.Options{Dir: dir}.OnMachine(system, "/nonexistent/kurir", false)
	check := func(o config.Options, want string) {
		t.Helper()
		if got := load(t, o).File; got != want {
			t.Errorf("read %s, want %s", got, want)
		}
	}
	check(o, system)
	local := write(t, filepath.Join(dir, "kurir.toml"), minimal)
	check(o, local)
	o.Environ = []string{"KURIR_CONFIG=named.toml"}
	check(o, named)
	o.Path = system
	check(o, system)

	for by, o := range map[string]config.Options{
		"--config":     {Path: filepath.Join(dir, "gone.toml")},
		"KURIR_CONFIG": {Dir: dir, Environ: []string{"KURIR_CONFIG=gone.toml"}},
	} {
		_, err := config.Load(o)
		want := filepath.Join(dir, "gone.toml") + ": there is no such file: create it, or change " + by
		if fmt.Sprint(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, err := config.Load(config.Options{Path: dir})
	if want := dir + ": is a directory"; !strings.HasPrefix(fmt.Sprint(err), want) {
		t.Errorf("%v, want %s …", err, want)
	}
}

// TestMissing proves that a first run without anything says what to write, in
// a form that then loads.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	system := filepath.Join(dir, "system.toml")
	o := config.Options{Dir: dir, Environ: []string{"KURIR_UPSTREAM_HSOT=smtp.example.com"}}.OnMachine(system, "/nonexistent/kurir", false)
	_, err := config.Load(o)
	var missing *config.MissingError
	var faults config.Faults
	if !errors.As(err, &missing) || !errors.As(err, &faults) {
		t.Fatalf("Load: %v, want both a MissingError and Faults", err)
	}
	if want := []string{filepath.Join(dir, "kurir.toml"), system}; !slices.Equal(missing.Looked, want) {
		t.Errorf("looked for %v, want %v", missing.Looked, want)
	}
	for _, place := range missing.Looked {
		if !strings.Contains(missing.Error(), place) {
			t.Errorf("%s is not named in:\n%s", place, missing)
		}
	}
	_, shown, _ := strings.Cut(missing.Error(), "\n\n")
	o.Environ = nil
	write(t, system, shown)
	load(t, o)
}

// TestSandbox proves that the sandbox needs no file and no host, and that it
// touches neither the configured relay nor its mail.
func TestSandbox(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "kurir.toml"), minimal+"[delivery]\nmode = 'direct'\n")
	o := config.Options{Dir: dir, Sandbox: true, Environ: []string{
		"STATE_DIRECTORY=/var/lib/kurir", "KURIR_CONFIG=kurir.toml", "KURIR_LOG_LEVEL=debug", "KURIR_UPSTREAM_USERNAME=you",
	}}
	c := load(t, o)
	if c.File != "" || c.StateDir != "" || c.Spool.Dir != "" || c.Delivery.Mode != "through" || c.Log.Level != "debug" ||
		!slices.Equal(c.Listen.SMTP, []string{"127.0.0.1:2525"}) || len(c.Upstreams) != 1 {
		t.Errorf("%+v", c)
	}
	o.Path = "kurir.toml"
	o.Environ = append(o.Environ, "KURIR_STATE_DIR=state")
	if c := load(t, o); c.Delivery.Mode != "direct" || c.Spool.Dir != filepath.Join(dir, "state", "spool") {
		t.Errorf("a file or a directory that is named is not used: %+v", c)
	}
}

// TestStateDir proves the order of the places for what must survive a restart.
func TestStateDir(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "kurir.toml"), minimal)
	for _, test := range []struct {
		name      string
		environ   []string
		lib       string
		superuser bool
		want      string
	}{
		{"systemd", []string{"STATE_DIRECTORY=/var/lib/a:/var/lib/b"}, dir, true, "/var/lib/a"},
		{"root", nil, "/nonexistent/kurir", true, "/nonexistent/kurir"},
		{"writable", []string{"HOME=/home/you"}, dir, false, dir},
		{"XDG", []string{"HOME=/home/you", "XDG_STATE_HOME=/home/you/state"}, "/nonexistent/kurir", false, "/home/you/state/kurir"},
		{"XDG relative, which its specification forbids", []string{"HOME=/home/you", "XDG_STATE_HOME=state"}, "/nonexistent/kurir", false, "/home/you/.local/state/kurir"},
		{"nothing", nil, "/nonexistent/kurir", false, "/nonexistent/kurir"},
		{"given", []string{"STATE_DIRECTORY=/var/lib/a", "KURIR_STATE_DIR=/srv/kurir"}, dir, true, "/srv/kurir"},
	} {
		c := load(t, config.Options{Path: path, Environ: test.environ}.OnMachine("", test.lib, test.superuser))
		if c.StateDir != test.want || c.Spool.Dir != filepath.Join(test.want, "spool") {
			t.Errorf("%s: %s and %s, want %s", test.name, c.StateDir, c.Spool.Dir, test.want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("something was left behind: %v", entries)
	}
}

// TestCredential proves that a systemd credential serves as the password, but
// only where none is given, that only the first provider gets it, and that an
// empty one is none.
func TestCredential(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "password"), "from systemd\n")
	path := filepath.Join(dir, "kurir.toml")
	environ := []string{"CREDENTIALS_DIRECTORY=" + dir}
	without := strings.Replace(minimal, "password = \"secret\"\n", "", 1)

	write(t, path, without)
	if got := load(t, config.Options{Path: path, Environ: environ}).Upstreams[0].Password.Reveal(); got != "from systemd" {
		t.Errorf("password %q", got)
	}
	write(t, path, minimal)
	if got := load(t, config.Options{Path: path, Environ: environ}).Upstreams[0].Password.Reveal(); got != "secret" {
		t.Errorf("password %q", got)
	}
	twice := strings.ReplaceAll(without, "[upstream]", "[[upstream]]")
	write(t, path, twice+twice)
	_, err := config.Load(config.Options{Path: path, Environ: environ})
	if want := path + ":4: upstream.password: is missing"; !strings.HasPrefix(fmt.Sprint(err), want) {
		t.Errorf("%v, want %s …", err, want)
	}

	write(t, filepath.Join(dir, "password"), "\n")
	write(t, path, without)
	_, err = config.Load(config.Options{Path: path, Environ: environ})
	if want := ": upstream.password: is missing"; !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v, want … %s …", err, want)
	}
}

// TestPasswordBeside proves that a check by hand finds the password of the
// service, and that who only asks the relay needs none.
func TestPasswordBeside(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "kurir.toml"), strings.Replace(minimal, "password = \"secret\"\n", "", 1))
	if _, err := config.Load(config.Options{Path: path, Asking: true}); err != nil {
		t.Error(err)
	}
	for text, found := range map[string]bool{
		minimal + "prot = 1\n[listen]\nsmtp = 1\n[delivery]\nmode = \"\"\n": true,
		"stat_dir = \"/x\"\n" + minimal:                                     false,
		minimal + "[spol]\ndir = \"/x\"\n":                                  false,
		minimal + "[control]\nhttp = \"no\"\n":                              false,
		minimal + "[log]\nlevel = ":                                         true,
		minimal + "[log]\nlevel = [ \"a\",":                                 false,
		minimal + "[control]\nsocket = ":                                    false,
		minimal + "state_dir = \"/x\"\n":                                    false,
		minimal + "[delivery]\nsocket = \"/x\"\n":                           false,
	} {
		faulty := write(t, filepath.Join(dir, "faulty.toml"), text)
		if c, err := config.Load(config.Options{Path: faulty, Asking: true}); err == nil || (c != nil) != found {
			t.Errorf("%s\n%v, %v", text, c, err)
		}
	}
	home := []string{"HOME=" + filepath.Join(dir, "home")}
	if _, err := os.Stat("/proc/self"); err == nil { // where root cannot write either
		if c, err := config.Load(config.Options{Path: path, Environ: home, Asking: true}.OnMachine(path, "/proc", false)); err != nil || c.StateDir != "/proc" {
			t.Errorf("%v, %v, want the directory of the service", c, err)
		}
	}
	write(t, filepath.Join(dir, "password"), "beside\n")
	if got := load(t, config.Options{Path: path}.OnMachine(path, dir, true)).Upstreams[0].Password.Reveal(); got != "beside" {
		t.Errorf("password %q", got)
	}
	if _, err := config.Load(config.Options{Path: path}); err == nil {
		t.Error("a file beside any configuration was taken for the password")
	}
}

// TestWarnings proves that what works but is risky is told and not refused.
func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	password := write(t, filepath.Join(dir, "password"), "secret\n")
	path := write(t, filepath.Join(dir, "kurir.toml"), `hostname = "web1"
[[upstream]]
host = "smtp.example.com"
username = "you"
password_file = "password"
port = 465
tls = "starttls"
[[upstream]]
host = "smtp.example.org"
username = "you"
password = "secret"
[listen]
smtp = ["0.0.0.0:25"]
allow = ["0.0.0.0/0"]
`)
	for _, file := range []string{password, path} {
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, w := range load(t, config.Options{Path: path}).Warnings {
		got = append(got, strings.ReplaceAll(w.String(), dir, "DIR"))
	}
	want := []string{
		`DIR/kurir.toml: hostname: "web1" has no dot; some providers refuse such a name, a full one is like "relay.example.com"`,
		`DIR/kurir.toml: listen.allow: "0.0.0.0/0" lets everybody who reaches this machine send mail in your name; write the networks of your apps, or "private"`,
		`DIR/kurir.toml: upstream.tls: port 465 nearly always speaks implicit TLS; leave tls and port out to let Kurir find out`,
		`DIR/password: upstream.password_file: everybody on this machine can read the password: chmod o= DIR/password`,
		`DIR/kurir.toml: upstream.password: everybody on this machine can read the password: chmod o= DIR/kurir.toml`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestResolve proves that a command can give the password, and that one that
// fails says why without showing what it printed (P7).
func TestResolve(t *testing.T) {
	for _, test := range []struct{ command, password, want string }{
		{"echo hunter2", "hunter2", ""},
		{"printf 'two words'", "two words", ""},
		{"echo hunter2; echo 'hunter2 is wrong' >&2; exit 3", "", `failed (exit status 3), saying "[redacted] is wrong"`},
		{"exit 1", "", "failed (exit status 1)"},
		{"true", "", "is empty"},
		{"echo hunter2; echo hunter2", "", "has more than one line"},
		{"yes hunter2", "", "has more than one line"},
	} {
		command := strings.Replace(test.command, "yes hunter2", "yes hunter2 | head -c 100000", 1)
		c := config.Config{File: "kurir.toml", Upstreams: []config.Upstream{{Host: "smtp.example.com", PasswordCommand: command}}}
		err := c.Resolve(t.Context())
		if got := c.Upstreams[0].Password.Reveal(); got != test.password {
			t.Errorf("%s: password %q, want %q", test.command, got, test.password)
		}
		want := "<nil>"
		if test.want != "" {
			want = "kurir.toml: upstream.password_command: " + test.want + ": write a command that prints the password and nothing else"
		}
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s: %s, want %s", test.command, got, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := config.Config{Upstreams: []config.Upstream{{PasswordCommand: "echo hunter2"}, {Host: "b.example.com", PasswordCommand: "echo hunter2"}}}
	want := "upstream.password_command: (for b.example.com) was broken off"
	if err := c.Resolve(ctx); !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
