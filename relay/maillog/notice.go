package maillog

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"kurir/upstream/explain"
)

// A Notice is an event that a person wants to hear of without looking: mail is
// held or flows again, was not delivered, waits too long, or cannot be taken.
type Notice struct {
	Time  time.Time
	Event string // as in the log

	// Of a route: its name, and how many messages wait for it.
	Route   string
	Waiting int

	// Of a message.
	Mail Mail

	Failure *explain.Failure // why, or what is over; nil if that is not known
	After   time.Duration    // how long it took: the trouble, or the wait
}

// Telling is the same log, which also calls tell with each notice, after its
// line was written and whatever the level is. tell must not block, and may
// keep what it gets.
func (l *Log) Telling(tell func(Notice)) *Log {
	also := *l
	also.tell = tell
	return &also
}

func (l *Log) notice(n Notice) {
	if l.tell != nil {
		n.Time = time.Now()
		l.tell(n)
	}
}

// QueueAge tells that messages wait for a route that is not held for longer
// than they should; f is what is in their way, nil if the route is well. It is
// told once until it gets better.
func (l *Log) QueueAge(route string, f *explain.Failure, oldest time.Duration, waiting int) {
	e := l.event(zerolog.WarnLevel, "queue.age", f).Str("route", route)
	if f != nil {
		l.failure(e, f)
	}
	e.Int("waiting", waiting).Int64("elapsed_ms", oldest.Milliseconds()).
		Msg(fmt.Sprintf("the oldest of %d messages has been waiting for %s", waiting, oldest.Round(time.Second)))
	l.notice(Notice{Event: "queue.age", Route: route, Waiting: waiting, Failure: f, After: oldest})
}

// NoticeSent tells that notices were given to the operator, by these ways:
// "webhook", "command".
func (l *Log) NoticeSent(by []string, events, omitted int) {
	e := l.event(zerolog.InfoLevel, "notice.sent", nil).Strs("by", by).Int("events", events)
	if omitted > 0 {
		e.Int("omitted", omitted)
	}
	e.Msg(fmt.Sprintf("sent a notice of %d events", events+omitted))
}

// NoticeFailed tells that a way to give notices did not work. again is whether
// its events are kept for the next one; err must have no secret in it.
func (l *Log) NoticeFailed(by string, err error, again bool) {
	message := "could not send a notice by " + by
	if again {
		message += "; its events will be in the next one"
	}
	l.event(zerolog.WarnLevel, "notice.failed", nil).Str("by", by).Str("error", err.Error()).
		Str("explanation", "A notice of what happened to mail could not be sent. Mail itself is not affected.").
		Str("fix", "Check notify."+by+" in the configuration, and that it can be reached from this machine.").
		Bool("again", again).
		Msg(message)
}
