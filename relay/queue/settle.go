package queue

import (
	"errors"
	"slices"
	"time"

	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// deliverStored makes one attempt at a message of the spool.
func (q *Queue) deliverStored(l *lane, i *item) {
	m, st, err := q.o.Spool.Message(i.id)
	if err != nil {
		q.unreadable(l, i, err)
		return
	}
	m.BeforeDot = func() error { return q.o.Spool.Sending(i.id, st.Tried+1) }
	started := time.Now()
	receipt, err := l.Deliverer.Deliver(q.deliver, m)
	q.settle(l, i, st, judge(m.To, receipt, err), time.Since(started))
}

// unreadable puts aside a message that the spool cannot give, for a while:
// what is wrong may pass, and nothing is removed that was not delivered.
func (q *Queue) unreadable(l *lane, i *item, err error) {
	if errors.Is(err, spool.ErrNotFound) { // a person dropped it
		q.mu.Lock()
		l.probing = false
		q.mu.Unlock()
		return
	}
	q.o.Log.SpoolTrouble("read message "+i.id.String(), err)
	i.attempts++
	i.due = time.Now().Add(backoff(q.o.RetryMin, q.o.RetryMax, i.attempts))
	q.mu.Lock()
	l.probing = false
	l.push(i)
	q.mu.Unlock()
}

// settle carries out what an attempt at a stored message means: in the log,
// in the spool, and for the lane. What cannot be written now stays as it was
// and is tried again.
func (q *Queue) settle(l *lane, i *item, st *spool.Stored, o outcome, took time.Duration) {
	if q.deliver.Err() != nil && o.ours {
		return // we are being stopped, which is no failure; the spool has the message
	}
	now := time.Now()
	mail := mailOf(st)
	mail.Attempt = st.Tried + 1
	q.settleRoute(l, o, now, 1)
	if o.idle && !q.tooOld(st.Received, now) {
		q.push(l, i)
		q.o.Log.Deferred(mail, o.route, q.nextProbe(l))
		q.giveUpOn(l, o.route, now)
		return
	}
	if len(o.delivered) > 0 {
		q.o.Log.Sent(mail.Only(o.delivered), o.receipt, took)
	}
	err := q.settleFailed(st, mail, o, now)
	if err == nil {
		err = q.settleKept(l, i, st, mail, o, now)
	}
	if err == nil {
		return
	}
	q.o.Log.SpoolTrouble("keep account of message "+st.ID.String(), err)
	if len(o.kept) > 0 {
		i.due = now.Add(backoff(q.o.RetryMin, q.o.RetryMax, i.attempts))
		q.push(l, i)
	}
}

func (q *Queue) tooOld(received, now time.Time) bool {
	return now.Sub(received) >= q.o.GiveUpAfter
}

func (q *Queue) nextProbe(l *lane) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return l.probe
}

// settleRoute notes how the route did, and tells when that is news. The message
// at hand counts as waiting as well where it stays: it is 1 or 0.
func (q *Queue) settleRoute(l *lane, o outcome, now time.Time, stays int) {
	q.mu.Lock()
	defer q.nudge()
	switch {
	case o.ours:
		l.probing = false
		q.mu.Unlock()
	case o.route == nil:
		over, since := l.recover()
		waiting := len(l.waiting)
		q.mu.Unlock()
		if over != nil {
			q.o.Log.Recovered(l.Name, over, now.Sub(since), waiting)
		}
	default:
		first := l.fail(o.route, now, q.o.RetryMin, q.o.RetryMax)
		next, isHeld, waiting := l.probe, l.condition == held, len(l.waiting)+stays
		q.mu.Unlock()
		switch {
		case first && isHeld:
			q.o.Log.RouteHeld(l.Name, o.route, next, waiting)
		case first:
			q.o.Log.Unavailable(l.Name, o.route, next, waiting)
		}
	}
}

// giveUpOn moves the messages that became too old while the route was in
// trouble to the failed ones.
func (q *Queue) giveUpOn(l *lane, f *explain.Failure, now time.Time) {
	q.mu.Lock()
	old := l.overdue(now.Add(-q.o.GiveUpAfter))
	q.mu.Unlock()
	for _, i := range old {
		_, st, err := q.o.Spool.Message(i.id)
		if err != nil {
			q.unreadable(l, i, err)
			continue
		}
		err = q.settleFailed(st, mailOf(st), judge(st.Envelope.To, nil, f), now)
		if err == nil {
			err = q.o.Spool.Done(i.id)
		}
		if err != nil {
			q.unreadable(l, i, err)
		}
	}
}

// settleFailed moves what was refused for good, or is too old, to the failed
// messages.
func (q *Queue) settleFailed(st *spool.Stored, mail maillog.Mail, o outcome, now time.Time) error {
	failed := o.returned
	if q.tooOld(st.Received, now) {
		failed = append(failed, o.kept...)
	}
	if len(failed) == 0 {
		return nil
	}
	copied := *st
	copied.Envelope.To = recipients(failed)
	copied.Tried++
	copied.Attempts = remember(copied.Attempts, attempts(failed, now))
	if err := q.o.Spool.Fail(&copied); err != nil {
		return err
	}
	for _, r := range failed {
		q.o.Log.Failed(mail.Only([]envelope.Recipient{r.Recipient}), r.failure)
	}
	return nil
}

// settleKept puts what is to be tried again back into spool and queue, or
// removes the message when nothing is left of it.
func (q *Queue) settleKept(l *lane, i *item, st *spool.Stored, mail maillog.Mail, o outcome, now time.Time) error {
	if len(o.kept) == 0 || q.tooOld(st.Received, now) {
		return q.o.Spool.Done(st.ID)
	}
	st.Tried++
	st.Attempts = remember(st.Attempts, attempts(o.kept, now))
	st.Envelope.To = recipients(o.kept)
	i.attempts++
	st.Due = now.Add(q.pause(o, i.attempts))
	if err := q.o.Spool.Defer(st); err != nil {
		return err
	}
	i.due = st.Due
	for _, group := range byFailure(o.kept) {
		q.o.Log.Deferred(mail.Only(recipients(group)), group[0].failure, st.Due)
	}
	q.push(l, i)
	return nil
}

// pause is how long the kept recipients wait. Those that were only too many
// for one transaction come next, as others of the same message were taken. On
// a held route the probes set the pace, and this message is behind the others.
func (q *Queue) pause(o outcome, attempts int) time.Duration {
	tooMany := len(o.delivered) > 0 && errors.Is(o.kept[0].failure, explain.LimitRecipients)
	if tooMany || o.route != nil && o.route.Verdict() == explain.Hold {
		return 0
	}
	return backoff(q.o.RetryMin, q.o.RetryMax, attempts)
}

// byFailure groups recipients that failed by the same words, so that a
// failure of the whole message is one line in the log.
func byFailure(refusals []refusal) [][]refusal {
	var groups [][]refusal
	for _, r := range refusals {
		if n := len(groups); n > 0 && sameWords(groups[n-1][0].failure, r.failure) {
			groups[n-1] = append(groups[n-1], r)
			continue
		}
		groups = append(groups, []refusal{r})
	}
	return groups
}

func sameWords(a, b *explain.Failure) bool {
	if a.Cause != b.Cause || a.Stage != b.Stage || (a.Reply == nil) != (b.Reply == nil) {
		return false
	}
	return a.Reply == nil || a.Reply.String() == b.Reply.String()
}

// attempts are the records of an attempt, one for each way in which it failed.
func attempts(refusals []refusal, now time.Time) []spool.Attempt {
	var records []spool.Attempt
	for _, group := range byFailure(refusals) {
		f := group[0].failure
		e := f.Explanation()
		a := spool.Attempt{
			Time: now, Candidate: f.Candidate.String(), Stage: string(f.Stage),
			Cause: string(f.Cause), Explanation: e.Title + " " + e.Meaning, Fix: e.Fix,
		}
		if f.Reply != nil {
			a.Reply = f.Reply.String()
		}
		for _, r := range group {
			a.Recipients = append(a.Recipients, r.To)
		}
		records = append(records, a)
	}
	return records
}

// keptAttempts bounds the record of a message that is tried for days: the
// first attempts tell how it began, the last how it stands.
const keptAttempts = 50

func remember(before, now []spool.Attempt) []spool.Attempt {
	all := append(slices.Clone(before), now...)
	if surplus := len(all) - keptAttempts; surplus > 0 {
		all = slices.Delete(all, keptAttempts/2, keptAttempts/2+surplus)
	}
	return all
}

func mailOf(st *spool.Stored) maillog.Mail {
	return maillog.Mail{
		ID: st.ID.String(), MessageID: st.MessageID, From: st.Envelope.From,
		To: st.Envelope.To, Size: st.Size, Client: st.Client,
	}
}
