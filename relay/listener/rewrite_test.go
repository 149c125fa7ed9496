package listener_test

import (
	"strings"
	"testing"
	"time"

	"kurir/relay/listener"
	"kurir/relay/rewrite"
)

// Envelope and header must name the same sender, or a provider refuses the
// message for the one that was left; a reload counts from the next message on,
// in sessions that are open too; and what is refused is so as ever.
func TestRewriting(t *testing.T) {
	policy, err := rewrite.Compile(rewrite.Rules{
		Hostname: "relay.example", From: "noreply@example.com", When: rewrite.Unauthorized, Allowed: []string{"example.net"},
		Aliases: map[string][]string{"root": {"admin@example.com", "b@example.net"}, "ü@example.com": {"u@example.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	settings := listener.Settings{
		MaxRecipients: 3, MaxConnections: 50, IdleTimeout: time.Minute, Allow: []string{"loopback"}, Rewrite: policy,
	}
	r := start(t, func(o *listener.Options) { o.Settings = settings })
	c := r.hello(t)
	send := func(mail string, to []string, header ...string) {
		t.Helper()
		c.run("> MAIL FROM:"+mail, "< 250")
		for _, recipient := range to {
			c.run("> RCPT TO:"+recipient, "< 250")
		}
		c.run("> DATA", "< 354")
		for _, line := range header {
			c.run("> " + line)
		}
		c.run("> ", "> body", "> .")
	}
	foreign := []string{"From: Jü <www@web1>", "Bcc: secret@example.org", "Sender: www@web1"}

	send("<ü@web1> SMTPUTF8", []string{"<root@localhost> NOTIFY=NEVER ORCPT=rfc822;root", "<b@EXAMPLE.net>", "<ü@example.com>"}, foreign...)
	c.run("< 250")
	send("<app@example.net>", []string{"<b@example.net>"}, "From: App <app@example.net>")
	c.run("< 250")
	send("<>", []string{"<b@example.net>"}, "Subject: s")
	c.run("< 250")
	send("<www@web1>", []string{"<root@localhost>"}, strings.Repeat("Received: by x\r\n", 100)+"From: www@web1")
	c.run("< 554")
	settings.Rewrite = nil
	if err := r.Configure(settings); err != nil {
		t.Fatal(err)
	}
	send("<www@web1>", []string{"<root@localhost>"}, foreign...)
	c.run("< 250", "> QUIT", "< 221", "<")

	m := r.taken()
	if len(m) != 4 {
		t.Fatalf("%d messages", len(m))
	}
	to := func(i int) (list []string) {
		for _, r := range m[i].env.To {
			list = append(list, string(r.To)+" "+r.Notify+" "+r.Original)
		}
		return list
	}
	first := "admin@example.com NEVER rfc822;root,b@example.net NEVER rfc822;root,u@example.com  "
	if got := strings.Join(to(0), ","); m[0].env.From != "noreply@example.com" || got != first || m[0].env.UTF8 {
		t.Errorf("%+v", m[0].env)
	}
	if m[0].content != "From: Jü <noreply@example.com>\r\nReply-To: Jü <www@web1>\r\n\r\nbody\r\n" || !strings.Contains(m[0].added, "UTF8SMTP") {
		t.Errorf("%q below %q", m[0].content, m[0].added)
	}
	if m[1].env.From != "app@example.net" || m[1].content != "From: App <app@example.net>\r\n\r\nbody\r\n" {
		t.Errorf("%+v", m[1])
	}
	if m[2].env.From != "" || !strings.HasPrefix(m[2].content, "From: noreply@example.com\r\nSubject: s\r\n") {
		t.Errorf("%+v", m[2])
	}
	if m[3].env.From != "www@web1" || strings.Join(to(3), ",") != "root@localhost  " ||
		m[3].content != "From: Jü <www@web1>\r\nSender: www@web1\r\n\r\nbody\r\n" {
		t.Errorf("%+v", m[3])
	}
	if _, refused, _ := r.logs(); len(refused) != 1 || !strings.Contains(refused[0], "554") {
		t.Errorf("%q", refused)
	}
}
