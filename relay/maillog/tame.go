package maillog

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// obeyed tells whether terminals or readers of a log obey a character that JSON
// leaves as it is: controls beyond ASCII, ends of lines, directions of writing.
func obeyed(r rune) bool {
	return r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// escaped is a line of JSON that says the same without such characters.
func escaped(line []byte) []byte {
	if !bytes.ContainsFunc(line, obeyed) {
		return line
	}
	b := make([]byte, 0, len(line)+64)
	for _, r := range string(line) {
		if obeyed(r) {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// tame has blanks written instead of such characters.
type tame struct{ io.Writer }

func (t tame) Write(p []byte) (int, error) {
	if !bytes.ContainsFunc(p, obeyed) {
		return t.Writer.Write(p)
	}
	_, err := io.WriteString(t.Writer, strings.Map(func(r rune) rune {
		if obeyed(r) {
			return ' '
		}
		return r
	}, string(p)))
	return len(p), err
}
