package page

import (
	_ "embed"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

var (
	//go:embed words.en.toml
	english string
	//go:embed words.id.toml
	indonesian string
)

// words are what the page says in one language, by section and name.
type words map[string]map[string]string

func wordsIn(l explain.Language) words {
	data := english
	if l == explain.Indonesian {
		data = indonesian
	}
	var w words
	if _, err := toml.Decode(data, &w); err != nil {
		panic("page: embedded words: " + err.Error())
	}
	return w
}

// say fills the text "section.name" with pairs of a name in its braces and
// what to put there.
func (w words) say(name string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	section, name, _ := strings.Cut(name, ".")
	return strings.NewReplacer(pairs...).Replace(w[section][name])
}

// functions are what the templates say and show with.
func (w words) functions() template.FuncMap {
	return template.FuncMap{
		"say":      w.say,
		"text":     text,
		"path":     func(p envelope.Path) string { return text(string(p)) },
		"list":     func(all []string) string { return text(strings.Join(all, ", ")) },
		"moment":   func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") },
		"datetime": func(t time.Time) string { return t.Format(time.RFC3339) },
		"hour":     func(t time.Time) string { return t.Local().Format("15:04") },
		"number":   strconv.Itoa,
		"size":     w.size,
	}
}

// mostShown is the most of one text, in bytes, that is shown.
const mostShown = 2000

// text is what somebody else said, fit to be read: without what turns the
// direction of writing, and cut where nobody would read on.
func text(s string) string {
	if len(s) > mostShown {
		s = strings.ToValidUTF8(s[:mostShown], "") + "…"
	}
	return explain.Printable(s)
}

// size is a number of octets in its largest unit.
func (w words) size(n int64) string {
	unit, f := 0, float64(n)
	units := []string{"B", "kB", "MB", "GB", "TB"}
	for ; f >= 1000 && unit < len(units)-1; unit++ {
		f /= 1000
	}
	if unit == 0 || f >= 100 {
		return strconv.FormatFloat(f, 'f', 0, 64) + " " + units[unit]
	}
	number := strconv.FormatFloat(f, 'f', 1, 64)
	return strings.Replace(number, ".", w.say("numbers.point"), 1) + " " + units[unit]
}
