package relay_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/relay/drop"
	"kurir/upstream/envelope"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// leave makes the drop directory of a relay that does not run yet, and leaves
// a message in it.
func leave(t *testing.T, dir, to, content string) {
	t.Helper()
	if err := drop.Make(dir); err != nil {
		t.Fatal(err)
	}
	env := envelope.Envelope{From: "app@example.com", To: []envelope.Recipient{{To: envelope.Path(to)}}}
	if err := drop.Put(dir, env, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

// A message that was left goes the way of all others: its header is mended,
// it is stored before its file goes, and when it is refused its sender gets
// the notification that nobody could be told otherwise (P2).
func TestLeftMail(t *testing.T) {
	c := settings(t, "through")
	c.Hostname = "relay.example.com"
	leave(t, c.DropDir(), "root", "Subject: left\n\nline\r\n.dot\nno end")
	leave(t, c.DropDir(), "recipient.unknown@example.org", "Subject: refused\n\n")
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	h.event("delivery.failed", 1)
	for _, m := range h.arrived(2) {
		switch text := string(m.Content); {
		case m.Envelope.From == "": // the notification
			if m.Envelope.To[0].To != "app@example.com" || !strings.Contains(text, "Subject: refused") {
				t.Errorf("the notification: %v\n%s", m.Envelope, text)
			}
		case m.Envelope.To[0].To != "root@relay.example.com" || !strings.HasSuffix(text, "\r\n\r\nline\r\n.dot\r\nno end\r\n"),
			!strings.Contains(text, "from localhost (local app)\r\n\tby relay.example.com (Kurir) with local id "), !strings.Contains(text, "\r\nMessage-ID: "):
			t.Errorf("%v\n%q", m.Envelope, text)
		}
	}
	if accepted := h.event("message.accepted", 2); accepted.str("client") != "sendmail" {
		t.Errorf("%v", accepted)
	}
	h.stop()
	if left, err := filepath.Glob(filepath.Join(c.DropDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// What no relay takes, such as a message that is too large, is put aside
// with a word about it.
func TestLeftMailThatCannotBeTaken(t *testing.T) {
	c := settings(t, "queue")
	c.Listen.MaxMessageSize = 1000
	leave(t, c.DropDir(), "a@example.org", strings.Repeat("0123456789\n", 100))
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	if refused := h.event("message.refused", 1); refused.str("cause") != "message.too_large" {
		t.Errorf("%v", refused)
	}
	if w := h.event("relay.warning", 1); !strings.Contains(w.str("message"), ".refused") {
		t.Errorf("%v", w)
	}
	h.stop()
	if left, err := filepath.Glob(filepath.Join(c.DropDir(), "*.refused")); err != nil || len(left) != 1 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// A relay that cannot have its drop directory takes mail nevertheless, and
// says what is amiss.
func TestNoDropDirectory(t *testing.T) {
	c := settings(t, "through")
	if err := os.WriteFile(c.DropDir(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	h.mustSend(hello, "one@example.org")
	h.arrived(1)
	if !strings.Contains(h.log.String(), "spool.drop") {
		t.Error("nothing is said about it")
	}
}
