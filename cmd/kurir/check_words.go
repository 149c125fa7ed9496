package main

import (
	_ "embed"
	"strings"

	"github.com/BurntSushi/toml"

	"kurir/upstream/explain"
)

var (
	//go:embed check.en.toml
	checkEnglish string
	//go:embed check.id.toml
	checkIndonesian string
)

// words are what "kurir check" says in one language, by section and name.
type words map[string]map[string]string

func checkWords(l explain.Language) words {
	data := checkEnglish
	if l == explain.Indonesian {
		data = checkIndonesian
	}
	var w words
	if _, err := toml.Decode(data, &w); err != nil {
		panic("kurir: embedded words: " + err.Error())
	}
	return w
}

// say fills the text "section.name" with pairs of a name in its braces and
// what to put there. Values are often what a server said, so they are made
// fit to be printed, and cut where no person would read on.
func (w words) say(name string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i], pairs[i+1] = "{"+pairs[i]+"}", explain.Printable(cut(pairs[i+1]))
	}
	section, name, _ := strings.Cut(name, ".")
	return strings.NewReplacer(pairs...).Replace(w[section][name])
}

// mostShown is the most of one text, in bytes, that is shown to a person.
const mostShown = 2000

func cut(text string) string {
	if len(text) <= mostShown {
		return text
	}
	return strings.ToValidUTF8(text[:mostShown], "") + "…"
}
