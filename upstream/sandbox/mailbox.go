package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A Message is one that the sandbox accepted.
type Message struct {
	ID       string // as in the reply: "SANDBOX-1"
	Envelope envelope.Envelope
	Body     string // BODY of MAIL, such as "8BITMIME"; "" if it was not given
	Size     int64  // octets of the content

	// Content is the message octet by octet as the client meant it, without
	// dot-stuffing. In a Maildir it stays in File, behind Return-Path and
	// Delivered-To lines, and Content is nil.
	Content []byte
	File    string

	Via    explain.TLSMode // the port it came through
	TLS    uint16          // the version, such as tls.VersionTLS13; 0 = none
	Client string          // the name in EHLO
	Chunks int             // BDAT commands it came in; 0 = by DATA
}

// remembered is how many messages are listed when the content is in a
// Maildir: it can take mail for weeks, and memory stays flat.
const remembered = 1000

// A mailbox keeps what was accepted.
type mailbox struct {
	dir      string // of the Maildir; "" = in memory
	hostname string

	mu       sync.Mutex
	last     int // number of the newest message
	messages []Message
	more     chan struct{} // closed when a message comes
}

func openMailbox(dir, hostname string) (*mailbox, error) {
	m := &mailbox{dir: dir, hostname: hostname, more: make(chan struct{})}
	if dir == "" {
		return m, nil
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("sandbox: making the Maildir: %w", err)
		}
	}
	return m, nil
}

func (m *mailbox) list() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Message(nil), m.messages...)
}

func (m *mailbox) wait(ctx context.Context, n int) ([]Message, error) {
	for {
		m.mu.Lock()
		last, more := m.last, m.more
		m.mu.Unlock()
		if last >= n {
			return m.list(), nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("sandbox: %d of %d messages have come: %w", last, n, ctx.Err())
		case <-more:
		}
	}
}

// A draft takes the content of one message. Like a Maildir's writer it works
// in tmp and shows the message in new only when it is whole.
type draft struct {
	to     *mailbox
	limit  int64
	size   int64
	ends   lineEnds
	buffer bytes.Buffer  // in memory,
	file   *os.File      // or in a file
	writer *bufio.Writer // in front of it
	err    error         // the first one of writing
}

var errTooLarge = errors.New("the content is larger than allowed")

func (m *mailbox) begin(env envelope.Envelope, limit int64) (*draft, error) {
	d := &draft{to: m, limit: limit}
	if m.dir == "" {
		return d, nil
	}
	f, err := os.CreateTemp(filepath.Join(m.dir, "tmp"), fmt.Sprintf("%d.%d_*.%s", time.Now().Unix(), os.Getpid(), m.hostname))
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	d.file, d.writer = f, bufio.NewWriterSize(f, 32<<10)
	fmt.Fprintf(d.writer, "Return-Path: %s\r\n", env.From)
	for _, r := range env.To {
		fmt.Fprintf(d.writer, "Delivered-To: %s\r\n", r.To.String())
	}
	return d, nil
}

// Write takes everything and never fails, so that a refused message is read
// to its end; commit tells what went wrong.
func (d *draft) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	d.ends.check(p)
	if d.size > d.limit && d.err == nil {
		d.err = errTooLarge
	}
	switch {
	case d.err != nil:
	case d.writer != nil:
		_, d.err = d.writer.Write(p)
	default:
		d.buffer.Write(p)
	}
	return len(p), nil
}

// commit keeps the message under the next number and completes it.
func (d *draft) commit(msg Message) (Message, error) {
	m := d.to
	msg.Size = d.size
	if d.file == nil {
		msg.Content = d.buffer.Bytes()
	} else {
		name := filepath.Base(d.file.Name())
		msg.File = filepath.Join(m.dir, "new", name)
		err := errors.Join(d.writer.Flush(), d.file.Close())
		if err == nil {
			err = os.Rename(filepath.Join(m.dir, "tmp", name), msg.File)
		}
		if err != nil {
			d.discard()
			return msg, fmt.Errorf("sandbox: %w", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	msg.ID = fmt.Sprintf("SANDBOX-%d", m.last)
	m.messages = append(m.messages, msg)
	if m.dir != "" && len(m.messages) > remembered {
		m.messages = slices.Delete(m.messages, 0, 1)
	}
	close(m.more)
	m.more = make(chan struct{})
	return msg, nil
}

// discard forgets the content.
func (d *draft) discard() {
	if d.file != nil {
		d.file.Close()
		os.Remove(d.file.Name())
	}
}

// lineEnds finds a CR or LF that stands alone, over any cut of the content.
type lineEnds struct {
	prev byte
	bare bool
}

func (l *lineEnds) check(p []byte) {
	for _, c := range p {
		if (c == '\n') != (l.prev == '\r') {
			l.bare = true
		}
		l.prev = c
	}
}

// copyContent reads DATA content up to the final dot, and takes away the dot
// stuffing (RFC 5321, section 4.5.2). Only CRLF.CRLF is an end.
func copyContent(w io.Writer, r *bufio.Reader) error {
	start, cr := true, false // at the start of a line; the last octet was a CR
	for {
		piece, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if start && piece[0] == '.' {
			if string(piece) == ".\r\n" {
				return nil
			}
			piece = piece[1:]
		}
		if len(piece) > 0 {
			n := len(piece)
			start = piece[n-1] == '\n' && (n > 1 && piece[n-2] == '\r' || n == 1 && cr)
			cr = piece[n-1] == '\r'
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
}
