package sandbox_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
)

// stages are those of a whole delivery by the STARTTLS port, in order.
var stages = []explain.Stage{
	explain.StageGreeting, explain.StageEHLO, explain.StageSTARTTLS, explain.StageTLS, explain.StageAuth,
	explain.StageMail, explain.StageRcpt, explain.StageData, explain.StageDot,
}

// deliver walks through the stages and returns the first that did not go
// well, with its reply or error.
func deliver(c *client) (explain.Stage, string) {
	steps := map[explain.Stage]string{
		explain.StageGreeting: "", explain.StageEHLO: "EHLO x\r\n", explain.StageSTARTTLS: "STARTTLS\r\n",
		explain.StageAuth: "AUTH PLAIN " + b64("\x00sandbox\x00sandbox") + "\r\n",
		explain.StageMail: "MAIL FROM:<a@b.test>\r\n", explain.StageRcpt: "RCPT TO:<c@b.test>\r\n",
		explain.StageData: "DATA\r\n", explain.StageDot: stuffed + ".\r\n",
	}
	for _, stage := range stages {
		if stage == explain.StageTLS {
			conn := tls.Client(c.conn, c.tls)
			if err := conn.Handshake(); err != nil {
				return stage, err.Error()
			}
			*c = client{t: c.t, conn: conn, text: textproto.NewConn(conn), tls: c.tls}
			c.say("250-", "EHLO x")
			continue
		}
		io.WriteString(c.conn, steps[stage])
		if reply, err := c.read(); err != nil {
			return stage, err.Error()
		} else if reply[0] > '3' {
			return stage, reply
		}
	}
	return "", ""
}

// TestScript goes through every stage with a refusal, an end in place of the
// reply, and an end behind it.
func TestScript(t *testing.T) {
	s := start(t, sandbox.Options{})
	for _, stage := range stages {
		if stage == explain.StageTLS {
			continue
		}
		for name, act := range map[string]sandbox.Act{
			"refused": {Reply: "451-4.3.0 Not\n451 4.3.0 now"},
			"closed":  {End: sandbox.HangUpNow},
		} {
			set(t, s, sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{stage: act}})
			got, words := deliver(dial(t, s, explain.STARTTLS))
			if got != stage || (name == "refused") != (words == "451-4.3.0 Not|451 4.3.0 now") {
				t.Errorf("%s at %s: seen at %q: %s", name, stage, got, words)
			}
		}
	}
	if n := s.Stats().Messages; n != 0 {
		t.Errorf("%d messages", n)
	}
	for _, stage := range stages[:len(stages)-1] {
		set(t, s, sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{stage: {End: sandbox.HangAfter}}})
		if got, words := deliver(dial(t, s, explain.STARTTLS)); got == "" || slices.Index(stages, got) < slices.Index(stages, stage) {
			t.Errorf("closed after %s: seen at %q: %s", stage, got, words)
		}
	}
}

// TestUncertain holds the case of P6: the message is taken, and its reply
// never comes.
func TestUncertain(t *testing.T) {
	s := start(t, sandbox.Options{})
	set(t, s, sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageDot: {End: sandbox.HangUp}}})
	if got, words := deliver(dial(t, s, explain.STARTTLS)); got != explain.StageDot {
		t.Errorf("%s: %s", got, words)
	}
	only(t, s)
}

// TestActs covers what an act can do beside refusing and closing.
func TestActs(t *testing.T) {
	s := start(t, sandbox.Options{})
	script := func(stage explain.Stage, act sandbox.Act) {
		set(t, s, sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{stage: act}})
	}

	script(explain.StageMail, sandbox.Act{Reply: "250 fine\n250 really", Delay: time.Millisecond})
	login(t, s, explain.Implicit).say("250 fine", "MAIL FROM:<a@b.test>")

	script(explain.StageMail, sandbox.Act{Reply: "421 4.7.0 Enough"})
	c := login(t, s, explain.Implicit)
	c.say("421 ", "MAIL FROM:<a@b.test>")
	c.wantEnd()

	script(explain.StageSTARTTLS, sandbox.Act{Inject: "250 injected\r\n"})
	c = dial(t, s, explain.STARTTLS)
	c.want("220 ")
	c.say("250-", "EHLO x")
	c.say("220 ", "STARTTLS")
	c.want("250 injected")

	script(explain.StageData, sandbox.Act{Reply: "554 5.7.1 No"})
	c = login(t, s, explain.Implicit)
	c.say("250 ", "MAIL FROM:<a@b.test>")
	c.say("250 ", "RCPT TO:<a@b.test>")
	c.write("BDAT 3 LAST\r\na\r\n")
	c.want("554 5.7.1 No")

	set(t, s, sandbox.Behaviour{
		Script:     map[explain.Stage]sandbox.Act{explain.StageRcpt: {Reply: "550 5.1.1 Nobody"}},
		Recipients: map[envelope.Path]sandbox.Act{"c@b.test": {Reply: "251 2.1.5 Moved"}},
	})
	c = login(t, s, explain.Implicit)
	c.say("250 ", "MAIL FROM:<a@b.test>")
	c.say("550 5.1.1", "RCPT TO:<a@b.test>")
	c.say("251 ", "RCPT TO:<c@b.test>")

	set(t, s, sandbox.Behaviour{Idle: time.Millisecond})
	c = dial(t, s, explain.STARTTLS)
	c.want("220 ")
	c.want("421 4.4.2")
	c.wantEnd()
}

// TestClosed shows that a closed port refuses connections, the other one
// does not, and that it can be opened again where it was.
func TestClosed(t *testing.T) {
	s := start(t, sandbox.Options{})
	if err := s.SetPort(explain.STARTTLS, sandbox.Behaviour{Closed: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", s.STARTTLS().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed port: %v", err)
	}
	login(t, s, explain.Implicit)
	set(t, s, sandbox.Behaviour{})
	login(t, s, explain.STARTTLS)
}

// TestProtocol covers ports that speak something else.
func TestProtocol(t *testing.T) {
	s := start(t, sandbox.Options{})
	handshake := func(mode explain.TLSMode) error {
		addr := s.STARTTLS()
		if mode == explain.Implicit {
			addr = s.Implicit()
		}
		conn, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: s.Pool(), ServerName: "localhost"})
		if err == nil {
			conn.Close()
		}
		return err
	}
	var header tls.RecordHeaderError
	set(t, s, sandbox.Behaviour{Protocol: sandbox.HTTP})
	if err := handshake(explain.Implicit); !errors.As(err, &header) || !strings.HasPrefix(string(header.RecordHeader[:]), "HTTP/") {
		t.Errorf("http on the implicit port: %v", err)
	}
	dial(t, s, explain.STARTTLS).want("HTTP/1.1 400")

	set(t, s, sandbox.Behaviour{Protocol: sandbox.Plain})
	if err := handshake(explain.Implicit); !errors.As(err, &header) || !strings.HasPrefix(string(header.RecordHeader[:]), "220 ") {
		t.Errorf("plain on the implicit port: %v", err)
	}
	set(t, s, sandbox.Behaviour{Protocol: sandbox.TLS})
	if err := handshake(explain.STARTTLS); err != nil {
		t.Errorf("TLS on the STARTTLS port: %v", err)
	}
}

// TestCertificates shows that each kind fails as its namesakes do in the
// field, on both ports.
func TestCertificates(t *testing.T) {
	s := start(t, sandbox.Options{})
	for kind, check := range map[sandbox.Certificate]func(error) bool{
		sandbox.Expired: func(err error) bool {
			var invalid x509.CertificateInvalidError
			return errors.As(err, &invalid) && invalid.Reason == x509.Expired
		},
		sandbox.WrongName: func(err error) bool { return errors.As(err, new(x509.HostnameError)) },
		sandbox.Untrusted: func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) },
	} {
		set(t, s, sandbox.Behaviour{Certificate: kind})
		config := &tls.Config{RootCAs: s.Pool(), ServerName: "localhost"}
		if _, err := tls.Dial("tcp", s.Implicit().String(), config); !check(err) {
			t.Errorf("%s: %v", kind, err)
		}
		if stage, words := deliver(dial(t, s, explain.STARTTLS)); stage != explain.StageTLS {
			t.Errorf("%s: seen at %q: %s", kind, stage, words)
		}
	}
	set(t, s, sandbox.Behaviour{MaxTLS: tls.VersionTLS11})
	if stage, words := deliver(dial(t, s, explain.STARTTLS)); stage != explain.StageTLS || !strings.Contains(words, "version") {
		t.Errorf("TLS 1.1: seen at %q: %s", stage, words)
	}
	if n := s.Stats().Handshakes; n != 0 {
		t.Errorf("%d handshakes", n)
	}
}

// TestResumption exists for the counter: with a client that keeps tickets
// the second handshake is a resumption, unless the certificate went bad.
func TestResumption(t *testing.T) {
	s := start(t, sandbox.Options{})
	config := &tls.Config{RootCAs: s.Pool(), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	connect := func() error {
		conn, err := tls.Dial("tcp", s.Implicit().String(), config)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 3)) // the ticket comes with the first octets
		return err
	}
	for range 2 {
		if err := connect(); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Stats(); got.Handshakes != 2 || got.Resumptions != 1 {
		t.Errorf("stats %+v", got)
	}
	set(t, s, sandbox.Behaviour{Certificate: sandbox.Untrusted})
	if connect() == nil {
		t.Error("a ticket hid a bad certificate")
	}
}

// TestWishes holds the addresses of the demonstration: each is refused at
// the stage and with the class that its cause has in the field.
func TestWishes(t *testing.T) {
	tests := []struct{ to, command, reply string }{
		{"recipient.unknown", "RCPT", "550 5.1.1 "},
		{"Recipient.Unknown+tag", "RCPT", "550 5.1.1 "},
		{"recipient.mailbox_full", "RCPT", "452-4.2.2 "},
		{"message.spam", "Subj", "554 5.7.1 "},
		{"limit.quota", "Subj", "550 5.4.5 "},
		{"limit.recipients", "RCPT", "452 4.5.3 "},
		{"sender.not_allowed", "Subj", "554 5.2.252 "},
		{"greylisted", "RCPT", "450 4.2.0 "},
		{"greylisted", "Subj", "250 "},
		{"greylisted+other", "RCPT", "450 "},
		{"connect.closed", "RCPT", "EOF"},
		{"delivery.uncertain", "Subj", "EOF"},
		{"reply-550-5.1.1", "RCPT", "550 5.1.1 "},
		{"reply-421", "RCPT", "421 "},
		{"reply-451-4.3.0-dot", "Subj", "451 4.3.0 "},
		{"reply-554-data", "DATA", "554 "},
		{"reply-250", "Subj", "250 "},
		{"reply-550-nonsense", "Subj", "250 "},
		{"auth.rejected", "Subj", "250 "}, // not one that a mail can show
		{"somebody", "Subj", "250 "},
	}
	s := start(t, sandbox.Options{})
	for _, tt := range tests {
		reply, command := login(t, s, explain.Implicit).send(tt.to+"@sandbox.test", stuffed)
		if command != tt.command || !strings.HasPrefix(reply, tt.reply) && !strings.HasSuffix(reply, tt.reply) {
			t.Errorf("%s: %s: %s; want %s: %s", tt.to, command, reply, tt.command, tt.reply)
		}
	}
	if got := s.Stats().Messages; got != 6 {
		t.Errorf("%d messages, want those accepted and the uncertain one", got)
	}
}
