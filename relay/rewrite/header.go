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

	hasMessageID bool
	hasDate      bool
	received     int
	by           []string // the "by" host of each Received line with our marker
	field        *string  // where a continuation line belongs; nil if nobody wants it
	trace        []byte   // a Received field that may go on in the next line
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

// scan looks at the whole lines of b, a part of the header section, and
// returns how many octets of it are done with.
func (h *Header) scan(b []byte, first bool) (int, ending) {
	done := 0
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
			h.finish()
			return done, endOfHeader
		case (line[0] == ' ' || line[0] == '\t') && !(first && done == 0):
			if i < 0 {
				return done, moreToCome
			}
			h.fold(line)
		default:
			name, value, ok := cutField(line)
			switch {
			case !ok && first && done == 0:
				return done, noHeader
			case !ok:
				h.finish()
				return done, endOfHeader
			}
			if i < 0 { // a long field that has not come to its end
				return done, moreToCome
			}
			h.finish()
			h.begin(name, value)
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

func (h *Header) begin(name, value []byte) {
	h.field = nil
	switch len(name) { // most fields are of no interest, and told so by their length
	case len("Date"):
		switch {
		case bytes.EqualFold(name, []byte("Date")):
			h.hasDate = true
		case bytes.EqualFold(name, []byte("From")):
			h.keep(&h.From, value)
		}
	case len("Subject"):
		if bytes.EqualFold(name, []byte("Subject")) {
			h.keep(&h.Subject, value)
		}
	case len("Received"):
		if bytes.EqualFold(name, []byte("Received")) {
			h.received++
			h.trace = append(h.trace[:0], value...)
		}
	case len("Message-ID"):
		if bytes.EqualFold(name, []byte("Message-ID")) {
			h.hasMessageID = true
			h.keep(&h.MessageID, value)
		}
	}
}

// keep takes the value of a field that should stand only once: the first.
func (h *Header) keep(field *string, value []byte) {
	if *field == "" {
		*field = cut(strings.TrimSpace(string(value)))
		h.field = field
	}
}

func (h *Header) fold(line []byte) {
	switch {
	case len(h.trace) > 0:
		h.trace = append(h.trace, line...)
	case h.field != nil && len(*h.field) < maxValue:
		*h.field = cut(strings.TrimSpace(*h.field + " " + strings.TrimSpace(string(line))))
	}
}

func cut(s string) string {
	if len(s) > maxValue {
		return s[:maxValue]
	}
	return s
}

// finish looks at the Received field that has come to its end.
func (h *Header) finish() {
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
func (h *Header) ours(hostname string) int {
	n := 0
	for _, by := range h.by {
		if strings.EqualFold(by, hostname) {
			n++
		}
	}
	return n
}
