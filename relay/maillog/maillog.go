// Package maillog writes the log: one self-contained JSON line an event, with
// the same fields everywhere, so that "check the error log" is good advice.
//
// There is one method for each thing that can happen to a message or a route;
// nothing else of the relay writes to the log. The level says who must act:
// error is for the operator, warn perhaps, info are mail events, debug is the
// transcript without credentials and content. What a failure means and what
// to do about it comes from package explain, the server's words are kept
// verbatim beside it. Everything that an app or a server said is a JSON
// string, so it cannot forge a line.
//
// Read Log first, then mail.go (events of a message) and route.go (events of
// a smart host and of the relay itself). notice.go passes on the few events
// that a person should be called for, meter.go has them counted. tame.go keeps
// screens from obeying what was said.
package maillog

import (
	"bytes"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// Options of a log.
type Options struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "json", "console", or "auto": console on a terminal

	Language explain.Language // of explanations; "" = English

	// Subject has each message's subject told, which is its own affair.
	Subject bool

	// Priority puts the priority of each line before it, as the journal of
	// systemd reads it (sd-daemon(3)). It goes with lines of JSON.
	Priority bool
}

// A Log writes mail events. Its methods may be called from any goroutine.
type Log struct {
	z        zerolog.Logger
	out      zerolog.LevelWriter
	level    *atomic.Int32 // a zerolog.Level; shared with all that were made of the same log
	subject  *atomic.Bool
	language explain.Language
	tell     func(Notice)   // may be nil
	meter    Meter          // may be nil
	history  zerolog.Logger // for what is too long for the log
}

// New makes a log that writes to w.
func New(w io.Writer, o Options) *Log {
	var out zerolog.LevelWriter = zerolog.LevelWriterAdapter{Writer: w}
	switch {
	case o.Format == "console" || o.Format == "auto" && isTerminal(w):
		out = zerolog.LevelWriterAdapter{Writer: console(w)}
	case o.Priority:
		out = journal{w}
	}
	l := &Log{out: out, level: new(atomic.Int32), subject: new(atomic.Bool), language: o.Language, history: zerolog.Nop()}
	l.z = zerolog.New(keeper{out: out, level: l.level, history: io.Discard}).Hook(clock{})
	l.Configure(o.Level, o.Subject)
	return l
}

// Configure has the log go on with another level, and with or without
// subjects, as in Options.
func (l *Log) Configure(level string, subject bool) {
	wanted, err := zerolog.ParseLevel(level)
	if err != nil {
		wanted = zerolog.InfoLevel
	}
	l.level.Store(int32(wanted))
	l.subject.Store(subject)
}

// Keeping is the same log, which also writes each line about a message or a
// route to history, whatever the level is.
func (l *Log) Keeping(history io.Writer) *Log {
	also := *l
	also.history = zerolog.New(history).Hook(clock{})
	also.z = zerolog.New(keeper{out: l.out, level: l.level, history: history}).Hook(clock{})
	return &also
}

// A keeper writes lines to the log, those of its level and above, and to
// history.
type keeper struct {
	out     zerolog.LevelWriter
	level   *atomic.Int32
	history io.Writer
}

func (k keeper) Write(line []byte) (int, error) { return k.WriteLevel(zerolog.NoLevel, line) }

func (k keeper) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	safe := escaped(line)
	if isHistory(line) {
		_, _ = k.history.Write(safe) // it never fails
	}
	if level < zerolog.Level(k.level.Load()) {
		return len(line), nil
	}
	if _, err := k.out.WriteLevel(level, safe); err != nil {
		return 0, err
	}
	return len(line), nil
}

// A journal gives each line its priority, so that journalctl -p finds it.
type journal struct{ io.Writer }

// priorities are those of syslog(3).
var priorities = map[zerolog.Level]string{
	zerolog.DebugLevel: "<7>", zerolog.InfoLevel: "<6>", zerolog.WarnLevel: "<4>", zerolog.ErrorLevel: "<3>",
}

func (j journal) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	if _, err := j.Write(slices.Concat([]byte(priorities[level]), line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// isHistory tells whether a line is about messages or a route: zerolog has put
// the event behind the level.
func isHistory(line []byte) bool {
	_, event, found := bytes.Cut(line[:min(len(line), 64)], []byte(`"event":"`))
	for _, kind := range []string{"message.", "delivery.", "queue.", "upstream.", "notice."} {
		if found && bytes.HasPrefix(event, []byte(kind)) {
			return true
		}
	}
	return false
}

// clock gives each line its time, to the millisecond: lines of one second
// must keep their order when they are joined with those of another program.
type clock struct{}

func (clock) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str("time", time.Now().Format("2006-01-02T15:04:05.000Z07:00"))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// console shows the same lines to a person at a terminal, in colours only
// there, and without what a server would have the terminal do.
func console(w io.Writer) io.Writer {
	return zerolog.ConsoleWriter{
		Out: tame{w}, TimeFormat: time.TimeOnly,
		NoColor: os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !isTerminal(w),
		FormatMessage: func(text any) string {
			said, _ := text.(string)
			return explain.Printable(said)
		},
		FieldsOrder: []string{"event", "id", "from", "to", "upstream", "stage", "cause", "reply", "explanation", "fix"},
	}
}

// Mail is what the log tells of a message.
type Mail struct {
	ID, MessageID string
	Subject       string // as it stands in the header
	From          envelope.Path
	To            []envelope.Recipient
	Size          int64
	Client        string
	Attempt       int // counts from 1; 0 when none was made
}

// Only is the same mail with the recipients that an event is about.
func (m Mail) Only(to []envelope.Recipient) Mail {
	m.To = to
	return m
}

// manyRecipients is how many recipients a line names; the rest is counted.
const manyRecipients = 20

func (m Mail) fields(e *zerolog.Event) *zerolog.Event {
	e.Str("id", m.ID)
	if m.MessageID != "" {
		e.Str("message_id", m.MessageID)
	}
	e.Str("from", string(m.From))
	recipients(e, m.To)
	e.Int64("size", m.Size)
	if m.Client != "" {
		e.Str("client", m.Client)
	}
	if m.Attempt > 0 {
		e.Int("attempt", m.Attempt)
	}
	return e
}

func recipients(e *zerolog.Event, all []envelope.Recipient) {
	to := zerolog.Arr()
	for _, r := range all[:min(len(all), manyRecipients)] {
		to.Str(string(r.To))
	}
	e.Array("to", to)
	if len(all) > manyRecipients {
		e.Int("to_count", len(all))
	}
}

// failure writes where it failed, why, what that means and what to do.
func (l *Log) failure(e *zerolog.Event, f *explain.Failure) *zerolog.Event {
	where(e, f)
	if f.Reply == nil {
		return l.words(e, f, 0, explain.EnhancedCode{})
	}
	return l.words(e, f, f.Reply.Code, f.Reply.Enhanced)
}

func (l *Log) explain(f *explain.Failure) explain.Explanation { return f.ExplanationIn(l.language) }

func where(e *zerolog.Event, f *explain.Failure) {
	way(e, f.Candidate)
	if f.Stage != "" {
		e.Str("stage", string(f.Stage))
	}
	e.Str("cause", string(f.Cause))
}

func (l *Log) words(e *zerolog.Event, f *explain.Failure, code int, enhanced explain.EnhancedCode) *zerolog.Event {
	if code != 0 {
		e.Int("code", code)
	}
	if !enhanced.IsZero() {
		e.Str("enhanced", enhanced.String())
	}
	if f.Reply != nil {
		e.Str("reply", f.Reply.String())
	} else if f.Err != nil {
		e.Str("error", f.Err.Error())
	}
	x := l.explain(f)
	return e.Str("explanation", x.Text()).Str("fix", x.Fix)
}

// way writes which candidate was used.
func way(e *zerolog.Event, c explain.Candidate) {
	if c.Host == "" {
		return
	}
	e.Str("upstream", c.HostPort()).Str("tls", string(c.TLS))
}
