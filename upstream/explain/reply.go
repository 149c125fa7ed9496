package explain

import (
	"fmt"
	"strconv"
	"strings"
)

// A Reply is what a server answered (RFC 5321, section 4.2), as it came.
type Reply struct {
	Code     int
	Enhanced EnhancedCode // RFC 3463; zero if the server gave none
	Lines    []string     // the text of each line, without the code, enhanced code included
}

// Class is the first digit of the code: 2, 3, 4 or 5 (0 without a code).
func (r *Reply) Class() int { return r.Code / 100 }

// Text is the reply's words without codes, its lines joined by one blank.
func (r *Reply) Text() string {
	words := make([]string, 0, len(r.Lines))
	for _, l := range r.Lines {
		if e, rest, ok := cutEnhanced(l); ok && e == r.Enhanced {
			l = rest
		}
		if l = strings.TrimSpace(l); l != "" {
			words = append(words, l)
		}
	}
	return strings.Join(words, " ")
}

// Line is the reply in one line: code, enhanced code, words.
func (r *Reply) Line() string {
	parts := make([]string, 0, 3)
	if r.Code != 0 {
		parts = append(parts, strconv.Itoa(r.Code))
	}
	if !r.Enhanced.IsZero() {
		parts = append(parts, r.Enhanced.String())
	}
	if t := r.Text(); t != "" {
		parts = append(parts, t)
	}
	return strings.Join(parts, " ")
}

// String is the reply verbatim, its lines separated by a line feed.
func (r *Reply) String() string {
	var b strings.Builder
	for i, l := range r.Lines {
		sep := byte('-')
		if i == len(r.Lines)-1 {
			sep = ' '
		} else if i > 0 {
			sep = '-'
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		if r.Code != 0 {
			fmt.Fprintf(&b, "%d%c", r.Code, sep)
		}
		b.WriteString(l)
	}
	return b.String()
}

// An EnhancedCode is class, subject and detail of RFC 3463.
type EnhancedCode [3]int

// IsZero tells that the server gave no enhanced code.
func (e EnhancedCode) IsZero() bool { return e == EnhancedCode{} }

// String is the code with dots, "" when there is none.
func (e EnhancedCode) String() string {
	if e.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2])
}

// NewReply makes a reply of its code and its lines' texts and reads the
// enhanced code from the last line that has one. Where its class and the
// reply's disagree, the reply's wins and the rest is not trusted: 5.0.0.
func NewReply(code int, lines []string) *Reply {
	r := &Reply{Code: code, Lines: lines}
	for _, l := range lines {
		if e, _, ok := cutEnhanced(l); ok {
			r.Enhanced = e
		}
	}
	if !r.Enhanced.IsZero() && code != 0 && r.Enhanced[0] != code/100 {
		r.Enhanced = EnhancedCode{code / 100, 0, 0}
	}
	return r
}

// cutEnhanced splits a leading enhanced code off a line's text.
func cutEnhanced(s string) (EnhancedCode, string, bool) {
	word, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	parts := strings.Split(strings.TrimRight(word, ",:;"), ".")
	if len(parts) != 3 {
		return EnhancedCode{}, s, false
	}
	var e EnhancedCode
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 999 || len(p) > 3 {
			return EnhancedCode{}, s, false
		}
		e[i] = n
	}
	if e[0] != 2 && e[0] != 4 && e[0] != 5 {
		return EnhancedCode{}, s, false
	}
	return e, rest, true
}
