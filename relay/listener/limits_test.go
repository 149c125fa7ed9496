package listener_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kurir/relay/listener"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// P8: who is not allowed learns so before the greeting, with the line of the
// configuration that would change it.
func TestStrangers(t *testing.T) {
	r := start(t, func(o *listener.Options) { o.Allow = []string{"10.0.0.0/8", "192.0.2.1"} })
	for range 5 {
		c := r.dial(t)
		if got := c.reply(); got != `554 5.7.1 127.0.0.1 may not use this relay. If it is an app of yours, set listen.allow = ["10.0.0.0/8", "192.0.2.1", "loopback"]` {
			t.Errorf("%q", got)
		}
		c.run("<")
	}
	if rejected, _, _ := r.logs(); len(rejected) != 1 || !strings.Contains(rejected[0], `127.0.0.1 may not use this relay. It is not in listen.allow.: If it is an app of yours, set listen.allow = [`) {
		t.Errorf("log: %q", rejected)
	}
}

// New settings hold for who comes next, and for the next command of who is in;
// nobody is sent away for them. Faulty ones change nothing.
func TestConfigure(t *testing.T) {
	r := start(t, nil)
	in := r.hello(t)
	n := listener.Settings{MaxRecipients: 1, MaxConnections: 50, IdleTimeout: time.Minute, Allow: []string{"10.0.0.0/8"}}
	if err := r.Configure(n); err != nil {
		t.Fatal(err)
	}
	out := r.dial(t)
	out.run("< 554 5.7.1", "<")
	in.run("> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250", "> RCPT TO:<c@example.net>", "< 452 4.5.3")
	n.Allow = []string{"loopback", "Private"}
	if err := r.Configure(n); err == nil {
		t.Error("a mistyped word was taken")
	}
	out = r.dial(t)
	out.run("< 554 5.7.1", "<")
}

// A mistyped word must not open or close the relay silently.
func TestAllowFaults(t *testing.T) {
	for _, word := range []string{"", "Loopback", "10.0.0.0/33", "example.org", "::ffff:10.0.0.0/104"} {
		_, err := listener.New(listener.Options{Settings: listener.Settings{Allow: []string{"loopback", word}}})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", word)) {
			t.Errorf("%q: %v", word, err)
		}
	}
}

// Who may use a unix socket is up to the file system.
func TestUnixSocket(t *testing.T) {
	r := build(t, func(o *listener.Options) { o.Allow = nil })
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	r.serve(t, l)
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{t, conn, bufio.NewReader(conn)}
	c.run("< 220", "> EHLO x", "< 250")
	c.run(transaction...)
	c.run("> .", "< 250")
}

// Browsers, forged requests of web apps and TLS on a plain port are cut off
// before anything of theirs can pass for a command, and logged once.
func TestForeignProtocols(t *testing.T) {
	for _, c := range []struct{ name, sent, reason string }{
		{"GET", `GET / HTTP/1.1\r\nHost: x\r\n\r\n`, "HTTP was sent to the SMTP port"},
		{"POST", `POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n.\r\n`, "HTTP was sent to the SMTP port"},
		{"WebDAV", `PROPFIND /x HTTP/1.1\r\nHost: x\r\n\r\n`, "HTTP was sent to the SMTP port"},
		{"SSH", `SSH-2.0-OpenSSH_9.2\r\n`, "Something other than SMTP"},
		{"Redis", `*1\r\n$4\r\nPING\r\n`, "Something other than SMTP"},
		{"binary", `\x03\x00\x00\x13\x0e\xe0\n`, "Something other than SMTP"},
		{"JSON", `{id:1}\n`, "Something other than SMTP"},
		{"HTTP/2", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`, "HTTP was sent to the SMTP port"},
		{"TLS", `\x16\x03\x01\x00\x05\nHELO x\r\n`, "TLS was begun where none is offered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil)
			for range 3 {
				cl := r.dial(t)
				cl.run("< 220", ">> "+c.sent)
				if rest, _ := cl.r.ReadString(0); rest != "" {
					t.Errorf("answered %q", rest)
				}
			}
			if rejected, _, _ := r.logs(); len(rejected) != 1 || !strings.Contains(rejected[0], c.reason) {
				t.Errorf("log: %q", rejected)
			}
		})
	}
}

// Commands are bounded in size, whether they end or not, and so are errors.
func TestCommandBounds(t *testing.T) {
	r := start(t, nil)
	c := r.hello(t)
	c.send("NOOP " + strings.Repeat("x", 8000) + "\r\nNOOP\r\n")
	c.run("< 250", "< 250")
	c.send("NOOP " + strings.Repeat("x", 9000))
	c.run("< 500 5.5.2 Line too long", "<")
	c = r.hello(t)
	c.send("NOOP\r\nNOOP " + strings.Repeat("x", 9000) + "\r\n")
	c.run("< 250", "< 500 5.5.2 Line too long", "<")
	c = r.hello(t)
	c.run("> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250", `>> BDAT 1\r\nx`, "< 250")
	c.send(strings.Repeat("x", 9000))
	c.run("< 500 5.5.2 Line too long", "<")

	c = r.hello(t)
	for range 51 {
		c.run("> XYZZY", "< 500")
	}
	c.run("< 421 4.7.0 Too many errors", "<")
	c = r.hello(t)
	c.run("> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250", `>> BDAT 1\r\nx`, "< 250")
	for range 51 {
		c.run("> MAIL", "< 503")
	}
	c.run("< 421 4.7.0 Too many errors", "<")
	if rejected, _, _ := r.logs(); len(rejected) != 2 {
		t.Errorf("log: %q", rejected)
	}
	if len(r.taken()) != 0 {
		t.Error("a message arrived")
	}
}

// A refusal at RCPT leaves the message to those that were taken.
func TestMaxRecipients(t *testing.T) {
	r := start(t, func(o *listener.Options) { o.MaxRecipients = 2 })
	c := r.hello(t)
	c.run("> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250", "> RCPT TO:<c@example.net>", "< 250",
		"> RCPT TO:<d@example.net>", "< 452 4.5.3 At most 2 recipients", "> DATA", "< 354", "> .", "< 250")
	if m := r.taken(); len(m) != 1 || len(m[0].env.To) != 2 {
		t.Errorf("%+v", m)
	}
}

// A list that is announced as legal is taken whole, however it comes.
func TestManyRecipients(t *testing.T) {
	r := start(t, nil)
	c := r.hello(t)
	var b strings.Builder
	b.WriteString("MAIL FROM:<a@example.org>\r\n")
	for i := range 100 {
		fmt.Fprintf(&b, "RCPT TO:<b%d.%s@example.net>\r\n", i, strings.Repeat("x", 50))
	}
	c.send(b.String() + "DATA\r\nSubject: x\r\n.\r\n")
	for range 101 {
		c.run("< 250 2.1.")
	}
	c.run("< 354", "< 250 2.0.0 queued")
	if m := r.taken(); len(m) != 1 || len(m[0].env.To) != 100 || !strings.HasPrefix(string(m[0].env.To[99].To), "b99.xxx") {
		t.Errorf("%+v", m)
	}
}

// When all places are taken, whoever only sits there gives way to who comes:
// first those without a transaction, then those who pause in one, then those
// who have stopped in the middle of a message. A steady upload never does, and
// who comes waits for a moment before he is refused.
func TestMaxConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := build(t, func(o *listener.Options) { o.MaxConnections = 2 })
		l := newPipes()
		go r.Serve(listener.Port{Listener: l})
		enter := func() *client {
			c := l.dial(t, "127.0.0.1")
			c.run("< 220", "> EHLO x", "< 250")
			return c
		}
		pausing := enter()
		pausing.run(transaction[:2]...)
		idle := enter()
		uploading := enter() // in place of idle
		idle.run("< 421 4.3.2", "<")
		uploading.run(transaction...)
		over := make(chan struct{})
		var upload sync.WaitGroup
		upload.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(900 * time.Millisecond):
					uploading.send("a line of a slow but steady upload, of which there are many in the world, and none of them is ever cut off, not even where the house is full to the last place there is\r\n")
				}
			}
		})
		stuck := enter() // in place of pausing, after a second
		pausing.run("< 421 4.3.2", "<")
		stuck.run(transaction...)
		stuck.send("Subject: half a mess")
		busy := enter() // in place of stuck
		stuck.run("< 421 4.3.2", "<")
		busy.run(transaction...)
		upload.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(time.Second / 4):
					busy.send("another one that does not stop, and is well above the least rate\r\n")
				}
			}
		})
		l.dial(t, "127.0.0.1").run("< 421 4.3.2 Too many connections", "<")
		close(over)
		upload.Wait()
		for _, c := range []*client{uploading, busy} {
			c.run("> .", "< 250", "> QUIT", "< 221", "<")
		}
		if m := r.taken(); len(m) != 2 {
			t.Errorf("%d arrived", len(m))
		}
		rejected, refused, _ := r.logs()
		if len(rejected) != 1 || !strings.Contains(rejected[0], "all 2 are in use") || len(refused) != 1 {
			t.Errorf("log: %q, %q", rejected, refused)
		}
		shut(t, r)
	})
}

// A client from elsewhere has half of the places at most.
func TestShare(t *testing.T) {
	r := build(t, func(o *listener.Options) {
		o.MaxConnections = 4
		o.Allow = []string{"private", "loopback"}
	})
	l := newPipes()
	r.serve(t, l)
	for range 2 {
		l.dial(t, "10.0.0.5").run("< 220")
	}
	l.dial(t, "10.0.0.5").run("< 421 4.3.2 You have too many", "<")
	l.dial(t, "127.0.0.1").run("< 220")
	l.dial(t, "::ffff:10.0.0.6").run("< 220")
	l.dial(t, "203.0.113.1").run("< 554 5.7.1 203.0.113.1", "<")
	if rejected, _, _ := r.logs(); len(rejected) != 2 || !strings.Contains(rejected[0], "10.0.0.5: You have too many connections open: one client has 2 at most") {
		t.Errorf("log: %q", rejected)
	}
}

// An app's mail must get through while a flood of others connects and idles.
func TestFlood(t *testing.T) {
	began := time.Now()
	r := start(t, func(o *listener.Options) { o.MaxConnections = 20 })
	var flood sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		flood.Go(func() {
			var open []net.Conn
			for {
				select {
				case <-done:
					for _, c := range open {
						c.Close()
					}
					return
				default:
				}
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					continue
				}
				if open = append(open, c); len(open) == 50 {
					open[0].Close()
					open = open[1:]
				}
			}
		})
	}
	sent := 0
	for range 200 {
		c := r.dial(t)
		if got := c.reply(); !strings.HasPrefix(got, "220") {
			continue
		}
		c.conn.Write([]byte("EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"))
		ok := true
		for range 4 {
			got := c.replyOrEnd()
			ok = ok && (strings.HasPrefix(got, "250") || strings.HasPrefix(got, "354"))
		}
		if ok {
			c.conn.Write([]byte(".\r\nQUIT\r\n"))
			if strings.HasPrefix(c.replyOrEnd(), "250 2.0.0 queued") {
				sent++
			}
		}
		c.conn.Close()
	}
	close(done)
	flood.Wait()
	if sent == 0 || sent > len(r.taken()) {
		t.Errorf("%d of 200 sent, %d arrived", sent, len(r.taken()))
	}
	t.Logf("%d of 200 sent beside the flood", sent)
	minutes := int(time.Since(began) / time.Minute)
	if rejected, _, _ := r.logs(); len(rejected) > 1+minutes {
		t.Errorf("%d log lines: %q", len(rejected), rejected[:2])
	}
}

// replyOrEnd is reply for a connection that may be reset.
func (c *client) replyOrEnd() string {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return ""
		}
		if len(line) > 3 && line[3] == ' ' {
			return line
		}
	}
}

// Slow is not silent: an upload that brings an octet now and then goes on for
// as long as it takes.
func TestSlowUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := bubble(t)
		c := l.dial(t, "127.0.0.1")
		c.run("< 220", "> EHLO x", "< 250")
		c.run(transaction...)
		for _, b := range "Subject: slow\r\n\r\nbody\r\n" {
			time.Sleep(50 * time.Second)
			c.send(string(b))
		}
		c.run("> .", "< 250")
		if m := r.taken(); len(m) != 1 || m[0].content != "Subject: slow\r\n\r\nbody\r\n" {
			t.Errorf("%+v", m)
		}
		shut(t, r)
	})
}

// A client that stalls inside a message gets a 4xx, and what it sends later
// is not taken for commands.
func TestStall(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{`DATA\r\nSubject: x\r\n\r\n`, "Nothing came for 1m0s inside the message"},
		{`DATA\r\ntext\n.\n`, "It seems to end with a dot between bare line feeds"},
		{`BDAT 100 LAST\r\nSubject: x\r\n\r\n`, "Nothing came"},
		{`BDAT 5\r\nwhole`, "Nothing came"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, l := bubble(t)
			cl := l.dial(t, "127.0.0.1")
			cl.run("< 220", "> EHLO x", "< 250")
			cl.run(transaction[:4]...)
			go fmt.Fprint(cl.conn, unquote(c.sent))
			got := ""
			for !strings.HasPrefix(got, "451") {
				if got = cl.reply(); got == "" {
					t.Fatal("no 451")
				}
			}
			if !strings.HasPrefix(got, "451 4.4.2") || !strings.Contains(got, c.want) {
				t.Errorf("%s: %s", c.sent, got)
			}
			cl.conn.Write([]byte("RSET\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n.\r\n"))
			cl.run("<")
			if n := len(r.taken()); n != 0 {
				t.Errorf("%s: %d messages", c.sent, n)
			}
			if _, refused, _ := r.logs(); len(refused) != 1 {
				t.Errorf("log: %q", refused)
			}
			shut(t, r)
		})
	}
}

func unquote(s string) string { return strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(s) }

// A command must come in time as a whole: octet by octet does not help.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := bubble(t)
		c := l.dial(t, "127.0.0.1")
		c.run("< 220", "> EHLO x", "< 250", "< 421 4.4.2", "<")
		c = l.dial(t, "127.0.0.1")
		c.run("< 220")
		var dripping sync.WaitGroup
		dripping.Go(func() {
			for range 10 {
				time.Sleep(20 * time.Second)
				c.conn.Write([]byte("x"))
			}
		})
		c.run("< 421 4.4.2", "<")
		dripping.Wait()
		if rejected, refused, _ := r.logs(); len(rejected)+len(refused) != 0 {
			t.Errorf("log: %q %q", rejected, refused)
		}
		shut(t, r)
	})
}

// The same trouble is told once a minute, with how often it was.
func TestLogOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := bubble(t)
		for range 1000 {
			l.dial(t, "192.0.2.9").run("< 554", "<")
		}
		time.Sleep(61 * time.Second)
		l.dial(t, "192.0.2.9").run("< 554", "<")
		l.dial(t, "192.0.2.9").run("< 554", "<")
		shut(t, r)
		rejected, _, _ := r.logs()
		if len(rejected) != 3 || !strings.Contains(rejected[1], "(and 999 times before, not logged)") ||
			!strings.Contains(rejected[2], "(and 1 times before, not logged)") {
			t.Errorf("log: %q", rejected)
		}
	})
}

// Refusals are each worth a line, but not thousands of one client.
func TestRefusalsAreBounded(t *testing.T) {
	r := start(t, nil)
	for range 4 {
		c := r.hello(t)
		for range 49 {
			c.run("> MAIL FROM:<root@>", "< 501")
		}
	}
	if _, refused, _ := r.logs(); len(refused) != 60 {
		t.Errorf("%d lines", len(refused))
	}
}

// Idle clients learn at once that we go; a message under way is finished, and
// its client gets its reply.
func TestShutdown(t *testing.T) {
	r := start(t, nil)
	idle, begun, sending := r.hello(t), r.hello(t), r.hello(t)
	begun.run(transaction[:2]...)
	sending.run(transaction...)
	sending.send("Subject: x\r\n")
	chunks := r.hello(t)
	chunks.run(transaction[:4]...)
	chunks.run(`>> BDAT 4\r\nA: x`, "< 250")

	ended := make(chan error)
	go func() { ended <- r.Shutdown(context.Background()) }()
	idle.run("< 421 4.3.2 relay.example is restarting", "<")
	begun.run("< 421 4.3.2", "<")
	if conn, err := net.Dial("tcp", r.addr); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
	sending.run("> .", "< 250", "< 421 4.3.2", "<")
	chunks.run(`>> BDAT 0 LAST\r\nMAIL FROM:<a@example.org>\r\n`, "< 250 2.0.0 queued", "< 421 4.3.2", "<")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Serve(listener.Port{Listener: l}); !errors.Is(err, listener.ErrServerClosed) {
		t.Errorf("Serve afterwards: %v", err)
	}
}

// Who does not finish in time is cut off, nothing half is kept, and a Submit
// that waits is told.
func TestShutdownOutOfTime(t *testing.T) {
	submitting := make(chan struct{})
	r := start(t, func(o *listener.Options) {
		o.Submit = func(ctx context.Context, d *spool.Draft) queue.Answer {
			defer d.Close()
			close(submitting)
			<-ctx.Done()
			return queue.Answer{Code: 451, Enhanced: explain.EnhancedCode{4, 3, 2}, Text: "stopping"}
		}
	})
	stalled, waiting := r.hello(t), r.hello(t)
	stalled.run(transaction...)
	waiting.run(transaction...)
	waiting.run("> .")
	<-submitting
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := stalled.replyOrEnd(); got != "" {
		t.Errorf("stalled: %q", got)
	}
}

// One server has many doors.
func TestSeveralListeners(t *testing.T) {
	r := start(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.serve(t, l)
	r.hello(t)
	r.addr = l.Addr().String()
	r.hello(t)
}

// pipes is a listener without a network, for tests with a clock of their own.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects from the address.
func (p *pipes) dial(t testing.TB, from string) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	p.conns <- pipeConn{theirs, &net.TCPAddr{IP: net.ParseIP(from), Port: 1}}
	return &client{t, ours, bufio.NewReader(ours)}
}

type pipeConn struct {
	net.Conn
	from net.Addr
}

func (c pipeConn) RemoteAddr() net.Addr { return c.from }

// bubble starts a server inside a synctest bubble; shut ends it there.
func bubble(t *testing.T) (*relay, *pipes) {
	r := build(t, nil)
	l := newPipes()
	go r.Serve(listener.Port{Listener: l})
	return r, l
}

func shut(t *testing.T, r *relay) {
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	synctest.Wait()
}
