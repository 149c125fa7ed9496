package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// checkPassword is none that could stand in an output by chance.
const checkPassword = "correct-horse-battery"

// provider runs a smart host for the length of a test.
func provider(t *testing.T) *sandbox.Server {
	t.Helper()
	return upstreamtest.Sandbox(t, sandbox.Options{Username: "app@example.com", Password: checkPassword})
}

// checkConfig is a configuration for that provider; more goes into [upstream].
func checkConfig(t *testing.T, s *sandbox.Server, password, more string) string {
	t.Helper()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kurir.toml")
	text := fmt.Sprintf(`state_dir = %q
[listen]
smtp = ["127.0.0.1:0"]
[upstream]
host = "localhost"
port = %d
username = "app@example.com"
password = %q
ca_file = %q
%s
`, filepath.Join(dir, "state"), s.STARTTLS().Port, password, ca, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// runCheck runs "kurir check" and returns what it printed and its exit code.
func runCheck(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kurir", append([]string{"check"}, args...)...)
	cmd.Env = plainEnviron()
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String()+complaint.String(), checkPassword) {
		t.Errorf("the password was printed:\n%s%s", out.String(), complaint.String())
	}
	t.Logf("kurir check %s: exit code %d\n%s%s", strings.Join(args, " "), code, out.String(), complaint.String())
	return out.String(), code
}

// The last line and the exit code say whether mail would go out; the advice
// above them is what the log would say of the same failure.
func TestCheck(t *testing.T) {
	cases := []struct {
		name      string
		behaviour sandbox.Behaviour
		password  string
		more      string
		code      int
		want      []string
	}{
		{
			name: "both modes tried", password: checkPassword,
			want: []string{"works, signed in", "STARTTLS", "implicit TLS", "TLS 1.3", "PLAIN LOGIN", "up to 50 MB", "is free", "programs on this machine", "Mail would go out over localhost:"},
		},
		{
			name: "wrong password", password: "wrong", more: `tls = "starttls"`, code: 1,
			want: []string{"does not accept the user name or password", "reply:  ", "do: ", "\nMail would not go out.\n"},
		},
		{
			name: "wrong certificate", behaviour: sandbox.Behaviour{Certificate: sandbox.WrongName}, password: checkPassword, more: `tls = "starttls"`, code: 1,
			want: []string{"for smtp.elsewhere.test", "\nMail would not go out.\n"},
		},
		{
			name: "nothing listens", behaviour: sandbox.Behaviour{Closed: true}, password: checkPassword, code: 1,
			want: []string{", connect ", " failed", "nothing listens here on port", "\nMail would not go out.\n"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := provider(t)
			if err := s.Set(c.behaviour); err != nil {
				t.Fatal(err)
			}
			out, code := runCheck(t, "--config", checkConfig(t, s, c.password, c.more))
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%q is missing", w)
				}
			}
		})
	}
}

// Scripts read the same as people do, and a test mail goes the way of all mail.
func TestCheckJSON(t *testing.T) {
	s := provider(t)
	config := checkConfig(t, s, checkPassword, `tls = "starttls"`)
	type failure struct {
		Cause, Verdict, Title, Meaning, Fix string
		Permanent                           bool
	}
	var got struct {
		OK        bool
		Summary   string
		Upstreams []struct {
			Host       string
			Candidates []struct {
				Port   int
				TLS    explain.TLSMode
				Result string
				Steps  []struct{ Stage explain.Stage }
			}
			Failure *failure
			Sent    *struct{ From, To, Reply string }
		}
		Local []struct{ What, Result, Text string }
	}
	out, code := runCheck(t, "--config", config, "--json", "--send", "admin@example.org")
	if err := json.Unmarshal([]byte(out), &got); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("not one object in one line: %v", err)
	}
	if u := got.Upstreams; code != 0 || !got.OK || len(u) != 1 || u[0].Sent == nil || u[0].Sent.From != "app@example.com" ||
		len(u[0].Candidates) != 1 || u[0].Candidates[0].Result != "signed in" || u[0].Candidates[0].TLS != explain.STARTTLS || len(u[0].Candidates[0].Steps) != 8 {
		t.Errorf("exit code %d, %+v", code, got)
	}
	if len(got.Local) < 4 {
		t.Errorf("local side: %+v", got.Local)
	}
	if arrived := s.Messages(); len(arrived) != 1 || !bytes.Contains(arrived[0].Content, []byte("kurir check")) {
		t.Errorf("arrived: %+v", arrived)
	}
	out, code = runCheck(t, "--config", config, "--json", "--send", "recipient.unknown@example.org")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Summary != "The way in works, but the test mail was refused." {
		t.Errorf("summary %q", got.Summary)
	}
	if f := got.Upstreams[0].Failure; code != 1 || got.OK || f == nil || f.Cause != "recipient.unknown" || f.Title == "" || f.Fix == "" || !f.Permanent {
		t.Errorf("refused: exit code %d, %+v", code, f)
	}
}

// With log.language = "id" a person reads Indonesian from the first line to
// the last, while scripts read the same names.
func TestCheckIndonesian(t *testing.T) {
	config := checkConfig(t, provider(t), checkPassword, "[log]\nlanguage = \"id\"")
	out, code := runCheck(t, "--config", config, "--send", "admin@example.org")
	for _, w := range []string{
		"yaitu mesin ini sendiri", "hasil", "berfungsi, login berhasil", "langkah", "diterbitkan oleh", "sampai 50 MB", "tawaran",
		"Mesin ini", "oke", "bebas", "yang boleh menyerahkan email", "jam", "Email percobaan dari app@example.com", "\nEmail akan terkirim lewat localhost:",
	} {
		if !strings.Contains(out, w) {
			t.Errorf("%q is missing", w)
		}
	}
	if english := regexp.MustCompile(`(?i)\b(the|is|works|found|valid|free|went|would|programs)\b`).FindAllString(out, -1); code != 0 || len(english) > 0 {
		t.Errorf("exit code %d, English words %v", code, english)
	}
	if out, code = runCheck(t, "--config", config, "--json"); code != 0 || !strings.Contains(out, `"result":"signed in"`) || !strings.Contains(out, `"result":"ok"`) || !strings.Contains(out, `"summary":"Email akan`) {
		t.Errorf("--json: exit code %d", code)
	}
}
