package sendmail

import (
	"fmt"
	"slices"
	"strings"

	"kurir/upstream/envelope"
)

// addresses finds the mailboxes in lists as header fields and arguments have
// them (RFC 5322, section 3.4): with names, comments and groups. What is written
// wrongly is understood as long as it can mean only one thing.
func addresses(lists ...string) (found []string, err error) {
	for _, list := range lists {
		p := addressParser{rest: list, found: found}
		for p.rest != "" {
			if err := p.next(); err != nil {
				return nil, err
			}
		}
		if err := p.finish(); err != nil {
			return nil, err
		}
		found = p.found
	}
	return found, nil
}

// An addressParser is in one element of a list.
type addressParser struct {
	rest  string
	words strings.Builder // what stands outside of angle brackets and comments
	angle *string         // what stood in angle brackets
	found []string
	open  int // brackets and quotes that never closed
}

// encodedWord is the length of the name in another charset that s begins with
// (RFC 2047), 0 if there is none; broken programs leave commas in it.
func encodedWord(s string) int {
	rest, ok := strings.CutPrefix(s, "=?")
	for _, most := range []int{80, 1, 998} { // charset, encoding, text
		n := strings.IndexAny(rest[:min(len(rest), most+1)], "? \t\r\n")
		if !ok || n < 0 || rest[n] != '?' {
			return 0
		}
		rest = rest[n+1:]
	}
	if !strings.HasPrefix(rest, "=") {
		return 0
	}
	return len(s) - len(rest) + 1
}

func (p *addressParser) next() error {
	length, word := 1, p.rest[:1]
	switch p.rest[0] {
	case '"':
		if n := p.closing(quotedEnd); n > 0 {
			length, word = n, p.rest[:n]
		}
	case '(':
		if n := p.closing(commentEnd); n > 0 {
			length, word = n, " "
		}
	case '<':
		inside, rest := p.rest[1:], ""
		if n := p.closing(angleEnd); n > 0 {
			inside, rest = p.rest[1:n-1], p.rest[n:]
		} else if n := strings.IndexByte(inside, ','); n >= 0 {
			inside, rest = inside[:n], inside[n:]
		}
		p.angle, p.rest = &inside, rest
		return nil
	case '=':
		if n := encodedWord(p.rest); n > 0 {
			length, word = n, "x"
		}
	case ',', ';':
		p.rest = p.rest[1:]
		return p.finish()
	case ':':
		if p.angle == nil && !strings.Contains(p.words.String(), "@") { // the name of a group
			p.words.Reset()
			p.rest = p.rest[1:]
			return nil
		}
	}
	p.words.WriteString(word)
	p.rest = p.rest[length:]
	return nil
}

// maxOpen bounds how often an end is looked for that is not there.
const maxOpen = 100

// closing is the length of what begins at p.rest, 0 if it has no end.
func (p *addressParser) closing(end func(string) int) int {
	if p.open >= maxOpen {
		return 0
	}
	n := end(p.rest)
	if n == 0 {
		p.open++
	}
	return n
}

func quotedEnd(s string) int { return pairEnd(s, '"') }

func commentEnd(s string) int { return pairEnd(s, ')') }

// pairEnd is the length of what begins with the first octet of s and ends with
// another, 0 if it has no end. Pairs of two different octets may be nested.
func pairEnd(s string, end byte) int {
	depth := 1
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case end:
			if depth--; depth == 0 {
				return i + 1
			}
		case s[0]:
			depth++
		}
	}
	return 0
}

func angleEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			n := quotedEnd(s[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '>':
			return i + 1
		}
	}
	return 0
}

// finish takes the mailbox of the element that has ended.
func (p *addressParser) finish() error {
	text := strings.TrimSpace(p.words.String())
	angle := p.angle
	p.words.Reset()
	p.angle = nil
	if angle != nil {
		mailbox := strings.TrimSpace(*angle)
		if route, last, found := strings.Cut(mailbox, ":"); found && strings.HasPrefix(route, "@") {
			mailbox = last // RFC 5321, appendix C: to be ignored
		}
		if mailbox != "" {
			p.found = append(p.found, mailbox)
		}
		return nil
	}
	words := splitWords(text)
	whole := func(w string) bool { at := strings.LastIndexByte(w, '@'); return at > 0 && at < len(w)-1 }
	complete := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !whole(w) })
	switch {
	case len(words) <= 1:
		p.found = append(p.found, words...)
	case len(complete) == 1 || len(complete) == len(words): // "Jo Doe jo@example.com", or blanks for commas
		p.found = append(p.found, complete...)
	default:
		return fmt.Errorf("%q: it is not clear which address that is", shorten(text))
	}
	return nil
}

// splitWords splits at blanks that are not quoted.
func splitWords(s string) []string {
	quoted := false
	return strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\r' || r == '\n')
	})
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// mailbox reads one address. A local part alone stays as it is: the relay
// knows which domain it has.
func mailbox(s string) (envelope.Path, error) {
	const here = "@localhost"
	if s = strings.TrimSpace(s); s == "" || s == "<>" || strings.Contains(s, "@") {
		return envelope.ParsePath(s)
	}
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		s = s[1 : len(s)-1]
	}
	path, err := envelope.ParsePath(s + here)
	if err != nil {
		text := err.Error()
		problem := text[strings.LastIndex(text, ": ")+1:] // behind the address, which is not the one that was given
		return "", fmt.Errorf("address %q cannot be used: %s", shorten(s), strings.Map(dropControls, problem))
	}
	return envelope.Path(strings.TrimSuffix(string(path), here)), nil
}

func dropControls(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}
