package queue

import (
	"context"
	"sync"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A passage is a delivery that an app may be waiting for.
type passage struct {
	q       *Queue
	lane    *lane
	draft   *spool.Draft
	started time.Time
	over    chan struct{}      // closed when outcome is there
	cancel  context.CancelFunc // ends the delivery wherever it is
	keeping sync.Mutex         // held while the draft is stored; before mu

	mu        sync.Mutex
	outcome   outcome
	ended     bool
	stored    bool  // the draft was committed meanwhile: the spool hears of the outcome
	dotted    bool  // the final dot is on its way: only the provider knows now
	brokenOff error // why it was ended before that
}

// pass delivers a draft in the background, in a slot that was entered.
func (q *Queue) pass(l *lane, d *spool.Draft) *passage {
	ctx, cancel := context.WithCancel(q.deliver)
	p := &passage{q: q, lane: l, draft: d, started: time.Now(), over: make(chan struct{}), cancel: cancel}
	m := d.Message()
	m.BeforeDot = p.beforeDot
	m.Revocable = q.set().Mode == Direct
	go func() {
		defer q.working.Done()
		defer cancel()
		receipt, err := l.Deliverer.Deliver(ctx, m)
		q.leave(l)
		p.end(judge(m.To, receipt, err))
	}()
	return p
}

// enter takes a slot for a message that just came in; nil if there is none for
// it now. Who got one must pass, or the queue cannot be stopped.
func (q *Queue) enter(from envelope.Path) *lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.laneOfLocked(from)
	if l.senders[senderDomain(from)] != nil || !q.enterLocked(l, l.enter) {
		return nil
	}
	return l
}

func (q *Queue) enterLocked(l *lane, enter func(time.Time) bool) bool {
	if q.stopping || !enter(time.Now()) {
		return false
	}
	q.working.Add(1)
	return true
}

// leave gives the slot back.
func (q *Queue) leave(l *lane) {
	q.mu.Lock()
	l.release()
	q.nudgeFor(l)
	q.mu.Unlock()
}

// beforeDot marks a message that is in the spool already, waits for one that
// is just being stored, so that it can be marked, and stops one that was broken
// off.
func (p *passage) beforeDot() error {
	p.keeping.Lock()
	defer p.keeping.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.brokenOff != nil {
		return p.brokenOff
	}
	p.dotted = true
	if p.stored {
		return p.q.markSending(p.draft.ID(), 1)
	}
	return nil
}

// breakOff ends the delivery if its final dot was not sent yet.
func (p *passage) breakOff(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dotted && !p.ended && p.brokenOff == nil {
		p.brokenOff = why
		p.cancel()
	}
}

// end notes the outcome. If the app was answered meanwhile, what it means is
// carried out here; otherwise whoever waits does that.
func (p *passage) end(o outcome) {
	p.mu.Lock()
	if o.ours && p.brokenOff != nil {
		o.kept = refusedAlike(o.kept, explain.Explain(explain.Failure{Cause: explain.ServerBusy, Err: p.brokenOff}))
	}
	p.outcome, p.ended = o, true
	stored := p.stored
	p.mu.Unlock()
	close(p.over)
	if stored {
		p.conclude()
	}
}

// keep stores the message, of which the delivery may be under way or over, for
// those who have not got it. It is stored with a mark if the provider may have
// it, so that a death in the next moment does not send it again without a word.
func (p *passage) keep() error {
	p.keeping.Lock()
	defer p.keeping.Unlock()
	p.mu.Lock()
	if p.dotted && (!p.ended || p.outcome.uncertain()) {
		p.draft.Sending = 1
	}
	mail, all := mailOfDraft(p.draft), p.draft.Envelope().To
	if p.ended && len(p.outcome.delivered) > 0 {
		p.draft.Envelope().To = append(recipients(p.outcome.returned), recipients(p.outcome.kept)...)
	}
	p.mu.Unlock()
	if err := p.q.commit(p.draft, mail); err != nil {
		p.draft.Envelope().To = all
		return err
	}
	p.mu.Lock()
	p.stored = true
	ended := p.ended
	if !ended {
		p.q.list(p.draft.ID())
	}
	p.mu.Unlock()
	if ended {
		p.conclude()
	}
	return nil
}

// conclude carries out the outcome of a message that is in the spool.
func (p *passage) conclude() {
	defer p.draft.Close()
	defer p.q.unlist(p.draft.ID(), p.q.list(p.draft.ID()))
	p.q.settle(p.lane, newItem(p.draft), p.draft.Stored(), p.outcome, time.Since(p.started))
}
