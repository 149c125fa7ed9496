package maillog

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"kurir/upstream/envelope"
)

// obeyed tells whether a screen would obey a character that is none of ours:
// JSON has escaped those of ASCII already, and a console is coloured with them.
func obeyed(r rune) bool { return r >= utf8.RuneSelf && envelope.Obeyed(r) }

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
