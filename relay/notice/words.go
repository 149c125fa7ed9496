package notice

import (
	"encoding/json"
	"fmt"
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

// words are the sentences around what package explain says, as formats. Those
// of several events have the same arguments as those of one, and the count at
// the end.
type words struct {
	head      string // our name
	held      string // route, title, waiting
	recovered string // route, duration, waiting
	age       string // route, duration, waiting
	ageFix    string
	failed    string // from, to, title
	several   string // from, to, title, count
	others    string // how many recipients beside the first
	more      string // how many events are left out
}

var (
	english = words{
		head:      "Kurir on %s:",
		held:      "Mail over %s is held, %[3]d waiting: %[2]s",
		recovered: "Mail over %s flows again, after %s.",
		age:       "Mail over %s has been waiting for %s, %d in all.",
		ageFix:    "The log says why each attempt failed: look for delivery.deferred.",
		failed:    "Not delivered, from %s to %s: %s",
		several:   "Not delivered, %[4]d times, first from %[1]s to %[2]s: %[3]s",
		others:    " and %d more",
		more:      "%d more are in the log.",
	}
	indonesian = words{
		head:      "Kurir di %s:",
		held:      "Email lewat %s ditahan, %[3]d menunggu: %[2]s",
		recovered: "Email lewat %s mengalir lagi, setelah %s.",
		age:       "Email lewat %s sudah menunggu selama %s, %d seluruhnya.",
		ageFix:    "Log memuat sebab kegagalan setiap percobaan: cari delivery.deferred.",
		failed:    "Tidak terkirim, dari %s ke %s: %s",
		several:   "Tidak terkirim, %[4]d kali, yang pertama dari %[1]s ke %[2]s: %[3]s",
		others:    " dan %d lagi",
		more:      "%d lagi ada di log.",
	}
)

func wordsOf(l explain.Language) words {
	if l == explain.Indonesian {
		return indonesian
	}
	return english
}

// alone is what an event says that has no failure to explain it.
func (w words) alone(e *event) (title, fix string) {
	switch e.Event {
	case eventRecovered:
		return fmt.Sprintf(w.recovered, e.Route, e.elapsed()), ""
	case eventAge:
		return fmt.Sprintf(w.age, e.Route, e.elapsed(), e.Waiting), w.ageFix
	}
	return e.Event, ""
}

// text is a batch in a few lines.
func (w words) text(host string, b *batch) string {
	lines := []string{fmt.Sprintf(w.head, host)}
	for _, e := range b.events[:min(len(b.events), maxLines)] {
		lines = append(lines, "• "+w.line(e))
	}
	if n := len(b.events) - (len(lines) - 1) + b.omitted; n > 0 {
		lines = append(lines, fmt.Sprintf(w.more, n))
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
		text = fmt.Sprintf(w.held, e.Route, e.title, e.Waiting)
	case eventFailed:
		to := ""
		if len(e.To) > 0 {
			to = e.To[0]
		}
		if len(e.To) > 1 {
			to += fmt.Sprintf(w.others, len(e.To)-1)
		}
		from := e.From
		if from == "" {
			from = "<>" // the null reverse-path
		}
		if e.Count > 1 {
			text = fmt.Sprintf(w.several, from, to, e.title, e.Count)
		} else {
			text = fmt.Sprintf(w.failed, from, to, e.title)
		}
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
