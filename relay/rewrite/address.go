package rewrite

import (
	"bytes"
	"slices"
	"strings"

	"kurir/upstream/envelope"
)

// A mailbox is one address of a field as the app wrote it. Its words are safe
// to be written into a field again.
type mailbox struct {
	name string        // what stands before an address in angle brackets, as it came
	tail string        // comments behind the address, as they came
	addr envelope.Path // "" if there is none that is of use
}

// A word is the smallest part of a list of addresses (RFC 5322, section 3.2).
type word struct {
	kind byte // one of the constants below, or a special that stands for itself
	text string
}

const (
	blank   = ' ' // with the line ends of folding
	comment = 'c'
	quoted  = 'q'
	atom    = 'a' // one or more with dots between, and what RFC 6532 adds
	literal = 'l' // of a domain
	broken  = 'x' // a quote, comment or literal without an end
)

// words takes a field's value apart. Nothing of it gets lost.
func words(s string) []word {
	list := make([]word, 0, 16)
	for len(s) > 0 {
		kind, n := s[0], 1
		switch kind {
		case ' ', '\t', '\r', '\n':
			kind, n = blank, len(s)-len(strings.TrimLeft(s, " \t\r\n"))
		case '"':
			kind, n = quoted, closing(s, 0, '"')
		case '(':
			kind, n = comment, closing(s, '(', ')')
		case '[':
			kind, n = literal, closing(s, 0, ']')
		case ')', '<', '>', ']', ':', ';', '@', '\\', ',':
		default:
			kind, n = atom, strings.IndexAny(s, " \t\r\n\"()<>[]:;@\\,")
			if n < 0 {
				n = len(s)
			}
		}
		if n == 0 {
			kind, n = broken, len(s)
		}
		list = append(list, word{kind, s[:n]})
		s = s[n:]
	}
	return list
}

// closing is how long s is up to its closing sign, 0 if that is missing. Where
// opening is set, the signs nest.
func closing(s string, opening, sign byte) int {
	depth := 1
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sign:
			if depth--; depth == 0 {
				return i + 1
			}
		case opening:
			if opening != 0 {
				depth++
			}
		}
	}
	return 0
}

// maxAuthors is how long a field may be that names who wrote: some hundred of
// them, more than anybody means.
const maxAuthors = 16 << 10

// mailboxes reads the value of From, Sender or Reply-To. lawful tells that all
// of it is what RFC 5322, section 3.4 and RFC 6854 have, so that every reader
// sees the same addresses in it. What is longer than maxAuthors is not read.
func mailboxes(value string) (list []mailbox, lawful bool) {
	if len(value) > maxAuthors {
		return nil, false
	}
	all := words(value)
	lawful = isFolded(value)
	start, group, bracket, open := 0, false, false, true // open: a mailbox may stand here
	end := func(i int) (filled bool) {
		item := trim(all[start:i])
		start = i + 1
		if len(item) == 0 {
			return false
		}
		m, ok := oneMailbox(item)
		lawful = lawful && ok && open
		list = append(list, m)
		return true
	}
	for i, w := range all {
		switch {
		case w.kind == '<':
			lawful = lawful && !bracket
			bracket = true
		case w.kind == '>':
			lawful = lawful && bracket
			bracket = false
		case bracket:
		case w.kind == ',':
			filled := end(i)
			lawful = lawful && (filled || !open)
			open = true
		case w.kind == ':':
			lawful = lawful && !group && isPhrase(all[start:i]) && len(trim(all[start:i])) > 0
			group, start = true, i+1
		case w.kind == ';':
			end(i)
			lawful = lawful && group
			group, open = false, false
		}
	}
	end(len(all))
	return list, lawful && !group && !bracket
}

// oneMailbox reads what stands between two commas, blanks trimmed.
func oneMailbox(item []word) (m mailbox, lawful bool) {
	left, right := -1, -1
	for i, w := range item {
		switch {
		case w.kind == '<' && left < 0:
			left = i
		case w.kind == '>' && left >= 0 && right < 0:
			right = i
		case w.kind == '<' || w.kind == '>':
			return mailbox{name: phraseOf(item[:max(left, 0)])}, false
		}
	}
	switch {
	case left >= 0 && right < 0:
		return mailbox{name: phraseOf(item[:left])}, false
	case left >= 0:
		m.name, m.addr = phraseOf(item[:left]), address(item[left+1:right])
		rest := trim(item[right+1:])
		lawful = m.addr != "" && isPhrase(item[:left])
		if only(rest, comment, blank) && isFolded(text(rest)) {
			m.tail = text(rest)
		} else {
			lawful = false
		}
		return m, lawful
	}
	if m.addr = address(item); m.addr != "" {
		var comments []string
		for _, w := range item {
			if w.kind == comment && isFolded(w.text) {
				comments = append(comments, w.text)
			}
		}
		m.tail = strings.Join(comments, " ")
		return m, true
	}
	if isPhrase(item) { // a name alone
		return mailbox{name: phraseOf(item)}, false
	}
	for i := len(item) - 1; i > 0; i-- { // a name, and an address that lacks its brackets
		if item[i].kind == blank {
			if addr := address(item[i+1:]); addr != "" && isPhrase(item[:i]) {
				return mailbox{name: phraseOf(item[:i]), addr: addr}, false
			}
			break
		}
	}
	return mailbox{}, false
}

// mendName puts the name of the first mailbox together again that a comma
// without quotes has cut, as in Doe, John <a@b>.
func mendName(list []mailbox) []mailbox {
	first := slices.IndexFunc(list, func(m mailbox) bool { return m.addr != "" })
	if first <= 0 || list[first].name == "" {
		return list
	}
	var names []string
	for _, m := range list[:first+1] {
		if m.name != "" {
			names = append(names, m.name)
		}
	}
	list[first].name = phraseOf(words(strings.Join(names, ", ")))
	return list[first:]
}

// address is what words say as one addr-spec, blanks and comments aside; "" if
// they say something else.
func address(list []word) envelope.Path {
	var parts []word
	for _, w := range list {
		if w.kind != blank && w.kind != comment {
			parts = append(parts, w)
		}
		if len(parts) > 3 {
			return ""
		}
	}
	if len(parts) != 3 || parts[1].kind != '@' || !only(parts[:1], atom, quoted) || !only(parts[2:], atom, literal) {
		return ""
	}
	p, err := envelope.ParsePath(text(parts))
	if err != nil {
		return ""
	}
	return p
}

// isPhrase tells whether words may stand as a name.
func isPhrase(list []word) bool { return only(list, atom, quoted, comment, blank) }

// phraseOf makes a name of words: as they came, or, where that is no lawful
// phrase, in one pair of quotes. An empty pair says nothing.
func phraseOf(list []word) string {
	list = trim(list)
	s := text(list)
	if !isPhrase(list) || !isFolded(s) {
		s = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f || r == '"' || r == '\\' {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(s, "?"))
		s = strings.Join(strings.Fields(s), " ")
		s = `"` + strings.ToValidUTF8(s[:min(len(s), maxName)], "") + `"`
	}
	if s == `""` {
		return ""
	}
	return s
}

// isFolded tells that s can be part of a field as it is: no control characters
// but those of folding, no line of blanks alone, which some take for the end of
// the header, and no line that is longer than one may be.
func isFolded(s string) bool {
	lines := strings.Split(s, "\r\n")
	for i, line := range lines {
		if len(line) > maxName || i > 0 && (line == "" || line[0] != ' ' && line[0] != '\t' || strings.Trim(line, " \t") == "") {
			return false
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return false
		}
	}
	return true
}

// maxName leaves room for an address in a line of 998 octets.
const maxName = 600

func trim(list []word) []word {
	for len(list) > 0 && list[0].kind == blank {
		list = list[1:]
	}
	for len(list) > 0 && list[len(list)-1].kind == blank {
		list = list[:len(list)-1]
	}
	return list
}

func only(list []word, kinds ...byte) bool {
	for _, w := range list {
		if bytes.IndexByte(kinds, w.kind) < 0 {
			return false
		}
	}
	return true
}

func text(list []word) string {
	var b strings.Builder
	for _, w := range list {
		b.WriteString(w.text)
	}
	return b.String()
}
