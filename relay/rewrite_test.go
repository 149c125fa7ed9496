package relay_test

import (
	"net/smtp"
	"strings"
	"testing"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/maillog"
	"kurir/upstream/envelope"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// An app that writes as nobody the provider knows must get its mail out, the
// log must say as whom it went, and the notification of a failure, to whom the
// provider would refuse it as well, must come from an address that it takes.
// Mail for root reaches its person.
func TestRewrite(t *testing.T) {
	c := settings(t, "queue")
	c.Hostname = "relay.example.com"
	c.Rewrite.From = "Shop <noreply@example.com>"
	c.Rewrite.Aliases = config.Aliases{"root": {"admin@example.org", "recipient.unknown@example.com"}}
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	err := smtp.SendMail(h.smtp, nil, "www-data@web1", []string{"root@relay.example.com"}, []byte("From: \"WWW\" <www-data@web1>\r\n\r\nx\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := h.arrived(2)
	if e := got[0].Envelope; e.From != "noreply@example.com" || len(e.To) != 1 || e.To[0].To != "admin@example.org" ||
		!strings.Contains(string(got[0].Content), "\r\nFrom: \"WWW\" <noreply@example.com>\r\nReply-To: \"WWW\" <www-data@web1>\r\n") {
		t.Errorf("%+v %s", e, got[0].Content)
	}
	if e := got[1].Envelope; e.From != "" || e.To[0].To != "noreply@example.com" ||
		!strings.Contains(string(got[1].Content), "From: Mail Delivery System <noreply@example.com>\r\n") {
		t.Errorf("%+v %s", e, got[1].Content)
	}
	if from := h.event("message.accepted", 1).str("from"); from != "noreply@example.com" {
		t.Errorf("accepted from %q", from)
	}
}

// A sender that was set by a reload is used for the next message, and what is
// of no use changes nothing.
func TestRewriteAfterReload(t *testing.T) {
	c := settings(t, "through")
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	for i, from := range []string{"", "noreply@example.com", "not an address"} {
		changed := *c
		changed.Rewrite.From, changed.Rewrite.When = from, "always"
		if _, err := h.running.Reload(&changed); (err != nil) != (i == 2) {
			t.Fatal(err)
		}
		h.mustSend(hello, "you@example.org")
	}
	for i, want := range []envelope.Path{"app@example.com", "noreply@example.com", "noreply@example.com"} {
		if m := h.arrived(3)[i]; m.Envelope.From != want || !strings.Contains(string(m.Content), "\r\nFrom: "+string(want)+"\r\n") {
			t.Errorf("from %s, want %s:\n%s", m.Envelope.From, want, m.Content)
		}
	}
	c.Rewrite.From = "not an address"
	if _, err := relay.New(relay.Options{Config: c, Log: maillog.New(h.log, maillog.Options{})}); err == nil {
		t.Error("a relay starts with a sender that is no address")
	}
}
