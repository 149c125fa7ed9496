package notice

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"kurir/upstream/explain"
)

// maxLines is how many events the text for people has; chats cut long ones.
const maxLines = 10

// body is a notice as it is given.
func (o *Options) body(b *batch, l explain.Language) []byte {
	data, err := json.Marshal(struct {
		Host    string    `json:"host"`
		Version string    `json:"version"`
		Time    time.Time `json:"time"`
		Text    string    `json:"text"`
		Events  []*event  `json:"events"`
		Omitted int       `json:"omitted"`
	}{o.Host, o.Version, time.Now(), wordsOf(l).text(o.Host, b), b.events, b.omitted})
	if err != nil {
		panic("notice: " + err.Error()) // a year beyond 9999 is all that JSON cannot bear
	}
	return data
}

var (
	//go:embed words.en.toml
	english string
	//go:embed words.id.toml
	indonesian string
)

// words are the sentences around what package explain says.
type words struct{ explain.Words }

func wordsOf(l explain.Language) words { return words{l.Words(english, indonesian)} }

// alone is what an event says that has no failure to explain it.
func (w words) alone(e *event) (title, fix string) {
	switch e.Event {
	case eventRecovered:
		return w.Say("notice.recovered", "route", e.Route, "elapsed", e.elapsed()), ""
	case eventAge:
		return w.Say("notice.age", "route", e.Route, "elapsed", e.elapsed(), "waiting", strconv.Itoa(e.Waiting)), w.Say("notice.age_fix")
	}
	return e.Event, ""
}

// text is a batch in a few lines.
func (w words) text(host string, b *batch) string {
	lines := []string{w.Say("notice.head", "host", host)}
	for _, e := range b.events[:min(len(b.events), maxLines)] {
		lines = append(lines, "• "+w.line(e))
	}
	if n := len(b.events) - (len(lines) - 1) + b.omitted; n > 0 {
		lines = append(lines, w.Say("notice.more", "count", strconv.Itoa(n)))
	}
	for i := range lines {
		lines[i] = plain.Replace(explain.Printable(lines[i]))
	}
	return strings.Join(lines, "\n")
}

// plain takes from what others said the signs with which chats mark calls and
// links, such as "<!channel>".
var plain = strings.NewReplacer("<", "‹", ">", "›", "`", "'")

func (w words) line(e *event) string {
	var text string
	switch e.Event {
	case eventHeld:
		text = w.Say("notice.held", "route", e.Route, "waiting", strconv.Itoa(e.Waiting), "title", e.title)
	case eventFailed:
		to := ""
		if len(e.To) > 0 {
			to = e.To[0]
		}
		if len(e.To) > 1 {
			to = w.Say("notice.others", "to", to, "others", strconv.Itoa(len(e.To)-1))
		}
		from := cmp.Or(e.From, "<>") // the null reverse-path
		what := "notice.failed"
		if e.Count > 1 {
			what = "notice.several"
		}
		text = w.Say(what, "count", strconv.Itoa(e.Count), "from", from, "to", to, "title", e.title)
	case eventAge:
		text, _ = w.alone(e)
		if e.title != text {
			text += " " + e.title
		}
	default:
		text = e.title
	}
	if e.Fix != "" {
		text += " " + e.Fix
	}
	return text
}

// elapsed is how long it took, in words that are the same in all languages.
func (e *event) elapsed() string {
	d := time.Duration(e.Elapsed) * time.Millisecond
	if d < time.Minute {
		return strconv.Itoa(int(d.Seconds())) + "s"
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
