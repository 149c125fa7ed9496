package maillog

import (
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"kurir/upstream/explain"
)

// Started is what a started relay tells of itself.
type Started struct {
	Version  string
	SMTP     []string // addresses that take mail
	HTTP     string   // the address of the status page; "" without one
	StateDir string
	Maildir  string // of the sandbox; "" without one
	Mode     string
	Routes   []string
}

// Started tells that the relay takes mail.
func (l *Log) Started(s Started) {
	e := l.z.Info().Str("event", "relay.started").Str("version", s.Version).
		Strs("smtp", s.SMTP).Str("state_dir", s.StateDir).Str("mode", s.Mode).Strs("upstreams", s.Routes)
	if s.HTTP != "" {
		e.Str("http", s.HTTP)
	}
	if s.Maildir != "" {
		e.Str("maildir", s.Maildir)
	}
	e.Msg("Kurir takes mail")
}

// Reloaded tells that another configuration is used from now on; needRestart
// are the keys whose new values are not.
func (l *Log) Reloaded(needRestart []string) {
	e := l.z.Info().Str("event", "relay.reloaded")
	message := "the configuration was read again"
	if len(needRestart) > 0 {
		e = l.z.Warn().Str("event", "relay.reloaded").Strs("need_restart", needRestart)
		message += ", but restart Kurir for the new " + strings.Join(needRestart, ", ")
	}
	e.Msg(message)
}

// NotReloaded tells that the old configuration stays in use, since the new one
// is of no use.
func (l *Log) NotReloaded(err error) {
	l.z.Error().Str("event", "relay.reloaded").Err(err).Msg("the configuration could not be read; the old one stays in use")
}

// Stopping tells that the relay ends in good order.
func (l *Log) Stopping(why string) {
	l.z.Info().Str("event", "relay.stopping").Msg("stopping: " + why)
}

// Warning tells of something that works now and will bite later, such as a
// password file that everyone can read.
func (l *Log) Warning(where, text string) {
	l.z.Warn().Str("event", "relay.warning").Str("where", where).Msg(text)
}

// Selected tells which way in is used from now on, and why those that are
// preferred were left.
func (l *Log) Selected(route string, chosen explain.Candidate, left []*explain.Failure) {
	level := zerolog.InfoLevel
	if len(left) > 0 {
		level = zerolog.WarnLevel
	}
	e := l.counted(level, Count{Event: "upstream.selected", Candidate: chosen}).Str("route", route)
	way(e, chosen)
	message := "mail goes out over " + chosen.String()
	if len(left) > 0 {
		l.candidates(e, left)
		x := l.explain(left[0])
		e.Str("stage", string(left[0].Stage)).Str("cause", string(left[0].Cause)).
			Str("explanation", x.Text()).Str("fix", x.Fix)
		message += ", because " + left[0].Candidate.String() + " failed: " + x.Title
	}
	e.Msg(message)
}

// Unavailable tells that no way in works just now, with each one's failure.
func (l *Log) Unavailable(route string, f *explain.Failure, next time.Time, waiting int) {
	l.trouble("upstream.unavailable", levelOf(f), route, f, next, waiting)
}

// RouteHeld tells that the smart host refuses us, until somebody acts.
func (l *Log) RouteHeld(route string, f *explain.Failure, next time.Time, waiting int) {
	l.trouble("upstream.held", zerolog.ErrorLevel, route, f, next, waiting)
	l.notice(Notice{Event: "upstream.held", Route: route, Waiting: waiting, Failure: f})
}

func (l *Log) trouble(event string, level zerolog.Level, route string, f *explain.Failure, next time.Time, waiting int) {
	e := l.event(level, event, f).Str("route", route)
	l.failure(e, f)
	if len(f.Candidates) > 0 {
		l.candidates(e, f.Candidates)
	}
	e.Int("waiting", waiting).Time("next", next).Msg(l.explain(f).Title)
}

// Limited tells that the smart host bears fewer connections than were open;
// slots are how many are used from now on.
func (l *Log) Limited(route string, f *explain.Failure, slots int) {
	e := l.event(zerolog.InfoLevel, "upstream.limited", f).Str("route", route)
	l.failure(e, f).Int("connections", slots).
		Msg(fmt.Sprintf("using at most %d connections: %s", slots, l.explain(f).Title))
}

// Recovered tells that a route works again.
func (l *Log) Recovered(route string, over *explain.Failure, after time.Duration, waiting int) {
	l.counted(zerolog.InfoLevel, Count{Event: "upstream.recovered", Cause: over.Cause}).Str("route", route).Str("cause", string(over.Cause)).
		Int64("elapsed_ms", after.Milliseconds()).Int("waiting", waiting).
		Msg(fmt.Sprintf("mail flows again after %s", after.Round(time.Second)))
	l.notice(Notice{Event: "upstream.recovered", Route: route, Waiting: waiting, Failure: over, After: after})
}

// candidates writes one object for each way in that failed.
func (l *Log) candidates(e *zerolog.Event, failures []*explain.Failure) {
	all := zerolog.Arr()
	for _, f := range failures {
		all.Dict(l.failure(zerolog.Dict(), f))
	}
	e.Array("candidates", all)
}

// SpoolRecovered tells what was found in the spool at start.
func (l *Log) SpoolRecovered(messages int, torn int64, damaged []string, took time.Duration) {
	level := zerolog.InfoLevel
	if len(damaged) > 0 {
		level = zerolog.ErrorLevel
	}
	l.event(level, "spool.recovered", nil).Int("messages", messages).
		Int64("torn_bytes", torn).Strs("damaged", damaged).Int64("elapsed_ms", took.Milliseconds()).
		Msg(fmt.Sprintf("%d messages wait in the spool", messages))
}

// SpoolFull tells that no mail can be taken until there is room.
func (l *Log) SpoolFull(f *explain.Failure) {
	l.failure(l.event(zerolog.ErrorLevel, "spool.full", f), f).Msg(l.explain(f).Title)
	l.notice(Notice{Event: "spool.full", Failure: f})
}

// SpoolFree tells that SpoolFull is over.
func (l *Log) SpoolFree() {
	l.event(zerolog.InfoLevel, "spool.recovered", nil).Msg("the spool has room again; mail is taken")
}

// SpoolTrouble tells that the spool could not do something; nothing was lost.
func (l *Log) SpoolTrouble(what string, err error) {
	l.event(zerolog.ErrorLevel, "spool.trouble", nil).Str("error", err.Error()).
		Str("fix", "Look at the disk: is it full, read-only or failing?").
		Msg("could not " + what)
}

// Transcript writes one line of a session with the smart host, at debug level;
// id is of the message that is under way, "" if none is.
func (l *Log) Transcript(session uint64, id string, c explain.Candidate, sent bool, text string) {
	e := l.z.Debug()
	way(e.Str("event", "transcript").Uint64("session", session), c)
	if id != "" {
		e.Str("id", id)
	}
	direction := "S: "
	if sent {
		direction = "C: "
	}
	e.Msg(direction + text)
}
