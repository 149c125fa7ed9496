package rewrite

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"kurir/upstream/envelope"
)

// MaxHeader is how many octets a header section may have.
const MaxHeader = 256 << 10

// Limits on the way a message has come (RFC 5321, section 6.3).
const (
	maxReceived = 100 // Received lines of anybody
	maxOurs     = 5   // Received lines of our own
)

// What makes a message unacceptable. Write and Close return these bare.
var (
	ErrBusy           = errors.New("too many large header sections are coming at once")
	ErrHeaderTooLarge = errors.New("the header section is larger than 256 KB")
	ErrLoop           = errors.New("the message goes in circles")
)

// A Reserve is the memory that Writers which share it hold back header sections
// in: when a thousand clients stop in the middle of a large one, those that
// come then fail with ErrBusy (P10). Its zero value is ready.
type Reserve struct{ held atomic.Int64 }

// What Writers may hold together, and one in any case.
const (
	maxHeld    = 8 << 20
	littleHeld = 16 << 10
)

// Options say what the added fields tell, and what else is changed. The caller
// sees to it that no string has a control character.
type Options struct {
	Hostname string    // our name, for Received and Message-ID
	ID       string    // our name for the message
	Received time.Time // when it came
	Origin   string    // RFC 5321's Extended-Domain of the app, such as "localhost (local app)"
	With     string    // the protocol: "SMTP", "ESMTP" (RFC 3848), "UTF8SMTP" (RFC 6531)

	Sender envelope.Path // the reverse-path, as Policy.Envelope has left it
	Policy *Policy       // nil rewrites nothing

	Reserve *Reserve // nil knows no bound but MaxHeader
}

// A Writer passes one message on and mends its header on the way. What comes
// in must have canonical line ends. It holds the header section back until
// its end is seen; what it added stands before it, what it rewrote where it
// was. Doc.go says what it changes.
type Writer struct {
	dst    io.Writer
	opts   Options
	held   []byte // the header section as far as it has come
	taken  int64  // of the reserve
	seen   int    // octets of held that are whole lines and already looked at
	header scanner
	room   [2]mark // for those of most messages
	passed bool    // the header section has been written: the rest goes through
	err    error
}

// NewWriter returns a Writer of one message to dst.
func NewWriter(dst io.Writer, o Options) *Writer {
	w := &Writer{dst: dst, opts: o}
	w.header.marks = w.room[:0]
	return w
}

// Header is what the header section said; complete once Close has returned,
// or a Write went beyond the header section.
func (w *Writer) Header() Header { return w.header.Header }

// Write takes the next part of the message. An error is one of dst, ErrBusy,
// ErrHeaderTooLarge or ErrLoop, and stays.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.passed {
		n, err := w.dst.Write(p)
		w.err = err
		return n, err
	}
	// Nearly every header section comes whole in the first Write, and then
	// it is looked at where it lies.
	section := p
	if len(w.held) > 0 {
		w.hold(p)
		section = w.held
	}
	var end ending
	w.seen, end = w.header.scan(section, w.seen)
	switch {
	case end != moreToCome:
		w.err = w.pass(section, end)
	case len(section) > MaxHeader:
		w.err = ErrHeaderTooLarge
	case len(w.held) == 0:
		w.hold(p)
	}
	if w.err != nil {
		w.Release()
		return 0, w.err
	}
	return len(p), nil
}

// hold keeps a part of the header section back.
func (w *Writer) hold(p []byte) {
	w.held = append(w.held, p...)
	r := w.opts.Reserve
	if r == nil || len(w.held) <= littleHeld {
		return
	}
	more := int64(cap(w.held)) - w.taken
	w.taken += more
	if r.held.Add(more) > maxHeld {
		w.err = ErrBusy
	}
}

// Release gives up what the Writer holds; one that was abandoned holds too.
func (w *Writer) Release() {
	w.held = nil
	if w.taken > 0 {
		w.opts.Reserve.held.Add(-w.taken)
		w.taken = 0
	}
}

// Close ends the message: one without a body is written now. It does not
// close dst.
func (w *Writer) Close() error {
	if w.err == nil && !w.passed {
		size := len(w.held)
		seen, end := w.header.scan(append(w.held, '\n'), w.seen) // a line without an end is looked at too
		w.seen = min(seen, size)
		w.err = w.pass(w.held, end)
	}
	return w.err
}

// pass writes what we add and the section behind it.
func (w *Writer) pass(section []byte, end ending) error {
	w.passed = true
	defer w.Release()
	w.header.finish(w.seen)
	if w.seen > MaxHeader { // all of it came in one Write
		return ErrHeaderTooLarge
	}
	if w.header.received >= maxReceived || w.header.ours(w.opts.Hostname) >= maxOurs {
		return ErrLoop
	}
	signed := w.header.signed(section)
	top := w.added(end, signed)
	if edits := w.edits(section, signed); len(edits) > 0 {
		top = slices.Grow(top, w.seen+1024)
		done := 0
		for _, e := range edits {
			top = append(append(top, section[done:e.start]...), e.instead...)
			done = e.end
		}
		section = section[done:]
	}
	if _, err := w.dst.Write(top); err != nil {
		return err
	}
	if len(section) == 0 {
		return nil
	}
	_, err := w.dst.Write(section)
	return err
}

// marker tells our Received lines from those of other servers that may run
// under the same host name.
const marker = "(Kurir)"

// added is the fields that we put on top. RFC 5321, section 4.4 wants a "from"
// clause; it names no address and no host of the app's, as the line travels
// to every recipient.
func (w *Writer) added(end ending, signed map[string]bool) []byte {
	o := &w.opts
	b := make([]byte, 0, 512)
	b = fmt.Appendf(b, "Received: from %s\r\n\tby %s %s with %s id %s;\r\n\t", o.Origin, o.Hostname, marker, o.With, o.ID)
	b = o.Received.UTC().AppendFormat(b, time.RFC1123Z)
	b = append(b, "\r\n"...)
	if !w.header.hasDate && !signed["date"] {
		b = append(b, "Date: "...)
		b = o.Received.AppendFormat(b, time.RFC1123Z)
		b = append(b, "\r\n"...)
	}
	if !w.header.hasMessageID && !signed["message-id"] {
		w.header.MessageID = "<" + o.ID + "@" + o.Hostname + ">"
		b = append(b, "Message-ID: "...)
		b = append(b, w.header.MessageID...)
		b = append(b, "\r\n"...)
	}
	if w.header.From == "" && !signed["from"] {
		b = o.Policy.author(b, o.Sender, o.Hostname)
	}
	if end == noHeader {
		b = append(b, "\r\n"...)
	}
	return b
}
