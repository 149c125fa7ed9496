package listener_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"kurir/relay/listener"
)

// P9: what looks like the end of a message to some server, and is not CRLF
// "." CRLF, ends nothing here. The dialogue behind each must stay content,
// and reach the smart host with canonical line ends.
func TestSmuggling(t *testing.T) {
	const inner = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: forged\r\n\r\nforged\r\n"
	for _, c := range []struct{ end, becomes string }{
		{"\n.\n", "\r\n.\r\n"},
		{"\n.\r\n", "\r\n.\r\n"},
		{"\r\n.\n", "\r\n.\r\n"},
		{"\r.\r", "\r\n.\r\n"},
		{"\r.\n", "\r\n.\r\n"},
		{"\n.\r", "\r\n.\r\n"},
		{"\r.\r\n", "\r\n.\r\n"},
		{"\r\n.\r", "\r\n.\r\n"},
		{"\r\n.\r\r\n", "\r\n.\r\n"},
		{"\r\r\n.\r\r\n", "\r\n.\r\n"},
		{"\n\n.\n\n", "\r\n\r\n.\r\n\r\n"},
		{"\n\r.\n\r", "\r\n\r\n.\r\n\r\n"},
		{"\r\r.\r\r", "\r\n\r\n.\r\n\r\n"},
		{"\r\n\x00.\r\n", "\r\n\x00.\r\n"},
		{"\r\n.\x00\r\n", "\r\n\x00\r\n"},
		{"\r\x00\n.\r\x00\n", "\r\n\x00\r\n.\r\n\x00\r\n"},
		{"\r\r\n\x00.\r\r\n", "\r\n\x00.\r\n"},
		{"\r\n. \r\n", "\r\n \r\n"},
		{"\r\n.\t\r\n", "\r\n\t\r\n"},
		{"\r\n..\r\n", "\r\n.\r\n"},
		{"\r\n .\r\n", "\r\n .\r\n"},
		{"\x85.\x85", "\x85.\x85"},
		{"\xe2\x80\xa8.\xe2\x80\xa8", "\xe2\x80\xa8.\xe2\x80\xa8"},
		{"\v.\v", "\v.\v"},
	} {
		sent := "Subject: x\r\n\r\ntext" + c.end + inner
		want := "Subject: x\r\n\r\ntext" + c.becomes + inner
		for _, cut := range []int{0, 1, 2, 3, 4} { // where segments end must not matter
			r := start(t, nil)
			cl := r.hello(t)
			cl.run(transaction...)
			if cut == 0 {
				cl.send(sent)
			} else {
				at := strings.Index(sent, c.end) + min(cut, len(c.end))
				cl.send(sent[:at])
				cl.send(sent[at:])
			}
			cl.run("> .", "< 250 2.0.0 queued", "> QUIT", "< 221", "<")
			m := r.taken()
			if len(m) != 1 {
				t.Fatalf("%q: %d messages", c.end, len(m))
			}
			if m[0].content != want {
				t.Errorf("%q:\n got %q\nwant %q", c.end, m[0].content, want)
			}
		}
	}
}

// The same through BDAT, where nothing but the count ends a message.
func TestSmugglingInChunks(t *testing.T) {
	r := start(t, nil)
	c := r.hello(t)
	c.run("> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250")
	inner := "A: x\r\n\r\n.\r\nMAIL FROM:<evil@example.org>\n.\nRSET\r\n.\r"
	c.send(fmt.Sprintf("BDAT %d\r\n%sBDAT 2 LAST\r\n\n.", len(inner), inner))
	c.run("< 250", "< 250 2.0.0 queued")
	if m := r.taken(); len(m) != 1 || m[0].content != "A: x\r\n\r\n.\r\nMAIL FROM:<evil@example.org>\r\n.\r\nRSET\r\n.\r\n.\r\n" {
		t.Errorf("%+v", m)
	}
}

// What apps really send: it must arrive as it was meant.
func TestContent(t *testing.T) {
	long := strings.Repeat("<td>x</td>", 99_000)
	for _, c := range []struct{ name, sent, want string }{
		{"empty", "", ""},
		{"no header", "text\r\n", "\r\ntext\r\n"},
		{"header alone", "A: x\r\n", "A: x\r\n"},
		{"header without its empty line", "A: x\r\ntext\r\n", "A: x\r\ntext\r\n"},
		{"body after an empty line", "\r\ntext\r\n", "\r\ntext\r\n"},
		{"UTF-8 in the header", "Subject: Gr\xc3\xbc\xc3\x9fe\r\nFrom: M\xc3\xbcller <a@example.org>\r\n\r\ntext\r\n", "Subject: Gr\xc3\xbc\xc3\x9fe\r\nFrom: M\xc3\xbcller <a@example.org>\r\n\r\ntext\r\n"},
		{"LF lines and CRLF lines", "A: x\r\nB: y\n\ntext\r\nb64\nb64\n\r\nend\r\n", "A: x\r\nB: y\r\n\r\ntext\r\nb64\r\nb64\r\n\r\nend\r\n"},
		{"LF lines", "A: x\n\ntext\n..two\n", "A: x\r\n\r\ntext\r\n..two\r\n"},
		{"CR lines", "A: x\r\rtext\r", "A: x\r\n\r\ntext\r\n"},
		{"doubled CR", "A: x\r\r\n\r\r\ntext\r\r\n", "A: x\r\n\r\ntext\r\n"},
		{"stuffed dots", "A: x\r\n\r\n..\r\n...\r\n.x\r\nx.\r\n", "A: x\r\n\r\n.\r\n..\r\nx\r\nx.\r\n"},
		{"one long line", "A: x\r\n\r\n" + long + "\r\n", "A: x\r\n\r\n" + long + "\r\n"},
		{"8-bit and NUL", "A: \xfc\r\n\r\n\xc3\xbc\x00\xff\r\n", "A: \xfc\r\n\r\n\xc3\xbc\x00\xff\r\n"},
		{"many lines", "A: x\r\n\r\n" + strings.Repeat(".MAIL FROM:<x@y>\r\n", 10_000), "A: x\r\n\r\n" + strings.Repeat("MAIL FROM:<x@y>\r\n", 10_000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil)
			cl := r.hello(t)
			cl.run(transaction...)
			cl.send(c.sent)
			if c.sent != "" && !strings.HasSuffix(c.sent, "\r\n") {
				cl.send("\r\n")
				c.want += "\r\n"
				if strings.HasSuffix(c.sent, "\r") { // it has become one line end with the LF
					c.want = strings.TrimSuffix(c.want, "\r\n")
				}
			}
			cl.run("> .", "< 250", "> NOOP", "< 250")
			if m := r.taken(); len(m) != 1 || m[0].content != c.want {
				t.Errorf("%d messages: %.300q", len(m), fmt.Sprint(m))
			}
		})
	}
}

// The size that is announced can be sent, one octet more cannot; a refusal
// comes at MAIL where SIZE tells, else when all has been read, and the
// session goes on.
func TestSize(t *testing.T) {
	const limit = 10_000
	r := start(t, func(o *listener.Options) { o.MaxMessageSize = func() int64 { return limit } })
	content := func(n int) string { return "A: x\r\n\r\n" + strings.Repeat("x", n-10) + "\r\n" }
	c := r.hello(t)
	c.run("> MAIL FROM:<a@example.org> SIZE=10001", "< 552 5.3.4 The message is too large: at most 10000 B")
	c.run("> MAIL FROM:<a@example.org> SIZE=10000", "< 250", "> RSET", "< 250")
	for _, n := range []int{limit, limit + 1, 500_000, limit} {
		want := "< 250"
		if n > limit {
			want = "< 552 5.3.4"
		}
		c.run(transaction...)
		c.send(content(n))
		c.run("> .", want)
		c.run("> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250")
		c.send(fmt.Sprintf("BDAT 10\r\n%sBDAT %d LAST\r\n%s", content(n)[:10], n-10, content(n)[10:]))
		c.run("< 250", want)
	}
	c.run(transaction...)
	c.send(strings.Replace(content(limit), "xx", "\r\n..x", 1)) // 4 octets more: the stuffed dot does not count
	c.run("> .", "< 552")
	c.run(transaction...)
	c.send(strings.Replace(content(limit), "xxxx", "\r\n..x", 1)) // the same size
	c.run("> .", "< 250")
	if n := len(r.taken()); n != 5 {
		t.Errorf("%d messages arrived", n)
	}
	if _, refused, _ := r.logs(); len(refused) != 6 || !strings.Contains(refused[1], "dot 552 5.3.4 message.too_large") {
		t.Errorf("log: %q", refused)
	}
}

// A header that never ends and a message that goes in circles are refused,
// and what they bring is not taken for commands.
func TestHeaderRefusals(t *testing.T) {
	r := start(t, nil)
	c := r.hello(t)
	c.run(transaction...)
	c.send(strings.Repeat("X-RSET: x\r\n", 30_000))
	c.run("> .", "< 552 5.3.4 The header is too large")
	c.run(transaction...)
	c.send(strings.Repeat("Received: x\r\n", 100))
	c.run("> ", "> RSET", "> .", "< 554 5.4.6 Mail loop", "> NOOP", "< 250")
	if len(r.taken()) != 0 {
		t.Error("it arrived")
	}
}

// Replies to what came together go out together, and none waits for more.
func TestWrites(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingListener{Listener: l}
	r := build(t, nil)
	r.addr = l.Addr().String()
	r.serve(t, counted)
	c := r.dial(t)
	c.run("< 220", "> EHLO x", "< 250",
		`>> MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n`,
		"< 250", "< 250", "< 250", "< 354", "> .", "< 250", "> QUIT", "< 221", "<")
	if n := counted.writes(); n != 5 {
		t.Errorf("%d writes for greeting, EHLO, transaction, dot, QUIT", n)
	}
}

type countingListener struct {
	net.Listener
	conn *countingConn
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.conn = &countingConn{Conn: c, closed: make(chan struct{})}
	return l.conn, nil
}

func (l *countingListener) writes() int {
	<-l.conn.closed
	return l.conn.n
}

type countingConn struct {
	net.Conn
	n      int
	closed chan struct{}
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.n++
	return c.Conn.Write(p)
}

func (c *countingConn) Close() error {
	defer close(c.closed)
	return c.Conn.Close()
}

// 20 MB on one connection: memory must not follow, and the content must not
// change at any of the places where buffers meet.
func TestLargeMessage(t *testing.T) {
	r := start(t, func(o *listener.Options) { o.MaxMessageSize = func() int64 { return 0 } })
	line := []byte("..0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 012345\r\n")
	body := bytes.Repeat(line, 20_000_000/len(line))
	c := r.hello(t)
	c.run(transaction...)
	go func() {
		c.conn.Write([]byte("A: x\r\n\r\n"))
		c.conn.Write(body)
		io.WriteString(c.conn, ".\r\n")
	}()
	c.run("< 250")
	want := "A: x\r\n\r\n" + string(bytes.ReplaceAll(body, []byte("\r\n.."), []byte("\r\n."))[1:])
	if m := r.taken(); m[0].content != want {
		t.Errorf("%d octets of %d arrived, or others", len(m[0].content), len(want))
	}
}
