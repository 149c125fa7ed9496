package listener_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kurir/relay/listener"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A message is what reached Submit.
type message struct {
	env       envelope.Envelope
	messageID string
	id        string
	content   string // without the fields that we have put on top
	added     string // these
}

// A relay is a server with what its tests look at.
type relay struct {
	*listener.Server
	addr  string
	spool *spool.Spool

	language explain.Language // of the log

	mu       sync.Mutex
	messages []message
	rejected []string
	refused  []string
	lost     int
	answer   queue.Answer
}

// start runs a server on loopback until the test ends.
func start(t testing.TB, change func(*listener.Options)) *relay {
	t.Helper()
	r := build(t, change)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.serve(t, l)
	return r
}

// unwatched is a spool whose fullness nobody watches.
type unwatched struct{ *spool.Spool }

func (unwatched) NoRoom(error) {}

func build(t testing.TB, change func(*listener.Options)) *relay {
	t.Helper()
	store, _, err := spool.Open(spool.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	r := &relay{spool: store, answer: queue.Answer{Code: 250, Enhanced: explain.EnhancedCode{2, 0, 0}, Text: "queued"}}
	o := listener.Options{
		Hostname:       "relay.example",
		Spool:          unwatched{store},
		Submit:         r.submit,
		MaxMessageSize: func() int64 { return 1_000_000 },
		Settings: listener.Settings{
			MaxRecipients:  100,
			MaxConnections: 50,
			IdleTimeout:    time.Minute,
			Allow:          []string{"loopback"},
		},
		Log: r,
	}
	if change != nil {
		change(&o)
	}
	r.language = o.Language
	if r.Server, err = listener.New(o); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *relay) serve(t testing.TB, l net.Listener) { r.serveAt(t, listener.Port{Listener: l}) }

func (r *relay) serveAt(t testing.TB, p listener.Port) {
	t.Helper()
	ended := make(chan error)
	go func() { ended <- r.Serve(p) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, listener.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

func (r *relay) submit(_ context.Context, d *spool.Draft) queue.Answer {
	defer d.Close()
	f, err := d.Message().Open()
	if err != nil {
		return queue.Answer{Code: 451, Text: err.Error()}
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil {
		return queue.Answer{Code: 451, Text: err.Error()}
	}
	m := message{env: *d.Envelope(), messageID: d.MessageID, id: d.ID().String(), content: string(all)}
	m.added, m.content = cutAdded(m.content, m.id, m.env.From, d.Received())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
	return r.answer
}

// cutAdded takes off what relay/rewrite puts on top.
func cutAdded(s, id string, from envelope.Path, received time.Time) (added, rest string) {
	if from == "" {
		from = "MAILER-DAEMON@relay.example"
	}
	end := strings.Index(s, "+0000\r\n") + len("+0000\r\n") // of Received
	for _, f := range []string{"Date: " + received.Format(time.RFC1123Z) + "\r\n", "Message-ID: <" + id + "@relay.example>\r\n", "From: " + string(from) + "\r\n"} {
		if strings.HasPrefix(s[end:], f) {
			end += len(f)
		}
	}
	return s[:end], s[end:]
}

func (r *relay) taken() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages
}

func (r *relay) ClientRejected(client, reason, fix string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejected = append(r.rejected, client+": "+reason+": "+fix)
}

func (r *relay) MessageRefused(client string, env envelope.Envelope, f *explain.Failure, code int, enhanced explain.EnhancedCode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := f.ExplanationIn(r.language)
	r.refused = append(r.refused, fmt.Sprintf("%s %s %d %s %s %s: %s", client, f.Stage, code, enhanced, f.Cause, x.Text(), x.Fix))
}

func (r *relay) ClientLost(string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost++
}

func (r *relay) logs() (rejected, refused []string, lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rejected, r.refused, r.lost
}

// A client speaks SMTP as badly as a test wants it to.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (r *relay) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second)) // a test that hangs should say where
	return &client{t, conn, bufio.NewReader(conn)}
}

// hello is dial, and the dialogue up to EHLO.
func (r *relay) hello(t testing.TB) *client {
	t.Helper()
	c := r.dial(t)
	c.run("< 220", "> EHLO client", "< 250")
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

// reply reads one reply, its lines separated by LF; "" at the end.
func (c *client) reply() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			if line != "" {
				c.t.Fatalf("half a reply: %q", line)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.t.Fatal("no reply")
			}
			return ""
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(line) < 6 || strings.ContainsAny(text, "\r\n\x00") {
			c.t.Fatalf("malformed reply line %q", line)
		}
		lines = append(lines, text)
		if line[3] == ' ' {
			return strings.Join(lines, "\n")
		}
	}
}

// run plays a script: "> line" is sent with CRLF, ">> text" is unquoted and
// sent as it is, "< reply" is awaited and compared as a prefix, "<" alone
// awaits the end of the connection.
func (c *client) run(script ...string) {
	c.t.Helper()
	for _, step := range script {
		switch op, arg, _ := strings.Cut(step, " "); op {
		case ">":
			c.send(arg + "\r\n")
		case ">>":
			s, err := strconv.Unquote(`"` + arg + `"`)
			if err != nil {
				c.t.Fatalf("%s: %v", step, err)
			}
			c.send(s)
		case "<":
			got := c.reply()
			if (arg == "") != (got == "") || !strings.HasPrefix(got, arg) {
				c.t.Fatalf("want %q, got %q", arg, got)
			}
		}
	}
}

// transaction is the dialogue up to DATA.
var transaction = []string{"> MAIL FROM:<a@example.org>", "< 250 2.1.0", "> RCPT TO:<b@example.net>", "< 250 2.1.5", "> DATA", "< 354"}
