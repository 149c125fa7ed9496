package listener

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"kurir/upstream/explain"
)

// Bounds of a reply (RFC 5321, section 4.5.3.1.5 allows 512 octets a line;
// some clients allow less).
const (
	maxReplyLine  = 390 // octets of text
	maxReplyLines = 20
)

// charset is what a client can read in a reply.
type charset int

const (
	asciiOnly charset = iota
	utf8Too           // the transaction asked for SMTPUTF8 (RFC 6531, section 3.7.4.1)
)

// replyLines makes text fit to stand in a reply: nobody's words can end a
// line or begin another, whoever said them.
func replyLines(text string, cs charset) []string {
	var lines []string
	for raw := range strings.SplitSeq(text, "\n") {
		line := printable(raw, cs)
		for len(line) > 0 {
			if len(lines) == maxReplyLines {
				return lines
			}
			var head string
			head, line = wrap(line)
			lines = append(lines, head)
		}
	}
	if len(lines) == 0 {
		return []string{"OK"}
	}
	return lines
}

// printable replaces what is not: controls by a blank, the rest by "?".
func printable(s string, cs charset) string {
	clean := func(r rune) rune {
		switch {
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029:
			return ' '
		case r < 0x7f:
			return r
		case cs == asciiOnly || r == utf8.RuneError:
			return '?'
		}
		return r
	}
	return strings.TrimSpace(strings.Map(clean, s))
}

// wrap cuts s at a blank, or where there is none, between two characters.
func wrap(s string) (head, rest string) {
	if len(s) <= maxReplyLine {
		return s, ""
	}
	i := strings.LastIndexByte(s[:maxReplyLine+1], ' ')
	if i <= 0 {
		for i = maxReplyLine; !utf8.RuneStart(s[i]); i-- {
		}
	}
	return strings.TrimRight(s[:i], " "), strings.TrimLeft(s[i:], " ")
}

// appendReply appends a whole reply, enhanced code on each line (RFC 2034,
// section 4).
func appendReply(b []byte, code int, e explain.EnhancedCode, text string, cs charset) []byte {
	lines := replyLines(text, cs)
	for i, l := range lines {
		b = strconv.AppendInt(b, int64(code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if !e.IsZero() {
			b = append(b, e.String()...)
			b = append(b, ' ')
		}
		b = append(b, l...)
		b = append(b, "\r\n"...)
	}
	return b
}

// smtpError is the same reply for go-smtp to write, which puts the enhanced
// code on the last line alone.
func smtpError(code int, e explain.EnhancedCode, text string, cs charset) *smtp.SMTPError {
	lines := replyLines(text, cs)
	for i := range lines[:len(lines)-1] {
		lines[i] = e.String() + " " + lines[i]
	}
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode(e), Message: strings.Join(lines, "\n")}
}
