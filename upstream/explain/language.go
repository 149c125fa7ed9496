package explain

import (
	"strings"
	"unicode"
)

// A Language is the one that people are spoken to in.
type Language string

// The languages; "" is English.
const (
	English    Language = "en"
	Indonesian Language = "id"
)

// Languages lists all of them.
func Languages() []Language { return []Language{English, Indonesian} }

// Words are what a part of Kurir says around explanations, in one language:
// texts by section and name, with names in braces for what is filled in.
type Words map[string]map[string]string

// Words reads those of the language from embedded TOML, one text a language.
func (l Language) Words(english, indonesian string) Words {
	data := english
	if l == Indonesian {
		data = indonesian
	}
	var w Words
	mustDecode(data, &w)
	return w
}

// Say fills the text "section.name" with pairs of a name in its braces and
// what to put there, which is Shown.
func (w Words) Say(name string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i], pairs[i+1] = "{"+pairs[i]+"}", Shown(pairs[i+1])
	}
	section, name, _ := strings.Cut(name, ".")
	return strings.NewReplacer(pairs...).Replace(w[section][name])
}

// mostShown is the most of one text, in octets, that a person is shown.
const mostShown = 2000

// Shown is what others said as a person can read it: Printable, and cut where
// nobody would read on.
func Shown(s string) string {
	if len(s) > mostShown {
		s = strings.ToValidUTF8(s[:mostShown], "") + "…"
	}
	return Printable(s)
}

// Cut is s with at most so many octets, and a sign that there were more. What is
// not UTF-8 becomes a question mark.
func Cut(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// Printable is s in one line that shows what it holds: what others said cannot
// break a line of ours, move the cursor of a terminal or turn the direction of
// writing. Letters and signs of all scripts stay; each control, line end and
// invisible mark of formatting becomes a blank, and each byte that is not
// UTF-8 U+FFFD.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, s)
}
