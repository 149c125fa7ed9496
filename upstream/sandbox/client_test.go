package sandbox_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a sandbox for the length of a test.
func start(t *testing.T, opts sandbox.Options) *sandbox.Server {
	t.Helper()
	s, err := sandbox.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func set(t *testing.T, s *sandbox.Server, b sandbox.Behaviour) {
	t.Helper()
	if err := s.Set(b); err != nil {
		t.Fatal(err)
	}
}

// A client says what a test tells it to, and expects replies by their start.
type client struct {
	t    *testing.T
	conn net.Conn
	text *textproto.Conn
	tls  *tls.Config
}

func dial(t *testing.T, s *sandbox.Server, mode explain.TLSMode) *client {
	t.Helper()
	addr := s.STARTTLS()
	if mode == explain.Implicit {
		addr = s.Implicit()
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute)) // a hang is a failure, not a wait
	c := &client{t: t, conn: conn, text: textproto.NewConn(conn), tls: &tls.Config{RootCAs: s.Pool(), ServerName: "localhost"}}
	if mode == explain.Implicit {
		c.handshake()
	}
	return c
}

func (c *client) handshake() {
	c.t.Helper()
	conn := tls.Client(c.conn, c.tls)
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.text = conn, textproto.NewConn(conn)
}

// read takes one reply: its codes and texts, in one line.
func (c *client) read() (string, error) {
	var lines []string
	for {
		line, err := c.text.ReadLine()
		if err != nil {
			return "", err
		}
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "|"), nil
		}
	}
}

func (c *client) want(prefix string) string {
	c.t.Helper()
	got, err := c.read()
	if err != nil || !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("reply %q, %v; want %s", got, err, prefix)
	}
	return got
}

func (c *client) wantEnd() {
	c.t.Helper()
	if got, err := c.read(); err == nil {
		c.t.Fatalf("reply %q, want the end of the connection", got)
	}
}

func (c *client) write(s string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(s)); err != nil {
		c.t.Fatal(err)
	}
}

// say sends a command and expects its reply.
func (c *client) say(prefix, format string, args ...any) string {
	c.t.Helper()
	c.write(fmt.Sprintf(format, args...) + "\r\n")
	return c.want(prefix)
}

// login goes from the dial to where mail can be sent.
func login(t *testing.T, s *sandbox.Server, mode explain.TLSMode) *client {
	t.Helper()
	c := dial(t, s, mode)
	c.want("220 ")
	c.say("250-", "EHLO client.test")
	if mode == explain.STARTTLS {
		c.say("220 ", "STARTTLS")
		c.handshake()
		c.say("250-", "EHLO client.test")
	}
	c.say("235 ", "AUTH PLAIN %s", b64("\x00sandbox\x00sandbox"))
	return c
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// send does a transaction to one recipient and returns the reply that ended
// it, and the command that it answered.
func (c *client) send(to, content string) (reply, command string) {
	c.t.Helper()
	for _, line := range []string{"MAIL FROM:<app@example.com>", "RCPT TO:<" + to + ">", "DATA", content + "."} {
		c.write(line + "\r\n")
		var err error
		if reply, err = c.read(); err != nil {
			return err.Error(), line[:4]
		}
		if line == "DATA" && reply[0] == '3' {
			continue
		}
		if reply[0] != '2' || strings.HasSuffix(line, ".") {
			command = line[:4]
			break
		}
	}
	c.write("RSET\r\n")
	if _, err := c.read(); err != nil {
		c.t.Log(err)
	}
	return reply, command
}

func only(t *testing.T, s *sandbox.Server) sandbox.Message {
	t.Helper()
	list := s.Messages()
	if len(list) != 1 {
		t.Fatalf("%d messages, want 1", len(list))
	}
	return list[0]
}

func wantContent(t *testing.T, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, []byte(want)) {
		t.Errorf("content %q, want %q", got, want)
	}
}
