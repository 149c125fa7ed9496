package rewrite

import (
	"errors"
	"fmt"
	"io"
	"time"
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
	ErrHeaderTooLarge = errors.New("the header section is larger than 256 KB")
	ErrLoop           = errors.New("the message goes in circles")
)

// Options say what the added fields tell. The caller sees to it that no
// string has a control character.
type Options struct {
	Hostname string    // our name, for Received and Message-ID
	ID       string    // our name for the message
	Received time.Time // when it came
	Origin   string    // RFC 5321's Extended-Domain of the app, such as "localhost (local app)"
	With     string    // the protocol: "SMTP", "ESMTP" (RFC 3848), "UTF8SMTP" (RFC 6531)
}

// A Writer passes one message on and mends its header on the way. What comes
// in must have canonical line ends. It holds the header section back until
// its end is seen; what it added stands before it.
type Writer struct {
	dst    io.Writer
	opts   Options
	held   []byte // the header section as far as it has come
	seen   int    // octets of held that are whole lines and already looked at
	header Header
	passed bool // the header section has been written: the rest goes through
	err    error
}

// NewWriter returns a Writer of one message to dst.
func NewWriter(dst io.Writer, o Options) *Writer { return &Writer{dst: dst, opts: o} }

// Header is what the header section said; complete once Close has returned,
// or a Write went beyond the header section.
func (w *Writer) Header() Header { return w.header }

// Write takes the next part of the message. An error is one of dst,
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
		w.held = append(w.held, p...)
		section = w.held
	}
	n, end := w.header.scan(section[w.seen:], w.seen == 0)
	w.seen += n
	switch {
	case end != moreToCome:
		w.err = w.pass(section, end)
	case len(section) > MaxHeader:
		w.err = ErrHeaderTooLarge
	case len(w.held) == 0:
		w.held = append(w.held, p...)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Close ends the message: one without a body is written now. It does not
// close dst.
func (w *Writer) Close() error {
	if w.err == nil && !w.passed {
		end := endOfHeader
		if _, _, ok := cutField(w.held); w.seen == 0 && len(w.held) > 0 && !ok {
			end = noHeader
		}
		w.err = w.pass(w.held, end)
	}
	return w.err
}

// pass writes what we add and the section behind it.
func (w *Writer) pass(section []byte, end ending) error {
	w.passed = true
	w.held = nil
	w.header.finish()
	if w.seen > MaxHeader { // all of it came in one Write
		return ErrHeaderTooLarge
	}
	if w.header.received >= maxReceived || w.header.ours(w.opts.Hostname) >= maxOurs {
		return ErrLoop
	}
	if _, err := w.dst.Write(w.added(end)); err != nil {
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
func (w *Writer) added(end ending) []byte {
	o := w.opts
	b := make([]byte, 0, 512)
	b = fmt.Appendf(b, "Received: from %s\r\n\tby %s %s with %s id %s;\r\n\t", o.Origin, o.Hostname, marker, o.With, o.ID)
	b = o.Received.UTC().AppendFormat(b, time.RFC1123Z)
	b = append(b, "\r\n"...)
	if !w.header.hasDate {
		b = append(b, "Date: "...)
		b = o.Received.AppendFormat(b, time.RFC1123Z)
		b = append(b, "\r\n"...)
	}
	if !w.header.hasMessageID {
		w.header.MessageID = "<" + o.ID + "@" + o.Hostname + ">"
		b = append(b, "Message-ID: "...)
		b = append(b, w.header.MessageID...)
		b = append(b, "\r\n"...)
	}
	if end == noHeader {
		b = append(b, "\r\n"...)
	}
	return b
}
