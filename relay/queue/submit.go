package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// Submit takes a message over from the listener and says what to answer. The
// draft is Submit's from then on. When it answers 250, the provider has the
// message or it is durable (promise P1).
func (q *Queue) Submit(_ context.Context, d *spool.Draft) Answer {
	l := q.laneOf(d.Envelope().From)
	switch q.o.Mode {
	case Through:
		return q.through(l, d)
	case Direct:
		return q.direct(l, d)
	}
	defer d.Close()
	return q.store(l, d)
}

// store makes a message durable and queues it.
func (q *Queue) store(l *lane, d *spool.Draft) Answer {
	if err := d.Commit(); err != nil {
		return q.notStored(d, err)
	}
	q.room()
	q.o.Log.Accepted(mailOfDraft(d))
	q.push(l, newItem(d))
	return queued(d)
}

func newItem(d *spool.Draft) *item {
	return &item{id: d.ID(), due: d.Received(), received: d.Received()}
}

func queued(d *spool.Draft) Answer {
	return Answer{Code: 250, Enhanced: explain.EnhancedCode{2, 0, 0}, Text: "queued as " + d.ID().String()}
}

// notStored answers 4xx: the app still has the message (promise P4).
func (q *Queue) notStored(d *spool.Draft, err error) Answer {
	if !errors.Is(err, spool.ErrFull) {
		q.o.Log.SpoolTrouble("store message "+d.ID().String(), err)
		return Answer{Code: 451, Enhanced: explain.EnhancedCode{4, 3, 0}, Text: "the message could not be stored; please send it again later"}
	}
	q.NoRoom(err)
	f := explain.Explain(explain.Failure{Cause: explain.SpoolFull, Err: err})
	a := Answer{Code: 452, Enhanced: explain.EnhancedCode{4, 3, 1}, Text: f.Explanation().Title + " Please send it again later."}
	q.o.Log.Refused(mailOfDraft(d), f, a.Code, a.Enhanced)
	return a
}

// Draft begins a message that Submit will be given; see spool.Spool.Draft.
func (q *Queue) Draft(env envelope.Envelope, client string) (*spool.Draft, error) {
	d, err := q.o.Spool.Draft(env, client)
	q.NoRoom(err)
	return d, err
}

// Space tells whether a message of that size can be taken; see
// spool.Spool.Space.
func (q *Queue) Space(size int64) error {
	err := q.o.Spool.Space(size)
	q.NoRoom(err)
	return err
}

// NoRoom is told why a message could not be taken, also by who writes into a
// draft, so that the log tells of a full spool; other errors do not count.
func (q *Queue) NoRoom(err error) {
	if !errors.Is(err, spool.ErrFull) {
		return
	}
	q.mu.Lock()
	news := !q.full && time.Since(q.fullTold) > fullTellEvery
	q.full = true
	if news {
		q.fullTold = time.Now()
	}
	q.mu.Unlock()
	if news {
		q.o.Log.SpoolFull(explain.Explain(explain.Failure{Cause: explain.SpoolFull, Err: err}))
	}
}

// fullTellEvery keeps the log readable when room for small messages comes and
// goes.
const fullTellEvery = time.Minute

// room ends what NoRoom began: a message was stored.
func (q *Queue) room() {
	q.mu.Lock()
	over := q.full
	q.full = false
	q.mu.Unlock()
	if over {
		q.o.Log.SpoolFree()
	}
}

// A passage is a delivery that an app may be waiting for.
type passage struct {
	lane    *lane
	draft   *spool.Draft
	started time.Time
	over    chan struct{} // closed when outcome is there

	mu      sync.Mutex
	outcome outcome
	ended   bool
	stored  bool // the draft was committed meanwhile: the spool hears of the outcome
	dotted  bool // the final dot is on its way
	refused error
}

// pass delivers a draft in the background, in a slot that was entered.
func (q *Queue) pass(ctx context.Context, l *lane, d *spool.Draft) *passage {
	p := &passage{lane: l, draft: d, started: time.Now(), over: make(chan struct{})}
	m := d.Message()
	m.BeforeDot = func() error { return p.beforeDot(q) }
	q.working.Add(1)
	go func() {
		defer q.working.Done()
		receipt, err := l.Deliverer.Deliver(ctx, m)
		q.leave(l)
		p.end(q, judge(m.To, receipt, err))
	}()
	return p
}

// enter takes a slot of the lane for a message that just came in.
func (q *Queue) enter(l *lane) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.stopping && l.enter(time.Now())
}

// leave gives the slot back.
func (q *Queue) leave(l *lane) {
	q.mu.Lock()
	l.release()
	waiting := len(l.waiting) > 0
	q.mu.Unlock()
	if waiting {
		q.nudge()
	}
}

// beforeDot marks a message that is in the spool already, and stops one whose
// app has been told to send it again.
func (p *passage) beforeDot(q *Queue) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused != nil {
		return p.refused
	}
	p.dotted = true
	if p.stored {
		return q.o.Spool.Sending(p.draft.ID(), 1)
	}
	return nil
}

// end notes the outcome. If the app was answered meanwhile, what it means is
// carried out here; otherwise whoever waits does that.
func (p *passage) end(q *Queue, o outcome) {
	p.mu.Lock()
	p.outcome, p.ended = o, true
	stored := p.stored
	p.mu.Unlock()
	close(p.over)
	if stored {
		p.settle(q)
	}
}

// settle carries out the outcome of a message that is in the spool.
func (p *passage) settle(q *Queue) {
	defer p.draft.Close()
	_, st, err := q.o.Spool.Message(p.draft.ID())
	if err != nil {
		q.unreadable(p.lane, newItem(p.draft), err)
		return
	}
	q.settle(p.lane, newItem(p.draft), st, p.outcome, time.Since(p.started))
}

// through delivers while the app waits. What takes longer, or does not work
// at once, is spooled.
func (q *Queue) through(l *lane, d *spool.Draft) Answer {
	if !q.enter(l) {
		defer d.Close()
		return q.store(l, d)
	}
	p := q.pass(q.deliver, l, d)
	wait := time.NewTimer(q.o.Wait)
	defer wait.Stop()
	select {
	case <-p.over:
		return q.passed(p)
	case <-wait.C:
	}
	if err := d.Commit(); err != nil {
		// It cannot be kept, and it must not be sent twice: only the
		// delivery under way can answer now.
		<-p.over
		return q.passed(p)
	}
	q.o.Log.Accepted(mailOfDraft(d))
	p.mu.Lock()
	ended := p.ended
	p.stored = true
	if p.dotted && !ended {
		if err := q.o.Spool.Sending(d.ID(), 1); err != nil {
			q.o.Log.SpoolTrouble("mark message "+d.ID().String(), err)
		}
	}
	p.mu.Unlock()
	if ended {
		p.settle(q)
	}
	return queued(d)
}

// passed answers for a delivery that ended while the app waited.
func (q *Queue) passed(p *passage) Answer {
	o, d := p.outcome, p.draft
	mail := mailOfDraft(d)
	mail.Attempt = 1
	switch {
	case len(o.delivered) == len(d.Envelope().To):
		defer d.Close()
		q.settleRoute(p.lane, o, time.Now(), 0)
		q.o.Log.Accepted(mail)
		q.o.Log.Sent(mail, o.receipt, time.Since(p.started))
		return sent(o.receipt, d)
	case len(o.returned) == len(d.Envelope().To):
		defer d.Close()
		q.settleRoute(p.lane, o, time.Now(), 0)
		return q.returnToApp(mail, o)
	}
	if err := d.Commit(); err != nil {
		defer d.Close()
		return q.passedNotStored(p, err)
	}
	q.o.Log.Accepted(mail)
	p.settle(q)
	if len(o.delivered) == 0 {
		return queued(d)
	}
	a := sent(o.receipt, d)
	a.Text += fmt.Sprintf(", but not to %d of %d recipients; see the log", len(d.Envelope().To)-len(o.delivered), len(d.Envelope().To))
	return a
}

// passedNotStored answers when neither provider nor spool took the whole
// message. Once a recipient has it, a refusal would have it sent twice.
func (q *Queue) passedNotStored(p *passage, err error) Answer {
	o := p.outcome
	if len(o.delivered) == 0 {
		return q.notStored(p.draft, err)
	}
	q.notStored(p.draft, err)
	return q.partly(p)
}

func sent(r *explain.Receipt, d *spool.Draft) Answer {
	text := fmt.Sprintf("sent as %s (%s)", r.ID, d.ID())
	if r.ID == "" {
		text = fmt.Sprintf("sent (%s)", d.ID())
	}
	return Answer{Code: 250, Enhanced: explain.EnhancedCode{2, 0, 0}, Text: text}
}

// returnToApp refuses a message that the provider refused for good.
func (q *Queue) returnToApp(mail maillog.Mail, o outcome) Answer {
	q.logFailed(mail, o.returned)
	return refuse(o.failure(), 550, mail.ID)
}

func (q *Queue) logFailed(mail maillog.Mail, refusals []refusal) {
	for _, r := range refusals {
		q.o.Log.Failed(mail.Only([]envelope.Recipient{r.Recipient}), r.failure)
	}
}

// refuse puts a failure into an answer: explanation, our id, the provider's
// words. code is used where the provider's own does not fit the class.
func refuse(f *explain.Failure, code int, id string) Answer {
	if f.Reply != nil && f.Reply.Class() == code/100 && f.Reply.Code != 421 {
		code = f.Reply.Code
	}
	e := f.Explanation()
	lines := []string{e.Title, e.Fix}
	if f.Reply != nil {
		lines = append(lines, fmt.Sprintf("%s said: %s", f.Candidate.Host, f.Reply.Line()))
	}
	lines = append(lines, "Kurir id "+id)
	enhanced := f.Enhanced()
	enhanced[0] = code / 100
	return Answer{Code: code, Enhanced: enhanced, Text: strings.Join(lines, "\n")}
}

// direct delivers while the app waits, or refuses. When the wait is over, a
// delivery that has not come to its final dot is broken off; one that has is
// waited for, because nobody else could tell its outcome.
func (q *Queue) direct(l *lane, d *spool.Draft) Answer {
	defer d.Close()
	deadline := time.Now().Add(q.o.Wait)
	if f := q.enterBy(l, deadline); f != nil {
		mail := mailOfDraft(d)
		q.o.Log.Refused(mail, f, 451, f.Enhanced())
		return refuse(f, 451, mail.ID)
	}
	ctx, cancel := context.WithCancel(q.deliver)
	defer cancel()
	p := q.pass(ctx, l, d)
	wait := time.AfterFunc(time.Until(deadline), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.dotted {
			p.refused = errWaitOver
			cancel()
		}
	})
	defer wait.Stop()
	<-p.over
	return q.passedDirectly(p)
}

var errWaitOver = errors.New("the provider took longer than delivery.wait")

// enterBy waits for a slot; the failure says why there was none in time. A
// route in trouble is tried by one message when its probe is due, and the
// others hear at once what is wrong with it.
func (q *Queue) enterBy(l *lane, deadline time.Time) *explain.Failure {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		q.mu.Lock()
		entered := !q.stopping && (l.enter(time.Now()) || l.enterAsProbe(time.Now()))
		trouble, freed := l.trouble, l.freed
		q.mu.Unlock()
		switch {
		case entered:
			return nil
		case trouble != nil:
			return trouble
		}
		select {
		case <-freed:
		case <-timer.C:
			return explain.Explain(explain.Failure{Cause: explain.ServerBusy, Err: errWaitOver})
		}
	}
}

// passedDirectly answers for a delivery that is not backed by the spool.
func (q *Queue) passedDirectly(p *passage) Answer {
	o, d := p.outcome, p.draft
	mail := mailOfDraft(d)
	mail.Attempt = 1
	q.settleRoute(p.lane, o, time.Now(), 0)
	switch {
	case len(o.delivered) > 0:
		q.o.Log.Accepted(mail)
		q.o.Log.Sent(mail.Only(o.delivered), o.receipt, time.Since(p.started))
		return q.partly(p)
	case len(o.returned) == len(d.Envelope().To):
		return q.returnToApp(mail, o)
	}
	f := o.kept[0].failure
	if p.refused != nil {
		f = explain.Explain(explain.Failure{Cause: explain.ServerBusy, Err: p.refused})
	}
	a := refuse(f, 451, mail.ID)
	q.o.Log.Refused(mail, f, a.Code, a.Enhanced)
	return a
}

// partly answers for a message that some recipients have: 250, since the app
// would send it to them again, and the log tells of the others.
func (q *Queue) partly(p *passage) Answer {
	o := p.outcome
	q.logFailed(mailOfDraft(p.draft), append(o.returned, o.kept...))
	a := sent(o.receipt, p.draft)
	if missing := len(o.returned) + len(o.kept); missing > 0 {
		a.Text += fmt.Sprintf(", but not to %d of %d recipients; see the log", missing, missing+len(o.delivered))
	}
	return a
}

func mailOfDraft(d *spool.Draft) maillog.Mail {
	m := d.Message()
	return maillog.Mail{
		ID: m.ID, MessageID: d.MessageID, From: m.From, To: m.To, Size: m.Size, Client: d.Client(),
	}
}
