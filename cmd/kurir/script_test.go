package main_test

import (
	"bytes"
	"context"
	"errors"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The program as the people who install it see it: what they type, what it
// says, how it ends. Each script opens with why it is there.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("KURIR_LOG_FORMAT", "json")
			env.Values["relay"] = &current{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     scriptExits,
			"serve":     scriptServe,
			"terminate": scriptTerminate,
			"handin":    scriptHandIn,
			"arrived":   scriptArrived,
			"until":     scriptUntil,
			"stories":   scriptStories,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// scriptTime bounds whatever a script waits for.
const scriptTime = 30 * time.Second

// "exits CODE PROGRAM ARGUMENT…" runs a program that must end with this code;
// stdout and stderr can be looked at afterwards.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}

// current is where a script keeps the Kurir that "serve" has started.
type current struct{ *relayProgram }

func relayOf(ts *testscript.TestScript) *current { return ts.Value("relay").(*current) }

// "serve ARGUMENT…" starts Kurir and waits until it takes mail. $SMTP is its
// address then, $STATE and $MAILDIR are its directories.
func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || relayOf(ts).relayProgram != nil {
		ts.Fatalf("serve is for one Kurir that starts")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	relay := &relayProgram{scene: newScene(), command: append([]string{"kurir", "serve"}, args...), dir: ts.MkAbs(".")}
	relay.environ = append(relay.environ, "KURIR_CONTROL_HTTP=127.0.0.1:0")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TMP", "SYSTEMROOT", "KURIR_LISTEN_SMTP", "KURIR_STATE_DIR", "KURIR_DELIVERY_MODE", "KURIR_LOG_FORMAT", "KURIR_LOG_SUBJECT"} {
		if v := ts.Getenv(name); v != "" {
			relay.environ = append(relay.environ, name+"="+v)
		}
	}
	ts.Check(relay.start(ctx))
	relayOf(ts).relayProgram = relay
	ts.Defer(func() {
		if relay.cmd != nil {
			relay.kill()
		}
	})
	started := relay.started()
	ts.Setenv("SMTP", started.SMTP[0])
	ts.Setenv("STATE", started.StateDir)
	ts.Setenv("MAILDIR", started.Maildir)
}

// "terminate FILE" ends Kurir with SIGTERM, which must be its exit code 0,
// and leaves its log in the file.
func scriptTerminate(ts *testscript.TestScript, neg bool, args []string) {
	relay := relayOf(ts).relayProgram
	if neg || len(args) != 1 || relay == nil {
		ts.Fatalf("usage: terminate FILE, after serve")
	}
	ts.Check(relay.stop())
	relayOf(ts).relayProgram = nil
	if said := relay.said(); len(said) > 0 {
		ts.Fatalf("Kurir wrote what is no line of a log:\n%s", strings.Join(said, "\n"))
	}
	var log bytes.Buffer
	for _, e := range relay.log() {
		log.WriteString(e.line + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), log.Bytes(), 0o600))
}

// "handin FILE RECIPIENT" is an app that sends the message to $SMTP; with !,
// it must be refused. The reply can be looked at as stderr.
func scriptHandIn(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: handin FILE RECIPIENT")
	}
	content := strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n")
	err := smtp.SendMail(ts.Getenv("SMTP"), nil, "app@example.com", []string{args[1]}, []byte(content))
	if (err != nil) != neg {
		ts.Fatalf("the message was taken or not: %v", err)
	}
	if err != nil {
		_, _ = ts.Stderr().Write([]byte(err.Error() + "\n"))
	}
}

// "arrived FILE" waits until $MAILDIR has a message with what is in the file.
func scriptArrived(ts *testscript.TestScript, neg bool, args []string) {
	relay := relayOf(ts).relayProgram
	if neg || len(args) != 1 || relay == nil {
		ts.Fatalf("usage: arrived FILE, after serve")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	want := strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n")
	pattern := filepath.Join(ts.Getenv("MAILDIR"), "new", "*")
	ts.Check(relay.until(ctx, "the message in "+pattern, func() bool {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			// A Maildir has line ends of the machine, or those of the network.
			got := strings.ReplaceAll(ts.ReadFile(file), "\r\n", "\n")
			if strings.Contains(strings.ReplaceAll(got, "\n", "\r\n"), want) {
				return true
			}
		}
		return false
	}))
}
