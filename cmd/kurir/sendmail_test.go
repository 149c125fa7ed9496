//go:build unix

package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A desk is where a local program hands in mail: a sandbox that may or may not
// run, and a sendmail that finds it.
type desk struct {
	*relayProgram
	t       *testing.T
	ctx     context.Context
	state   string
	environ []string // of sendmail
}

func newDesk(t *testing.T, dir, mode string) *desk {
	t.Helper()
	d := &desk{relayProgram: newRelay(t, newScene(), "kurir", "serve", "--sandbox"), t: t, ctx: within(t, time.Minute), state: filepath.Join(dir, "state")}
	d.environ = []string{
		"PATH=" + os.Getenv("PATH"), "KURIR_CONFIG=" + filepath.Join(dir, "none.toml"),
		"KURIR_STATE_DIR=" + d.state, fmt.Sprintf("KURIR_LISTEN_SMTP=127.0.0.1:%d", freePort(t)),
	}
	d.relayProgram.environ = append(d.relayProgram.environ, d.environ[2:]...)
	d.relayProgram.environ = append(d.relayProgram.environ, "KURIR_DELIVERY_MODE="+mode)
	return d
}

func (d *desk) mustStart() {
	d.t.Helper()
	if err := d.start(d.ctx); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) mustStop() {
	d.t.Helper()
	if err := d.stop(); err != nil {
		d.t.Fatal(err)
	}
}

// run runs a program that must end with a code, and returns what it said.
func (d *desk) run(code int, input string, program string, args ...string) (said string) {
	d.t.Helper()
	return d.end(code, input, exec.CommandContext(d.ctx, program, args...))
}

func (d *desk) end(code int, input string, cmd *exec.Cmd) (said string) {
	d.t.Helper()
	cmd.Env, cmd.Stdin = d.environ, strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		d.t.Fatalf("%q ended with %d, not %d:\n%s", cmd.Args, got, code, out)
	}
	return string(out)
}

// events waits for the n-th event of a kind, and returns all of it so far.
func (d *desk) events(name string, n int) (found []event) {
	d.t.Helper()
	if err := d.until(d.ctx, name, func() bool {
		found = slices.DeleteFunc(slices.Clone(d.relayProgram.events), func(e event) bool { return e.Event != name })
		return len(found) >= n
	}); err != nil {
		d.t.Fatal(err)
	}
	return found
}

// delivered are the messages that the provider has.
func (d *desk) delivered() (contents []string) {
	files, _ := filepath.Glob(filepath.Join(d.state, "Maildir", "new", "*"))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			d.t.Fatal(err)
		}
		contents = append(contents, strings.ReplaceAll(string(content), "\r\n", "\n"))
	}
	return contents
}

func (d *desk) left() []string {
	files, err := os.ReadDir(filepath.Join(d.state, "drop"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

const letterText = "To: Jo <jo@example.com>\nBcc: blind@example.com\nSubject: Grüße\n\nhello\n.\nworld\n"

// While Kurir runs, sendmail is an app that tells the truth: 0 when the
// message is taken, and else what was wrong, in a code and in words.
func TestSendmailHandsIn(t *testing.T) {
	d := newDesk(t, t.TempDir(), "through")
	d.mustStart()
	d.run(0, letterText, "sendmail", "-ti", "-fapp@example.com", "-FThe App", "more@example.com")
	d.events("delivery.sent", 1)
	got := d.delivered()[0]
	for _, part := range []string{"Return-Path: <app@example.com>", "<jo@example.com>", "<blind@example.com>", "<more@example.com>",
		"From: The App <app@example.com>\n", "Subject: Grüße\n", "\nhello\n.\nworld\n"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing:\n%s", part, got)
		}
	}
	if strings.Contains(got, "Bcc") {
		t.Errorf("everybody can see Bcc:\n%s", got)
	}
	if said := d.run(0, "x\n.\nnot sent\n", "kurir", "sendmail", "-v", "-f", "", "-N", "never", "jo@example.com"); !strings.Contains(said, ">>> MAIL FROM:<> ") ||
		!strings.Contains(said, "NOTIFY=NEVER") || !strings.Contains(said, "250 2.0.0 sent as") || strings.Contains(said, "not sent") {
		t.Errorf("-v says:\n%s", said)
	}
	for _, c := range []struct {
		code int
		args []string
		said string
	}{
		{64, []string{"-bd"}, "kurir serve"},
		{65, []string{"-t"}, "no recipients"},
		{65, []string{"Jo Doe"}, "not clear"},
		{67, []string{"-f", "app@example.com", "recipient.unknown@example.com"}, "550 5.1.1 There is no mailbox for recipient.unknown@example.com."},
	} {
		if said := d.run(c.code, "Subject: x\n\nx\n", "sendmail", c.args...); !strings.HasPrefix(said, "sendmail: ") || !strings.Contains(said, c.said) {
			t.Errorf("%q says %s", c.args, said)
		}
	}
	if said := d.run(0, "EHLO me\r\nQUIT\r\n", "sendmail", "-bs"); !strings.HasPrefix(said, "220 ") || !strings.Contains(said, "\r\n221 ") {
		t.Errorf("-bs says %q", said)
	}
	if said := d.run(0, "", "mailq"); !strings.Contains(said, "No message waits") {
		t.Errorf("mailq says %q", said)
	}
	if said := d.run(0, "", "newaliases"); !strings.Contains(said, "[rewrite]") {
		t.Errorf("newaliases says %q", said)
	}
	d.mustStop()
}

// What is handed in while Kurir does not run is sent once when it does, in
// every mode, and never again (P1, P2).
func TestSendmailLeavesMail(t *testing.T) {
	for _, mode := range []string{"through", "queue", "direct"} {
		t.Run(mode, func(t *testing.T) {
			d := newDesk(t, t.TempDir(), mode)
			if said := d.run(75, letterText, "sendmail", "-ti"); !strings.Contains(said, "no relay answers") || !strings.Contains(said, d.state) {
				t.Errorf("without relay and directory it says %s", said)
			}
			d.mustStart()
			d.mustStop()
			d.run(0, letterText, "sendmail", "-ti", "-fapp@example.com")
			d.run(0, strings.Repeat("large\n", 400_000), "sendmail", "-i", "-fapp@example.com", "jo@example.com")
			d.run(0, "x\n", "sendmail", "-fapp@example.com", "recipient.unknown@example.com")
			if said := d.run(75, "EHLO me\r\n", "sendmail", "-bs"); !strings.HasPrefix(said, "421 ") {
				t.Errorf("-bs says %q", said)
			}
			if left := d.left(); len(left) != 3 {
				t.Fatalf("in the drop directory: %q", left)
			}
			d.mustStart()
			d.events("delivery.sent", 2)
			for _, e := range d.events("message.accepted", 2) {
				if !strings.Contains(e.line, `"client":"sendmail"`) {
					t.Error(e.line)
				}
			}
			if mode == "direct" {
				d.events("message.refused", 1)
			} else {
				d.events("delivery.failed", 1)
				d.events("delivery.sent", 3) // the notification of that
			}
			d.mustStop()
			if left := strings.Join(d.left(), " "); (mode == "direct") != strings.HasSuffix(left, ".refused") || mode != "direct" && left != "" {
				t.Errorf("left: %q", left)
			}
			before := len(d.delivered())
			if !slices.ContainsFunc(d.delivered(), func(m string) bool {
				return strings.Contains(m, "\n\nhello\n.\nworld\n") && !strings.Contains(m, "Bcc") && strings.Contains(m, "localhost (local app)")
			}) {
				t.Errorf("arrived:\n%.2000s", d.delivered())
			}
			d.mustStart()
			d.mustStop()
			if now := len(d.delivered()); now != before {
				t.Errorf("%d messages arrived once more", now-before)
			}
		})
	}
}

// PHP's mail() is what most websites send with, and it knows of failure only
// by the exit code.
func TestSendmailServesPHP(t *testing.T) {
	needPeers(t, "php")
	d := newDesk(t, t.TempDir(), "through")
	d.mustStart()
	mail := func(code int, to, header string) {
		d.run(code, "", "php", "-d", "sendmail_path=kurir sendmail -t -i", "-r",
			`exit(mail($argv[1], "Grüße", "line one\n.\nline two", $argv[2], "-fapp@example.com") ? 0 : 1);`, "--", to, header)
	}
	mail(0, "jo@example.com", "From: App <app@example.com>\r\nBcc: b@example.com")
	mail(1, "recipient.unknown@example.com", "From: App <app@example.com>")
	d.events("delivery.sent", 1)
	d.mustStop()
	got := d.delivered()
	if len(got) != 1 || !strings.Contains(got[0], "line one\n.\nline two") || strings.Contains(got[0], "Bcc") || !strings.Contains(got[0], "Delivered-To: <b@example.com>") {
		t.Errorf("arrived: %q", got)
	}
}

// Cron jobs and websites run as users who may read neither Kurir's settings
// nor its files. Their mail gets in all the same, and nobody sees another's.
func TestSendmailWithoutRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	dir, err := os.MkdirTemp("/tmp", "kurir-sendmail-") // where everybody gets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "sendmail")
	copyProgram(t, program)
	d := newDesk(t, dir, "through")
	d.environ = append(d.environ, "TMPDIR=/tmp")
	if err := errors.Join(os.Mkdir(d.state, 0o711), os.Chmod(d.state, 0o711)); err != nil { // as the relay makes it; the sandbox is there before it
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "none.toml"), []byte("state_dir = \"/nowhere\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := func(code int, input string, program string, args ...string) string {
		cmd := exec.CommandContext(d.ctx, program, args...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return d.end(code, input, cmd)
	}
	d.mustStart()
	nobody(0, letterText, program, "-ti", "-fapp@example.com")
	if said := nobody(69, "", program, "-bp"); !strings.Contains(said, "as the user or group of Kurir") {
		t.Errorf("-bp says %s", said)
	}
	d.mustStop()
	nobody(0, "large\n"+strings.Repeat("x\n", 1<<20), program, "jo@example.com")
	nobody(2, "", "ls", filepath.Join(d.state, "drop"))
	d.mustStart()
	d.events("delivery.sent", 2)
	d.mustStop()
	if left := d.left(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// copyProgram copies the program that runs, which is Kurir under its names.
func copyProgram(t *testing.T, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(to.Chmod(0o755), to.Close()); err != nil {
		t.Fatal(err)
	}
}
