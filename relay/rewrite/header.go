package rewrite

import (
	"bytes"
	"strings"
)

// A Header is what was found in a header section. Values are unfolded, cut
// at 998 octets and otherwise as they came: the app's own words.
type Header struct {
	MessageID string // with its angle brackets; ours, if the app gave none
	Subject   string
	From      string
}

// A scanner finds the fields of a header section.
type scanner struct {
	Header
	hasMessageID bool
	hasDate      bool
	received     int
	by           []string // the "by" host of each Received line with our marker
	field        *string  // where a continuation line belongs; nil if nobody wants it
	trace        []byte   // a Received field that may go on in the next line
	marks        []mark
	marked       bool // the last of marks has not come to its end
}

// A mark says where in the section a field stands that may have to change.
type mark struct {
	name       string // in small letters
	start, end int    // end is where the next field begins
}

// ending tells how a header section ends.
type ending int

const (
	moreToCome  ending = iota // the end has not been seen
	endOfHeader               // an empty line, a line that is no field, or the end of the message
	noHeader                  // the message starts with a line that is no field
)

// maxValue is the longest line that RFC 5322, section 2.1.1 allows.
const maxValue = 998

// scan looks at the whole lines of b, the header section as far as it has
// come, from seen on, and returns how many octets of it are done with.
func (h *scanner) scan(b []byte, seen int) (int, ending) {
	done := seen
	for {
		i := bytes.IndexByte(b[done:], '\n')
		if i < 0 && len(b)-done <= maxValue {
			return done, moreToCome
		}
		line := b[done:]
		if i >= 0 {
			line = b[done : done+i]
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case len(line) == 0:
			h.finish(done)
			return done, endOfHeader
		case (line[0] == ' ' || line[0] == '\t') && done > 0:
			if i < 0 {
				return done, moreToCome
			}
			h.fold(line)
		default:
			name, value, ok := cutField(line)
			switch {
			case !ok && done == 0:
				return done, noHeader
			case !ok:
				h.finish(done)
				return done, endOfHeader
			}
			if i < 0 { // a long field that has not come to its end
				return done, moreToCome
			}
			h.finish(done)
			h.begin(done, name, value)
		}
		done += i + 1
	}
}

// cutField splits a line into name and value (RFC 5322, section 2.2, with
// the blanks before the colon that section 4.5 allows). A line without a
// colon in its first 998 octets is none, so that its end need not be awaited.
func cutField(line []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(line[:min(len(line), maxValue)], ':')
	if i <= 0 {
		return nil, nil, false
	}
	name = bytes.TrimRight(line[:i], " \t")
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return nil, nil, false
		}
	}
	return name, line[i+1:], len(name) > 0
}

// begin takes note of the field that starts at a place. Most fields are of no
// interest, and told so by the length of their name.
func (h *scanner) begin(at int, name, value []byte) {
	h.field = nil
	switch len(name) {
	case len("Bcc"):
		h.mark(at, name, "bcc")
	case len("Date"):
		switch {
		case bytes.EqualFold(name, []byte("Date")):
			h.hasDate = true
		case h.mark(at, name, "from"):
			h.keep(&h.From, value)
		}
	case len("Sender"):
		h.mark(at, name, "sender")
	case len("Subject"):
		if bytes.EqualFold(name, []byte("Subject")) {
			h.keep(&h.Subject, value)
		}
	case len("Received"):
		if bytes.EqualFold(name, []byte("Received")) {
			h.received++
			h.trace = append(h.trace[:0], value...)
		} else {
			h.mark(at, name, "reply-to")
		}
	case len("Message-ID"):
		if bytes.EqualFold(name, []byte("Message-ID")) {
			h.hasMessageID = true
			h.keep(&h.MessageID, value)
		} else {
			h.mark(at, name, "resent-bcc")
		}
	case len("DKIM-Signature"):
		h.mark(at, name, "dkim-signature")
	}
}

// mark marks a field if it has the name that is looked for.
func (h *scanner) mark(at int, name []byte, wanted string) bool {
	h.marked = bytes.EqualFold(name, []byte(wanted))
	if h.marked {
		h.marks = append(h.marks, mark{name: wanted, start: at})
	}
	return h.marked
}

// keep takes the value of a field that should stand only once: the first.
func (h *scanner) keep(field *string, value []byte) {
	if *field == "" {
		*field = cut(strings.TrimSpace(string(value)))
		h.field = field
	}
}

func (h *scanner) fold(line []byte) {
	switch {
	case len(h.trace) > 0:
		h.trace = append(h.trace, line...)
	case h.field != nil && len(*h.field) < maxValue:
		*h.field = cut(strings.TrimSpace(*h.field + " " + strings.TrimSpace(string(line))))
	}
}

func cut(s string) string { return s[:min(len(s), maxValue)] }

// finish notes that the field before a place has come to its end, and looks at
// it if it is a Received field.
func (h *scanner) finish(at int) {
	if h.marked {
		h.marks[len(h.marks)-1].end = at
		h.marked = false
	}
	if len(h.trace) == 0 {
		return
	}
	if words := bytes.Fields(h.trace); bytes.Contains(h.trace, []byte(marker)) {
		for i := 0; i+2 < len(words); i++ {
			if bytes.EqualFold(words[i], []byte("by")) && string(words[i+2]) == marker {
				h.by = append(h.by, string(words[i+1]))
				break
			}
		}
	}
	h.trace = h.trace[:0]
}

// ours counts the Received lines that a relay of this name has written.
func (h *scanner) ours(hostname string) int {
	n := 0
	for _, by := range h.by {
		if strings.EqualFold(by, hostname) {
			n++
		}
	}
	return n
}
