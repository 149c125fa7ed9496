package relay_test

import (
	"slices"
	"strings"
	"testing"

	"kurir/relay/config"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// What needs a restart stays as it was in every room, and is named: a relay
// that speaks two languages, or has two names, helps nobody. The rest is used at
// once.
func TestReloadUntilRestart(t *testing.T) {
	c := settings(t, "through")
	c.Hostname = "old.example.com"
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	changed := *c
	changed.Hostname, changed.Log.Language, changed.Listen.MaxRecipients = "new.example.com", "id", 1
	named, err := h.running.Reload(&changed)
	if err != nil || !slices.Equal(named, []string{"hostname", "log.language"}) {
		t.Fatalf("%q need a restart: %v", named, err)
	}
	if told, _ := h.event("relay.reloaded", 1)["need_restart"].([]any); len(told) != len(named) {
		t.Errorf("the log says that %v need a restart", told)
	}
	err = h.send(hello, "a@example.org", "b@example.org")
	if err == nil || !strings.Contains(err.Error(), "452") || !strings.Contains(err.Error(), "recipients") {
		t.Errorf("the second recipient: %v", err)
	}
	h.mustSend(hello, "a@example.org")
	if content := string(h.arrived(1)[0].Content); strings.Contains(content, "new.example.com") || !strings.Contains(content, "old.example.com") {
		t.Error(content)
	}
}

// Who looks into a trouble has the dialogue with the provider told for a
// while, and subjects, without a restart that would close connections.
func TestReloadOfTheLog(t *testing.T) {
	c := settings(t, "through")
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	for i, step := range []config.Log{{Level: "info"}, {Level: "debug", Subject: true}, {Level: "warn"}} {
		changed := *c
		changed.Log.Level, changed.Log.Subject = step.Level, step.Subject
		if _, err := h.running.Reload(&changed); err != nil {
			t.Fatal(err)
		}
		before := len(h.log.String())
		h.mustSend(hello, "a@example.org")
		h.arrived(i + 1)
		if step.Subject {
			h.event("delivery.sent", 2)
		}
		said := h.log.String()[before:]
		if got := strings.Contains(said, "C: MAIL FROM"); got != (step.Level == "debug") {
			t.Errorf("%+v: the transcript is told: %t", step, got)
		}
		if got := strings.Contains(said, `"subject":"hello"`); got != step.Subject {
			t.Errorf("%+v: the subject is told: %t", step, got)
		}
		if got := strings.Contains(said, `"message.accepted"`); got != (step.Level != "warn") {
			t.Errorf("%+v: info is told: %t", step, got)
		}
	}
	for _, line := range strings.Split(h.log.String(), "\n") {
		if strings.Contains(line, "need_restart") {
			t.Error(line)
		}
	}
}
