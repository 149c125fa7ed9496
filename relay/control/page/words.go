package page

import (
	_ "embed"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"

	"kurir/upstream/explain"
)

var (
	//go:embed words.en.toml
	english string
	//go:embed words.id.toml
	indonesian string
)

// words are what the page says in one language.
type words struct{ explain.Words }

func wordsIn(l explain.Language) words { return words{l.Words(english, indonesian)} }

// say is a text of ours, with what is filled in as Say has it.
func (w words) say(name string, pairs ...string) g.Node { return g.Text(w.Say(name, pairs...)) }

// text is what others said.
func text(s string) g.Node { return g.Text(explain.Shown(s)) }

// list is several of those.
func list[S ~string](all []S) g.Node {
	said := make([]string, len(all))
	for i, one := range all {
		said[i] = string(one)
	}
	return text(strings.Join(said, ", "))
}

func number(n int) g.Node { return g.Text(strconv.Itoa(n)) }

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
	digits := strconv.FormatFloat(f, 'f', 1, 64)
	return strings.Replace(digits, ".", w.Say("numbers.point"), 1) + " " + units[unit]
}
