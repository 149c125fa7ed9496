package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kurir/relay/dsn"
	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// Submit takes a message over from the listener and says what to answer. The
// draft is Submit's from then on. When it answers 250, the provider has the
// message or it is durable (promise P1). When ctx ends, Submit breaks off a
// delivery that it waits for and answers soon.
func (q *Queue) Submit(ctx context.Context, d *spool.Draft) Answer {
	if q.set().Mode == Through {
		return q.through(ctx, d)
	}
	return q.Keep(ctx, d)
}

// Keep takes over a message that nobody waits for, as Submit does, but makes
// it durable first: a provider's refusal is then told to its sender by mail.
// Mode direct keeps nothing, so that there it is Submit.
func (q *Queue) Keep(ctx context.Context, d *spool.Draft) Answer {
	if q.set().Mode == Direct {
		return q.direct(ctx, d)
	}
	return q.store(d)
}

// store makes a message durable and queues it.
func (q *Queue) store(d *spool.Draft) Answer {
	defer d.Close()
	if err := q.commit(d, mailOfDraft(d)); err != nil {
		return q.notStored(d, err)
	}
	q.push(newItem(d))
	return queued(d)
}

// through delivers while the app waits. What takes longer, or does not work
// at once, is spooled.
func (q *Queue) through(ctx context.Context, d *spool.Draft) Answer {
	l := q.enter(d.Envelope().From)
	if l == nil {
		return q.store(d)
	}
	p := q.pass(l, d)
	defer context.AfterFunc(ctx, p.cancel)()
	wait := time.NewTimer(q.set().Wait)
	defer wait.Stop()
	select {
	case <-p.over:
		return q.passed(p)
	case <-wait.C:
	}
	if err := p.keep(); err != nil {
		// It cannot be kept, and it must not be sent twice: a delivery that
		// can still be ended is ended, of another one the outcome counts.
		p.breakOff(err)
		<-p.over
		return q.unkept(p, err)
	}
	return queued(d)
}

// passed answers for a delivery that ended while the app waited.
func (q *Queue) passed(p *passage) Answer {
	o, d := p.outcome, p.draft
	if len(o.kept) == 0 && (len(o.delivered) == 0 || len(o.returned) == 0) {
		return q.unkept(p, nil)
	}
	if err := p.keep(); err != nil {
		return q.unkept(p, err)
	}
	if len(o.delivered) == 0 {
		return queued(d)
	}
	return sent(o, d)
}

// direct delivers while the app waits, or refuses. When the wait is over, a
// delivery that has not come to its final dot is broken off; one that has is
// waited for, because nobody else could tell its outcome.
func (q *Queue) direct(ctx context.Context, d *spool.Draft) Answer {
	deadline := time.Now().Add(q.set().Wait)
	l, f := q.enterBy(ctx, d.Envelope().From, deadline)
	if f != nil {
		defer d.Close()
		return q.refuse(mailOfDraft(d), f, 451)
	}
	p := q.pass(l, d)
	defer context.AfterFunc(ctx, p.cancel)()
	wait := time.AfterFunc(time.Until(deadline), func() { p.breakOff(errWaitOver) })
	defer wait.Stop()
	<-p.over
	return q.unkept(p, nil)
}

var errWaitOver = errors.New("the provider took longer than delivery.wait")

// enterBy waits for a slot, of another lane if one is replaced meanwhile; the
// failure says why there was none in time. A route in trouble is tried by one
// message when its probe is due, and the others hear at once what is wrong with
// it.
func (q *Queue) enterBy(ctx context.Context, from envelope.Path, deadline time.Time) (*lane, *explain.Failure) {
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, errWaitOver)
	defer cancel()
	for {
		q.mu.Lock()
		l := q.laneOfLocked(from)
		entered := q.enterLocked(l, l.enter) || q.enterLocked(l, l.enterAsProbe)
		trouble, freed, pause := l.trouble, l.freed, time.Until(l.next)
		q.mu.Unlock()
		switch {
		case entered:
			return l, nil
		case trouble != nil:
			return nil, trouble
		}
		var paused <-chan time.Time
		if pause > 0 {
			paused = time.After(pause)
		}
		select {
		case <-freed:
		case <-paused:
		case <-ctx.Done():
			return nil, explain.Explain(explain.Failure{Cause: explain.ServerBusy, Err: context.Cause(ctx)})
		}
	}
}

// unkept answers for a delivery whose rest is not kept by us: there is none,
// or the mode or a full spool forbids it. As long as a recipient is to be
// tried again the app must do that, also where others have the message
// already: to get it twice is better than never.
func (q *Queue) unkept(p *passage, notKept error) Answer {
	o, d := p.outcome, p.draft
	defer d.Close()
	q.noteRoute(p.lane, o, time.Now(), 0)
	q.noteSender(p.lane, d.Envelope().From, o, time.Now(), 0)
	mail := mailOfDraft(d)
	mail.Attempt = 1
	if len(o.delivered) > 0 {
		q.log.Sent(mail.Only(o.delivered), o.receipt, time.Since(p.started))
		if to, about := q.chooseNotified(dsn.Relayed, d.Envelope().From, relayedOnes(o)); len(about) > 0 {
			if err := q.post(dsn.Relayed, to, d.Message(), d.MessageID, d.Received(), about); err != nil {
				q.tellTrouble("keep a notification", err)
			}
		}
	}
	for _, r := range o.returned {
		q.log.Failed(mail.Only(recipients([]refusal{r})), r.failure)
	}
	var a Answer
	switch {
	case len(o.kept) == 0 && len(o.delivered) > 0:
		q.log.Accepted(mail)
		return sent(o, d)
	case len(o.kept) == 0:
		return q.refuse(mail, o.returned[0].failure, 550)
	case notKept != nil:
		a = q.notStored(d, notKept)
	default:
		a = q.refuse(mail, o.kept[0].failure, 451)
	}
	if n := len(o.delivered); n > 0 {
		a.Text += fmt.Sprintf("\nIt was sent to %d of %d recipients, who get it once more when it is sent again.", n, len(mail.To))
	}
	return a
}

// notStored answers 4xx: the app still has the message (promise P4).
func (q *Queue) notStored(d *spool.Draft, err error) Answer {
	f := explain.Explain(explain.Failure{Cause: explain.SpoolFull, Err: err})
	a := Answer{Code: 452, Enhanced: explain.EnhancedCode{4, 3, 1}}
	if !errors.Is(err, spool.ErrFull) {
		q.tellTrouble("store a message", err)
		a = Answer{Code: 451, Enhanced: explain.EnhancedCode{4, 3, 0}}
		f = explain.Explain(explain.Failure{Cause: explain.ServerError, Err: err, Facts: []explain.Fact{
			{Name: explain.FactHere, Value: "here"}, {Name: explain.FactFault, Value: err.Error()},
		}})
	}
	a.Text = f.ExplanationIn(q.set().Language).Title
	q.log.Refused(mailOfDraft(d), f, a.Code, a.Enhanced)
	return a
}

// refuse puts a failure into an answer: explanation, the provider's words and
// our id. code is used where the provider's own does not fit its class.
func (q *Queue) refuse(mail maillog.Mail, f *explain.Failure, code int) Answer {
	if f.Reply != nil && f.Reply.Class() == code/100 && f.Reply.Code != 421 {
		code = f.Reply.Code
	}
	enhanced := f.Enhanced()
	enhanced[0] = code / 100
	q.log.Refused(mail, f, code, enhanced)
	return Answer{Code: code, Enhanced: enhanced, Text: strings.Join(append(f.LinesIn(q.set().Language), "Kurir id "+mail.ID), "\n")}
}

func queued(d *spool.Draft) Answer {
	return Answer{Code: 250, Enhanced: explain.EnhancedCode{2, 0, 0}, Text: "queued as " + d.ID().String()}
}

// sent answers that the provider has the message, at least for some.
func sent(o outcome, d *spool.Draft) Answer {
	text := fmt.Sprintf("sent as %s (%s)", o.receipt.ID, d.ID())
	if o.receipt.ID == "" {
		text = fmt.Sprintf("sent (%s)", d.ID())
	}
	if missing := len(o.returned) + len(o.kept); missing > 0 {
		text += fmt.Sprintf(", but not to %d of %d recipients; see the log", missing, missing+len(o.delivered))
	}
	return Answer{Code: 250, Enhanced: explain.EnhancedCode{2, 0, 0}, Text: text}
}

func newItem(d *spool.Draft) *item {
	return &item{
		id: d.ID(), from: d.Envelope().From, size: d.Size(), due: d.Received(), received: d.Received(),
	}
}

func mailOfDraft(d *spool.Draft) maillog.Mail {
	mail := mailOf(d.Stored())
	mail.Subject = d.Subject
	return mail
}
