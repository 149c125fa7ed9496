package page

import (
	_ "embed"
	"html/template"
	"strconv"
	"strings"
	"time"

	"kurir/upstream/envelope"
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

// functions are what the templates say and show with.
func (w words) functions() template.FuncMap {
	return template.FuncMap{
		"say":      w.Say,
		"text":     explain.Shown,
		"path":     func(p envelope.Path) string { return explain.Shown(string(p)) },
		"list":     func(all []string) string { return explain.Shown(strings.Join(all, ", ")) },
		"moment":   func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") },
		"datetime": func(t time.Time) string { return t.Format(time.RFC3339) },
		"hour":     func(t time.Time) string { return t.Local().Format("15:04") },
		"number":   strconv.Itoa,
		"size":     w.size,
	}
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
	return strings.Replace(number, ".", w.Say("numbers.point"), 1) + " " + units[unit]
}
