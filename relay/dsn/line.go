package dsn

import (
	"bufio"
	"strings"
	"unicode/utf8"

	"kurir/upstream/explain"
)

const (
	width    = 76   // where lines are broken if a blank allows it
	maxWord  = 900  // octets of a word, which keeps each line below 998 (RFC 5322, section 2.1.1)
	maxWords = 2000 // octets of a server's words or of a parameter
)

// wrap breaks s at blanks into lines of about width octets, the first of them
// shorter by taken. Words without an end are broken as well.
func wrap(s string, taken int) []string {
	var (
		lines []string
		line  strings.Builder
	)
	for word := range strings.FieldsSeq(s) {
		for {
			head := cut(word, maxWord)
			word = word[len(head):]
			if line.Len() > 0 && taken+line.Len()+1+len(head) > width {
				lines = append(lines, line.String())
				line.Reset()
				taken = 0
			}
			if line.Len() > 0 {
				line.WriteByte(' ')
			}
			line.WriteString(head)
			if word == "" {
				break
			}
		}
	}
	return append(lines, line.String())
}

// cut gives the start of s, of at most n octets, without splitting a letter.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// clean is foreign words in one line of bounded length.
func clean(s string) string {
	s = strings.Join(strings.Fields(explain.Printable(cut(s, maxWords))), " ")
	return cut(s, maxWords) // U+FFFD is longer than the octet it stands for
}

// field writes one field of a header, folded, and none if value is empty.
func field(w *bufio.Writer, name, value string) {
	if value = clean(value); value == "" {
		return
	}
	w.WriteString(name + ": " + strings.Join(wrap(value, len(name)+2), "\r\n ") + "\r\n")
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// ascii has a question mark for each letter that is not ASCII.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, s)
}

// isToken tells that s can stand where a host name or a type of address is
// expected, and cannot be mistaken for anything else.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte(".-_:[]", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 255
}
