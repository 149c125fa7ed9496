package maillog

import (
	"time"

	"github.com/rs/zerolog"

	"kurir/upstream/explain"
)

// A Count is what is counted of one line of the log. There are only so many
// different ones: nothing in it comes from an app or a server.
type Count struct {
	Event     string
	Cause     explain.Cause     // "" where nothing failed
	Stage     explain.Stage     // "" where it is of no session
	Candidate explain.Candidate // its Host is "" where there was none
	Elapsed   time.Duration     // of delivery.sent: how long the delivery took
}

// A Meter counts lines of the log.
type Meter interface {
	// Count must not block.
	Count(c Count)
}

// Metering is the same log, which also counts each event of mail, of routes
// and of the spool, where its line is written and whatever the level is.
func (l *Log) Metering(m Meter) *Log {
	also := *l
	also.meter = m
	return &also
}

// counted counts an event and begins its line.
func (l *Log) counted(level zerolog.Level, c Count) *zerolog.Event {
	if l.meter != nil {
		l.meter.Count(c)
	}
	return l.z.WithLevel(level).Str("event", c.Event)
}

// event is counted, for one that f, which may be nil, is the reason for.
func (l *Log) event(level zerolog.Level, name string, f *explain.Failure) *zerolog.Event {
	c := Count{Event: name}
	if f != nil {
		c.Cause, c.Stage, c.Candidate = f.Cause, f.Stage, f.Candidate
	}
	return l.counted(level, c)
}
