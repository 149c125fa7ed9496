package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/redact"
)

// Bounds on what a server may make us hold: one line and one whole reply.
const (
	maxReply      = 64 << 10
	maxReplyLines = 200
	bufferSize    = 32 << 10
)

var errLongReply = errors.New("the server's reply is longer than 64 KB")

// A notSMTPError is a line that is no SMTP reply: something else listens.
type notSMTPError struct{ Line string }

func (e *notSMTPError) Error() string {
	return fmt.Sprintf("this is not an SMTP reply: %q", e.Line)
}

// A wire speaks lines over a connection. It buffers what is written until
// flush, so that a group of commands leaves in one packet (RFC 2920).
type wire struct {
	conn    net.Conn
	budget  *budgetReader
	br      *bufio.Reader
	text    *textproto.Reader
	bw      *bufio.Writer
	script  *transcript
	secrets *redact.Redactor // of what a server may say back into a log
}

// budgetReader lets a limited number of octets through until it is refilled,
// so that a server cannot answer without end.
type budgetReader struct {
	r    io.Reader
	left int
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongReply
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// blockWriter gives every write to the network a deadline of its own: a slow
// but moving server is never cut off, a stuck one always.
type blockWriter struct{ net.Conn }

func (w blockWriter) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(timeouts.block)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

func newWire(conn net.Conn, script *transcript) *wire {
	w := &wire{script: script}
	w.attach(conn)
	return w
}

// attach puts the wire on conn and forgets everything buffered, which is
// what RFC 3207 section 4.2 demands once TLS is in place.
func (w *wire) attach(conn net.Conn) {
	w.conn = conn
	w.budget = &budgetReader{r: conn}
	w.br = bufio.NewReaderSize(w.budget, 4096)
	w.text = textproto.NewReader(w.br)
	w.bw = bufio.NewWriterSize(blockWriter{conn}, bufferSize)
}

// send buffers one command line.
func (w *wire) send(line string) {
	w.script.sent(line)
	w.put(line)
}

// sendSecret buffers a line that the transcript shows only as shown.
func (w *wire) sendSecret(line, shown string) {
	w.script.sent(shown)
	w.put(line)
}

// put leaves errors to flush: a bufio.Writer keeps its first one.
func (w *wire) put(line string) {
	_, _ = w.bw.WriteString(line)
	_, _ = w.bw.WriteString("\r\n")
}

func (w *wire) flush() error {
	if w.bw.Buffered() == 0 {
		return nil
	}
	err := w.bw.Flush()
	quickAck(w.conn)
	return err
}

// reply reads one whole reply, which must be complete within timeout.
func (w *wire) reply(timeout time.Duration) (*explain.Reply, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	w.budget.left = maxReply
	var (
		lines []string
		code  int
	)
	for {
		line, err := w.text.ReadLine()
		if err != nil {
			if errors.Is(err, io.EOF) && len(lines)+len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		line = w.secrets.Redact(line)
		c, text, more, ok := cutReplyLine(line)
		if !ok || (code != 0 && c != code) {
			w.script.received(line)
			return nil, &notSMTPError{Line: explain.Cut(line, 200)}
		}
		w.script.received(line)
		code = c
		lines = append(lines, text)
		if !more {
			return explain.NewReply(code, lines), nil
		}
		if len(lines) == maxReplyLines {
			return nil, errLongReply
		}
	}
}

// cutReplyLine takes a reply line apart (RFC 5321, section 4.2). A code alone
// on its line is taken too, as some servers send it.
func cutReplyLine(line string) (code int, text string, more, ok bool) {
	if len(line) < 3 {
		return 0, "", false, false
	}
	code, err := strconv.Atoi(line[:3])
	if err != nil || code < 200 || code > 599 {
		return 0, "", false, false
	}
	if len(line) == 3 {
		return code, "", false, true
	}
	switch line[3] {
	case ' ':
		return code, line[4:], false, true
	case '-':
		return code, line[4:], true, true
	}
	return 0, "", false, false
}

// unread tells how much of what the server sent was not read yet.
func (w *wire) unread() int { return w.br.Buffered() }

// injected shows what waits unread, for the explanation of an attack.
func (w *wire) injected() string {
	b, _ := w.br.Peek(min(w.unread(), 200))
	return strings.ToValidUTF8(string(b), "?")
}
