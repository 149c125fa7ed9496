package sandbox_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
)

const letter = "Subject: hello\r\n\r\n..two dots\r\n.\tone\r\nend\r\n"

// stuffed is letter as DATA carries it.
const stuffed = "Subject: hello\r\n\r\n...two dots\r\n..\tone\r\nend\r\n"

// TestHonest proves that both ports take a message by DATA and by BDAT and
// keep it octet by octet: the other tests rest on that.
func TestHonest(t *testing.T) {
	for _, mode := range []explain.TLSMode{explain.STARTTLS, explain.Implicit} {
		t.Run(string(mode), func(t *testing.T) {
			s := start(t, sandbox.Options{})
			c := login(t, s, mode)
			if reply, _ := c.send("a@example.org", stuffed); reply != "250 2.0.0 OK queued as SANDBOX-1" {
				t.Errorf("reply %q", reply)
			}
			c.say("250 ", "MAIL FROM:<> SIZE=%d BODY=8BITMIME RET=HDRS ENVID=x", len(letter))
			c.say("250 ", `RCPT TO:<"a b"@example.org> NOTIFY=NEVER ORCPT=rfc822;c@d`)
			c.write("BDAT 10\r\n" + letter[:10])
			c.want("250 ")
			c.write(fmt.Sprintf("BDAT %d LAST\r\n%s", len(letter)-10, letter[10:]))
			c.want("250 2.0.0 OK queued as SANDBOX-2")
			c.say("221 ", "QUIT")
			if _, err := c.text.ReadLine(); err != io.EOF {
				t.Errorf("after QUIT: %v, want a TLS farewell and the end", err)
			}

			list, err := s.Wait(context.Background(), 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				wantContent(t, m.Content, letter)
				if m.Via != mode || m.TLS != tls.VersionTLS13 || m.Client != "client.test" || m.Size != int64(len(letter)) {
					t.Errorf("message %+v", m)
				}
			}
			second := list[1]
			if second.Chunks != 2 || second.Body != "8BITMIME" || second.Envelope.From != "" || second.Envelope.Return != "HDRS" ||
				second.Envelope.ID != "x" || second.Envelope.To[0].Notify != "NEVER" ||
				second.Envelope.To[0].Original != "rfc822;c@d" || second.Envelope.To[0].To != `"a b"@example.org` {
				t.Errorf("message %+v", second)
			}
			if got := s.Stats(); got.Messages != 2 || got.Auths != 1 || got.Handshakes != 1 || got.Connections != 1 || got.Peak != 1 {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

// TestOffer holds what EHLO says: AUTH only behind TLS (P3), STARTTLS only
// before it.
func TestOffer(t *testing.T) {
	s := start(t, sandbox.Options{Size: 1000})
	c := dial(t, s, explain.STARTTLS)
	c.want("220 ")
	rest := "sandbox.kurir.test greets x|250-PIPELINING|250-8BITMIME|250-SIZE 1000|250-ENHANCEDSTATUSCODES|250-CHUNKING|250-DSN|250-SMTPUTF8|250 "
	if got := c.say("250-", "EHLO x"); got != "250-"+rest+"STARTTLS" {
		t.Errorf("in the clear: %s", got)
	}
	c.say("220 ", "STARTTLS")
	c.handshake()
	if got := c.say("250-", "EHLO x"); got != "250-"+rest+"AUTH PLAIN LOGIN" {
		t.Errorf("with TLS: %s", got)
	}
	set(t, s, sandbox.Behaviour{Without: []string{"pipelining", "CHUNKING", "DSN"}, Auth: []string{"XOAUTH2"}})
	if got := c.say("250-", "EHLO x"); strings.Contains(got, "PIPELINING") || strings.Contains(got, "CHUNKING") ||
		!strings.HasSuffix(got, "AUTH XOAUTH2") {
		t.Errorf("changed: %s", got)
	}
}

// TestOrder shows that nothing is taken out of order, and how each wrong
// step is refused.
func TestOrder(t *testing.T) {
	s := start(t, sandbox.Options{Size: 1000, Recipients: 1})
	c := dial(t, s, explain.STARTTLS)
	c.want("220 ")
	c.say("503 ", "MAIL FROM:<a@b.test>")
	c.say("502 ", "STARTTLS")
	c.say("501 ", "EHLO")
	c.say("250-", "EHLO x")
	c.say("538 ", "AUTH PLAIN %s", b64("\x00sandbox\x00sandbox"))
	c.say("530 5.7.0 Must issue a STARTTLS", "MAIL FROM:<a@b.test>")
	c.say("220 ", "STARTTLS")
	c.handshake()
	c.say("503 ", "STARTTLS")
	c.say("250-", "EHLO x")
	c.say("530 5.7.0 Authentication", "MAIL FROM:<a@b.test>")
	c.say("504 ", "AUTH CRAM-MD5")
	c.say("535 ", "AUTH PLAIN %s", b64("\x00sandbox\x00wrong"))
	c.say("235 ", "AUTH PLAIN %s", b64("\x00sandbox\x00sandbox"))
	c.say("503 ", "AUTH PLAIN %s", b64("\x00sandbox\x00sandbox"))
	c.say("503 ", "RCPT TO:<a@b.test>")
	c.say("503 ", "DATA")
	c.say("552 ", "MAIL FROM:<a@b.test> SIZE=1001")
	c.say("501 ", "MAIL FROM: a@b.test")
	c.say("501 ", "MAIL FROM:<a@b.test")
	c.say("501 ", "MAIL FROM:<a@b.test>SIZE=1")
	c.say("501 ", "MAIL FROM:<a@b.test> SIZE=1 SIZE=1")
	c.say("501 ", "MAIL FROM:<a@b.test> SIZE=-1")
	c.say("555 ", "MAIL FROM:<a@b.test> BY=1")
	c.say("553 ", "MAIL FROM:<é@b.test>")
	c.say("250 ", "mail from:<a@b.test> size=1")
	c.say("503 ", "MAIL FROM:<a@b.test>")
	c.say("501 ", "RCPT TO:<>")
	c.say("553 ", "RCPT TO:<é@b.test>")
	c.say("555 ", "RCPT TO:<a@b.test> SIZE=1")
	c.say("250 ", "RCPT TO:<a@b.test>")
	c.say("452 ", "RCPT TO:<c@b.test>")
	c.say("501 ", "DATA now")
	c.write("BDAT 3\r\nabc")
	c.want("250 ")
	c.say("503 ", "DATA")
	c.say("250 ", "RSET")
	c.write("BDAT 3 LAST\r\nabc")
	c.want("503 ")
	c.say("250 ", "NOOP")
	c.say("252 ", "VRFY x")
	c.say("500 ", "WIZ")
	if n := s.Stats().Messages; n != 0 {
		t.Errorf("%d messages out of nothing", n)
	}
}

// TestStrict shows that the sandbox refuses what would let a fault of a
// client pass unseen: see P9 for line ends, P3 for the injection.
func TestStrict(t *testing.T) {
	s := start(t, sandbox.Options{Size: 1000})
	for name, content := range map[string]string{
		"bare LF": "a\nb\r\n", "bare CR": "a\rb\r\n", "LF.LF": "a\r\n\n.\nb\r\n", "CR at the end": "a\r\r\n",
	} {
		if reply, _ := login(t, s, explain.Implicit).send("a@b.test", content); !strings.HasPrefix(reply, "550 5.6.11") {
			t.Errorf("%s: %s", name, reply)
		}
	}
	if reply, _ := login(t, s, explain.Implicit).send("a@b.test", strings.Repeat("0123456789\r\n", 100)); !strings.HasPrefix(reply, "552 5.3.4") {
		t.Errorf("too large: %s", reply)
	}
	c := login(t, s, explain.Implicit)
	c.write("NOOP\n")
	c.want("500 5.5.2")
	c.wantEnd()
	c = login(t, s, explain.Implicit)
	c.write("NOOP " + strings.Repeat("x", 20000) + "\r\n")
	c.want("500 5.5.2")
	c.wantEnd()
	c = dial(t, s, explain.STARTTLS)
	c.want("220 ")
	c.say("250-", "EHLO x")
	c.write("STARTTLS\r\nEHLO y\r\n")
	c.want("503 5.5.0")
	c.wantEnd()
	set(t, s, sandbox.Behaviour{Without: []string{"PIPELINING"}})
	c = login(t, s, explain.Implicit)
	c.write("MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\n")
	c.want("503 5.5.0")
	c.wantEnd()
}

// TestPipelining shows that one write is enough for a whole transaction and
// that its replies come in order.
func TestPipelining(t *testing.T) {
	s := start(t, sandbox.Options{})
	c := login(t, s, explain.STARTTLS)
	c.write("MAIL FROM:<a@b.test>\r\nRCPT TO:<recipient.unknown@b.test>\r\nRCPT TO:<c@b.test>\r\nDATA\r\n")
	for _, code := range []string{"250", "550", "250", "354"} {
		c.want(code)
	}
	c.write(stuffed + ".\r\nMAIL FROM:<a@b.test>\r\n")
	c.want("250 2.0.0")
	c.want("250 2.1.0")
	m := only(t, s)
	wantContent(t, m.Content, letter)
	if len(m.Envelope.To) != 1 || m.Envelope.To[0].To != "c@b.test" {
		t.Errorf("recipients %v", m.Envelope.To)
	}
}

// TestAuth goes through every mechanism in every way a client may speak it.
func TestAuth(t *testing.T) {
	s := start(t, sandbox.Options{Username: "u@x.test", Password: "p"})
	set(t, s, sandbox.Behaviour{Auth: []string{"PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"}})
	bearer := func(token string) string { return b64("user=u@x.test\x01auth=Bearer " + token + "\x01\x01") }
	tests := []struct {
		name  string
		steps [][2]string // line, start of the reply
	}{
		{"plain", [][2]string{{"AUTH PLAIN " + b64("\x00u@x.test\x00p"), "235"}}},
		{"plain, asked", [][2]string{{"auth plain", "334 "}, {b64("\x00u@x.test\x00p"), "235"}}},
		{"plain, wrong", [][2]string{{"AUTH PLAIN " + b64("\x00u@x.test\x00q"), "535 5.7.8"}}},
		{"plain, for another", [][2]string{{"AUTH PLAIN " + b64("root\x00u@x.test\x00p"), "535"}}},
		{"login", [][2]string{{"AUTH LOGIN", "334 VXNlcm5hbWU6"}, {b64("u@x.test"), "334 UGFzc3dvcmQ6"}, {b64("p"), "235"}}},
		{"login, initial", [][2]string{{"AUTH LOGIN " + b64("u@x.test"), "334 "}, {b64("p"), "235"}}},
		{"login, wrong", [][2]string{{"AUTH LOGIN", "334 "}, {b64("v"), "334 "}, {b64("p"), "535"}}},
		{"cancelled", [][2]string{{"AUTH LOGIN", "334 "}, {"*", "501 5.7.0"}}},
		{"not base64", [][2]string{{"AUTH LOGIN", "334 "}, {"%%", "501 5.5.2"}}},
		{"token", [][2]string{{"AUTH XOAUTH2 " + bearer("p"), "235"}}},
		{"token, asked", [][2]string{{"AUTH XOAUTH2", "334 "}, {bearer("p"), "235"}}},
		{"token, wrong", [][2]string{{"AUTH XOAUTH2 " + bearer("old"), "334 eyJ"}, {"", "535"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, s, explain.Implicit)
			c.want("220 ")
			c.say("250-", "EHLO x")
			for _, step := range tt.steps {
				c.say(step[1], "%s", step[0])
			}
		})
	}
	t.Run("cram", func(t *testing.T) {
		c := dial(t, s, explain.Implicit)
		c.want("220 ")
		c.say("250-", "EHLO x")
		challenge, err := base64.StdEncoding.DecodeString(c.say("334 ", "AUTH CRAM-MD5")[4:])
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(md5.New, []byte("p"))
		mac.Write(challenge)
		c.say("235 ", "%s", b64("u@x.test "+hex.EncodeToString(mac.Sum(nil))))
	})
}

// TestMaildir holds what a person finds in the Maildir, and that a refused
// message leaves nothing there.
func TestMaildir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	s := start(t, sandbox.Options{Maildir: dir})
	c := login(t, s, explain.STARTTLS)
	c.send("a@example.org", stuffed)
	c.send("message.spam@example.org", stuffed)
	c.send("a@example.org", "a\nb\r\n")
	m := only(t, s)
	if m.Content != nil || filepath.Dir(m.File) != filepath.Join(dir, "new") {
		t.Errorf("message %+v", m)
	}
	got, err := os.ReadFile(m.File)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, got, "Return-Path: <app@example.com>\r\nDelivered-To: <a@example.org>\r\n"+letter)
	for sub, want := range map[string]int{"tmp": 0, "new": 1, "cur": 0} {
		if files, err := os.ReadDir(filepath.Join(dir, sub)); err != nil || len(files) != want {
			t.Errorf("%s: %d files, %v; want %d", sub, len(files), err, want)
		}
	}
	if info, err := os.Stat(m.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestMemory proves P10 for the sandbox: a big message goes to the Maildir
// without being held.
func TestMemory(t *testing.T) {
	s := start(t, sandbox.Options{Maildir: t.TempDir()})
	c := login(t, s, explain.Implicit)
	const size = 32 << 20
	line := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 64)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.say("250 ", "MAIL FROM:<a@b.test>")
	c.say("250 ", "RCPT TO:<a@b.test>")
	c.say("354 ", "DATA")
	buf := []byte(line)
	for n := 0; n < size; n += len(buf) {
		if _, err := c.conn.Write(buf); err != nil {
			t.Fatal(err)
		}
	}
	c.say("250 ", ".")
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > size/2 {
		t.Errorf("%d octets allocated for a message of %d", grown, size)
	}
	if m := only(t, s); m.Size < size {
		t.Errorf("size %d", m.Size)
	}
}

// TestAccess shows that the addresses and the certificate authority are what
// a relay is configured with.
func TestAccess(t *testing.T) {
	s := start(t, sandbox.Options{})
	ways := s.Candidates()
	if len(ways) != 2 || ways[0].Port != s.STARTTLS().Port || ways[0].TLS != explain.STARTTLS ||
		ways[1].Port != s.Implicit().Port || ways[1].TLS != explain.Implicit {
		t.Errorf("candidates %v", ways)
	}
	if !strings.HasPrefix(string(s.CA()), "-----BEGIN CERTIFICATE-----") {
		t.Errorf("CA %s", s.CA())
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		conn, err := tls.Dial("tcp", s.Implicit().String(), &tls.Config{RootCAs: s.Pool(), ServerName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
	}
	if err := s.SetPort("none", sandbox.Behaviour{}); err == nil {
		t.Error("a port was found that does not exist")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Wait(ctx, 1); err == nil {
		t.Error("Wait found a message")
	}
}

// TestRunEnds shows that the end closes sessions, whatever they are doing,
// and that the ports stay closed.
func TestRunEnds(t *testing.T) {
	s, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	idle := dial(t, s, explain.STARTTLS)
	idle.want("220 ")
	set(t, s, sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageGreeting: {End: sandbox.Silence}}})
	silent := dial(t, s, explain.Implicit)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	idle.wantEnd()
	silent.wantEnd()
	set(t, s, sandbox.Behaviour{})
	if _, err := net.Dial("tcp", s.STARTTLS().String()); err == nil {
		t.Error("a port is open after the end")
	}
}
