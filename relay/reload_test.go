package relay_test

import (
	"slices"
	"strings"
	"testing"

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
	if err := h.running.Reload(&changed); err != nil {
		t.Fatal(err)
	}
	named := h.event("relay.reloaded", 1)["need_restart"]
	if got, _ := named.([]any); !slices.Equal(got, []any{"hostname", "log.language"}) {
		t.Errorf("%v need a restart", named)
	}
	err := h.send(hello, "a@example.org", "b@example.org")
	if err == nil || !strings.Contains(err.Error(), "452") || !strings.Contains(err.Error(), "recipients") {
		t.Errorf("the second recipient: %v", err)
	}
	h.mustSend(hello, "a@example.org")
	if content := string(h.arrived(1)[0].Content); strings.Contains(content, "new.example.com") || !strings.Contains(content, "old.example.com") {
		t.Error(content)
	}
}
