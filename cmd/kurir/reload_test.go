package main_test

import (
	"net/smtp"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/upstream/explain"
)

// A mended password is used at SIGHUP, by the mail that waits too, and no app
// notices: the session that was open goes on. A file that is of no use changes
// nothing and is told of.
func TestReload(t *testing.T) {
	ctx := within(t, time.Minute)
	smartHost := provider(t)
	file := checkConfig(t, smartHost, "wrong", `tls = "starttls"`)
	s := newScene()
	relay := newRelay(t, s, "kurir", "serve", "--config", file)
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	app, err := smtp.Dial(relay.started().SMTP[0])
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	send := func() {
		t.Helper()
		if err := sendOver(app, "Subject: x\r\n\r\nx\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	saw := func(match func(event) bool) func() bool {
		return func() bool {
			for _, e := range relay.events {
				if match(e) {
					return true
				}
			}
			return false
		}
	}
	until := func(what string, condition func() bool) {
		t.Helper()
		if err := s.until(ctx, what, condition); err != nil {
			t.Fatal(err)
		}
	}

	send()
	until("the route to be held", saw(func(e event) bool {
		return e.Event == "upstream.held" && e.Cause == string(explain.AuthRejected)
	}))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := relay.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	reload(string(text) + "[delivery]\nmood = \"through\"\n")
	until("the faulty file to be told of", saw(func(e event) bool {
		return e.Event == "relay.reloaded" && strings.Contains(e.line, "delivery.mood") && strings.Contains(e.line, `"level":"error"`)
	}))
	reload(strings.Replace(string(text), `"wrong"`, `"`+checkPassword+`"`, 1))
	until("what waited to be delivered", func() bool { return len(smartHost.Messages()) == 1 })
	send()
	until("the second message to be delivered", func() bool { return len(smartHost.Messages()) == 2 })
	if err := app.Quit(); err != nil {
		t.Error(err)
	}
	if err := relay.stop(); err != nil {
		t.Error(err)
	}
}
