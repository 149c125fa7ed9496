package sendmail

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// maxHeader is how long a header section may be; the relay takes no longer one.
const maxHeader = 256 << 10

// A header is the header section of a message.
type header struct {
	fields []headerField
	length int64 // octets of the message that are the header section
	broken bool  // the body follows without an empty line
}

// A headerField has its lines as they came.
type headerField struct {
	name  string // in lower case
	lines []byte
}

// readHeader reads the header section. A line "From " before it, as mailbox
// files have it, is not part of the message.
func readHeader(r io.Reader) (*header, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxHeader+1))
	if err != nil {
		return nil, err
	}
	h := &header{}
	first := true
	for rest := text; ; first = false {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if content := bytes.TrimSuffix(line, []byte("\r")); len(content) == 0 {
			h.broken = len(rest) == 0 // nothing follows at all
			return h, nil
		}
		mbox := first && (bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From ")))
		name, isField := fieldName(line)
		continues := (line[0] == ' ' || line[0] == '\t') && len(h.fields) > 0
		switch n := len(h.fields); {
		case !whole && len(text) > maxHeader && (continues || isField):
			return nil, errors.New("the header section has more than 256 KB")
		case mbox:
		case continues:
			h.fields[n-1].lines = append(h.fields[n-1].lines, rest[:len(rest)-len(after)]...)
		case isField:
			h.fields = append(h.fields, headerField{name, bytes.Clone(rest[:len(rest)-len(after)])})
		default:
			h.broken = true
			return h, nil
		}
		h.length += int64(len(rest) - len(after))
		if !whole && !mbox {
			last := &h.fields[len(h.fields)-1]
			last.lines = append(last.lines, '\n')
		}
		rest = after
	}
}

// fieldName tells whether a line begins a field (RFC 5322, section 2.2, with
// the blanks before the colon that section 4.5 allows).
func fieldName(line []byte) (name string, ok bool) {
	before, _, found := bytes.Cut(line, []byte(":"))
	before = bytes.TrimRight(before, " \t")
	if !found || len(before) == 0 || bytes.ContainsFunc(before, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", false
	}
	return strings.ToLower(string(before)), true
}

func (h *header) has(name string) bool { return len(h.values(name)) > 0 }

// values are what the fields of some names say, unfolded.
func (h *header) values(names ...string) []string {
	var values []string
	for _, f := range h.fields {
		if slices.Contains(names, f.name) {
			_, value, _ := strings.Cut(string(f.lines), ":")
			values = append(values, strings.NewReplacer("\r\n", "", "\n", "").Replace(value))
		}
	}
	return values
}

// recipients are those that the header names: those of the Resent fields
// where there are any, as these are about the way that begins here.
func (h *header) recipients() ([]string, error) {
	lists := h.values("resent-to", "resent-cc", "resent-bcc")
	if len(lists) == 0 {
		lists = h.values("to", "cc", "bcc")
	}
	return addresses(lists...)
}

// hideBlind removes the fields that nobody else may see.
func (h *header) hideBlind() {
	h.fields = slices.DeleteFunc(h.fields, func(f headerField) bool { return f.name == "bcc" || f.name == "resent-bcc" })
}

func (h *header) add(field string) {
	h.fields = append(h.fields, headerField{lines: []byte(field + "\n")})
}

// bytes is the section as it goes to the relay, and what separates it from
// the body where that was missing.
func (h *header) bytes() []byte {
	var b bytes.Buffer
	for _, f := range h.fields {
		b.Write(f.lines)
	}
	if h.broken {
		b.WriteByte('\n')
	}
	return b.Bytes()
}
