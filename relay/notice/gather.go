package notice

import (
	"cmp"
	"time"

	"kurir/relay/maillog"
	"kurir/upstream/explain"
)

// Bounds of what is kept until the next notice.
const (
	maxEvents     = 100
	maxRecipients = 20
	maxWords      = 2000 // bytes of what a server or an error says
)

// An event is what a notice says of one thing, or of several that have the
// same cause: then all but Count, Waiting and Elapsed is of the first.
type event struct {
	Time        time.Time     `json:"time"`
	Event       string        `json:"event"` // as in the log
	ID          string        `json:"id,omitempty"`
	From        string        `json:"from,omitempty"`
	To          []string      `json:"to,omitempty"`
	Route       string        `json:"route,omitempty"`
	Upstream    string        `json:"upstream,omitempty"` // host:port; the route where it is not known
	Stage       explain.Stage `json:"stage,omitempty"`
	Cause       explain.Cause `json:"cause,omitempty"`
	Code        int           `json:"code,omitempty"`
	Enhanced    string        `json:"enhanced,omitempty"`
	Reply       string        `json:"reply,omitempty"`
	Error       string        `json:"error,omitempty"`
	Explanation string        `json:"explanation"`
	Fix         string        `json:"fix,omitempty"`
	Waiting     int           `json:"waiting,omitempty"`
	Elapsed     int64         `json:"elapsed_ms,omitempty"`
	Count       int           `json:"count"`

	title string // the explanation in one sentence
}

// The events that there are words for.
const (
	eventHeld      = "upstream.held"
	eventRecovered = "upstream.recovered"
	eventFailed    = "delivery.failed"
	eventAge       = "queue.age"
)

func newEvent(m maillog.Notice, l explain.Language) *event {
	e := &event{
		Time: m.Time, Event: m.Event, ID: m.Mail.ID, From: string(m.Mail.From),
		Route: m.Route, Upstream: m.Route, Waiting: m.Waiting, Elapsed: m.After.Milliseconds(), Count: 1,
	}
	for _, r := range m.Mail.To[:min(len(m.Mail.To), maxRecipients)] {
		e.To = append(e.To, string(r.To))
	}
	if f := m.Failure; f != nil {
		e.Cause = f.Cause
		if m.Event != eventRecovered {
			e.explain(f, l)
		}
	}
	if e.Explanation == "" {
		e.title, e.Fix = wordsOf(l).alone(e)
		e.Explanation = e.title
	}
	return e
}

// explain takes over what a failure says.
func (e *event) explain(f *explain.Failure, l explain.Language) {
	e.Stage = f.Stage
	if f.Candidate.Host != "" {
		e.Upstream = f.Candidate.HostPort()
	}
	switch {
	case f.Reply != nil:
		e.Code, e.Enhanced, e.Reply = f.Reply.Code, f.Reply.Enhanced.String(), shorten(f.Reply.String())
	case f.Err != nil:
		e.Error = shorten(f.Err.Error())
	}
	x := f.ExplanationIn(l)
	e.title, e.Explanation, e.Fix = x.Title, x.Text(), x.Fix
}

// shorten cuts what is longer than anybody reads. That it may cut a letter in
// two is mended by the encoding as JSON.
func shorten(s string) string { return s[:min(len(s), maxWords)] }

// same tells whether two events are one with a count.
func (e *event) same(as *event) bool {
	return e.Event == as.Event && e.Route == as.Route && e.Upstream == as.Upstream &&
		e.Stage == as.Stage && e.Cause == as.Cause
}

// A batch is what the next notice says.
type batch struct {
	first   time.Time // when the first of it came
	events  []*event  // in the order of their first
	omitted int       // how many more there were
}

func (b *batch) empty() bool { return len(b.events) == 0 }

func (b *batch) add(e *event) {
	b.first = cmp.Or(b.first, time.Now())
	// From the end, so that held, recovered and held again stay three.
	for i := len(b.events) - 1; i >= 0; i-- {
		old := b.events[i]
		if old.same(e) {
			old.Count += e.Count
			old.Waiting, old.Elapsed = e.Waiting, e.Elapsed
			return
		}
		if e.Route != "" && old.Route == e.Route && old.Event != e.Event {
			break
		}
	}
	if len(b.events) == maxEvents {
		b.omitted += e.Count
		return
	}
	b.events = append(b.events, e)
}
