package maillog

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"

	"github.com/rs/zerolog"
)

// Accepted tells that an app got its 250.
func (l *Log) Accepted(m Mail) {
	e := m.fields(l.event(zerolog.InfoLevel, "message.accepted", nil))
	l.about(e, m).Msg("accepted from " + m.Client)
}

// about tells the subject, if that is wanted.
func (l *Log) about(e *zerolog.Event, m Mail) *zerolog.Event {
	if !l.subject.Load() || m.Subject == "" {
		return e
	}
	words := mime.WordDecoder{CharsetReader: func(string, io.Reader) (io.Reader, error) { return nil, errors.ErrUnsupported }}
	text, err := words.DecodeHeader(m.Subject)
	if err != nil { // a charset that we do not read
		text = m.Subject
	}
	return e.Str("subject", text)
}

// Refused tells that an app's message was not taken. code and enhanced are
// what the app was told; the server's own stand in the reply.
func (l *Log) Refused(m Mail, f *explain.Failure, code int, enhanced explain.EnhancedCode) {
	e := m.fields(l.event(levelOf(f), "message.refused", f))
	where(l.about(e, m), f)
	l.words(e, f, code, enhanced).Msg("refused: " + l.explain(f).Title)
	l.said(m, f)
}

// Sent tells that the smart host took the message, with its words as proof.
func (l *Log) Sent(m Mail, r *explain.Receipt, took time.Duration) {
	e := m.fields(l.counted(zerolog.InfoLevel, Count{Event: "delivery.sent", Candidate: r.Candidate, Elapsed: took}))
	way(e, r.Candidate)
	e.Int("code", r.Reply.Code)
	if s := r.Reply.Enhanced.String(); s != "" {
		e.Str("enhanced", s)
	}
	e.Str("reply", r.Reply.String())
	if r.ID != "" {
		e.Str("upstream_id", r.ID)
	}
	e.Int64("elapsed_ms", took.Milliseconds()).Msg("sent")
}

// Deferred tells that an attempt did not deliver and when the next is due. A
// held route has an event of its own, as somebody must act; so has a delivery
// whose outcome nobody can know.
func (l *Log) Deferred(m Mail, f *explain.Failure, next time.Time) {
	level, event := zerolog.WarnLevel, "delivery.deferred"
	switch {
	case f.Cause == explain.DeliveryUncertain:
		event = "delivery.uncertain"
	case f.Verdict() == explain.Hold:
		level, event = zerolog.ErrorLevel, "delivery.held"
	case f.Permanent(): // it is tried again, and yet needs a person
		level = zerolog.ErrorLevel
	}
	e := m.fields(l.event(level, event, f))
	l.failure(e, f).Time("next", next).Msg(l.explain(f).Title)
	l.said(m, f)
}

// said keeps what was said in the attempt that f ended, in history alone: for
// the log it is too long.
func (l *Log) said(m Mail, f *explain.Failure) {
	if m.Attempt == 0 {
		return
	}
	for _, one := range append([]*explain.Failure{f}, f.Candidates...) {
		if len(one.Transcript) == 0 {
			continue
		}
		e := l.history.Log().Str("event", "delivery.transcript").Str("id", m.ID).Int("attempt", m.Attempt)
		way(e, one.Candidate)
		e.Strs("transcript", one.Transcript).Send()
	}
}

// Failed tells that recipients will not get the message: it was refused for
// good, or is too old.
func (l *Log) Failed(m Mail, f *explain.Failure) {
	l.failed(m, f, 0, l.explain(f).Title)
}

// GivenUp tells that recipients will not get the message because it is too old;
// f is the last failure.
func (l *Log) GivenUp(m Mail, f *explain.Failure, age time.Duration) {
	l.failed(m, f, age, fmt.Sprintf("given up after %s: %s", age.Round(time.Second), l.explain(f).Title))
}

func (l *Log) failed(m Mail, f *explain.Failure, after time.Duration, message string) {
	e := m.fields(l.event(levelOf(f), "delivery.failed", f))
	l.failure(e, f).Msg(message)
	l.said(m, f)
	l.notice(Notice{Event: "delivery.failed", Mail: m, Failure: f, After: after})
}

// Uncertain tells, after a restart, that a delivery was under way when the
// relay died, so that the message may arrive twice.
func (l *Log) Uncertain(m Mail) {
	f := explain.Explain(explain.Failure{Cause: explain.DeliveryUncertain, Stage: explain.StageDot})
	e := m.fields(l.event(zerolog.WarnLevel, "delivery.uncertain", f))
	l.failure(e, f).Msg("Kurir was stopped while this message was being sent; it is sent again and may arrive twice.")
}

// levelOf is error where the operator must act, else warn.
func levelOf(f *explain.Failure) zerolog.Level {
	if f.Explanation().Actor == explain.Operator {
		return zerolog.ErrorLevel
	}
	return zerolog.WarnLevel
}

// MessageRefused tells that the listener refused a command of an app.
func (l *Log) MessageRefused(client string, env envelope.Envelope, f *explain.Failure, code int, enhanced explain.EnhancedCode) {
	e := l.event(zerolog.WarnLevel, "message.refused", f).Str("client", client).Str("from", string(env.From))
	recipients(e, env.To)
	where(e, f)
	x := l.explain(f)
	l.words(e, f, code, enhanced).Msg("refused: " + x.Text())
}

// ClientRejected tells that a connection was refused or closed by policy.
func (l *Log) ClientRejected(client, reason, fix string) {
	l.event(zerolog.WarnLevel, "client.rejected", nil).Str("client", client).
		Str("explanation", reason).Str("fix", fix).
		Msg("connection rejected: " + reason)
}

// FailedExpired tells that failed messages were removed for their age.
func (l *Log) FailedExpired(removed int, err error) {
	if err != nil {
		l.SpoolTrouble("remove old failed messages", err)
		return
	}
	l.z.Info().Str("event", "failed.expired").Int("removed", removed).
		Msg(fmt.Sprintf("removed %d failed messages that were kept long enough", removed))
}

// ClientLost tells that an app went away inside a message, which was not taken.
func (l *Log) ClientLost(client string, err error) {
	l.z.Debug().Str("event", "client.lost").Str("client", client).Err(err).
		Msg("the app went away before the end of its message")
}
