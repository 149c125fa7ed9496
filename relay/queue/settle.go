package queue

import (
	"errors"
	"slices"
	"strings"
	"time"

	"kurir/relay/dsn"
	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// deliverStored makes one attempt at a message of the spool, unless the spool
// could not be told yet what the last one meant.
func (q *Queue) deliverStored(l *lane, i *item) {
	if i.owed != nil {
		q.unprobe(l, i)
		q.keepAccount(l, i, i.owed)
		return
	}
	m, st, err := q.spool.Message(i.id)
	if err != nil {
		q.unreadable(l, i, err)
		return
	}
	m.BeforeDot = func() error { return q.markSending(i.id, st.Tried+1) }
	started := time.Now()
	receipt, err := l.Deliverer.Deliver(q.deliver, m)
	q.settle(l, i, st, judge(m.To, receipt, err), time.Since(started))
}

// markSending has the spool note that a message is about to be accepted. A
// disk that cannot be written does not keep mail from going out; a message
// that a person dropped does.
func (q *Queue) markSending(id spool.ID, attempt int) error {
	err := q.spool.Sending(id, attempt)
	if errors.Is(err, spool.ErrNotFound) {
		return err
	}
	if err != nil {
		q.tellTrouble("mark a message that is being sent", err)
	}
	return nil
}

// unprobe lets another message try a route in trouble.
func (q *Queue) unprobe(l *lane, i *item) {
	q.mu.Lock()
	l.probing = false
	if h := l.senders[senderDomain(i.from)]; h != nil {
		h.probing = false
	}
	q.mu.Unlock()
}

// unreadable puts aside a message that the spool cannot give, for a while:
// what is wrong may pass, and nothing is removed that was not delivered.
func (q *Queue) unreadable(l *lane, i *item, err error) {
	q.unprobe(l, i)
	if errors.Is(err, spool.ErrNotFound) {
		return // a person dropped it
	}
	q.log.SpoolTrouble("read message "+i.id.String(), err)
	i.attempts++
	i.due = time.Now().Add(backoff(q.set().RetryMin, q.set().RetryMax, i.attempts))
	q.push(i)
}

// An account is what an attempt meant for a message of the spool.
type account struct {
	stored  *spool.Stored
	mail    maillog.Mail
	outcome outcome
	told    bool   // the log has heard of what is kept
	notice  notice // of those who lie in failed/ and whose sender was not told
}

// settle carries out what an attempt at a stored message means: for the lane,
// in the log, and in the spool.
func (q *Queue) settle(l *lane, i *item, st *spool.Stored, o outcome, took time.Duration) {
	if q.deliver.Err() != nil && o.ours {
		return // we are being stopped, which is no failure; the spool has the message
	}
	now := time.Now()
	mail := mailOf(st)
	mail.Attempt = st.Tried + 1
	q.noteRoute(l, o, now, 1)
	q.noteSender(l, i.from, o, now, 1)
	if o.idle && !q.tooOld(st.Since(), now) {
		q.push(i)
		q.log.Deferred(mail, o.route, q.nextProbe(l, i.from))
	} else {
		if len(o.delivered) > 0 {
			q.log.Sent(mail.Only(o.delivered), o.receipt, took)
			q.notifyStored(dsn.Relayed, st, relayedOnes(o))
		}
		q.keepAccount(l, i, &account{stored: st, mail: mail, outcome: o})
	}
	switch {
	case o.route != nil:
		q.giveUpOn(l, o.route, now, func(*item) bool { return true })
	case o.sender != nil:
		q.giveUpOn(l, o.sender, now, func(other *item) bool { return senderDomain(other.from) == senderDomain(i.from) })
	}
}

// tooOld tells whether a message is given up at its next failure: it is as old
// as that, and nothing has come of a while of trying. What waited while the
// machine was off, or its clock wrong, has hardly been tried.
func (q *Queue) tooOld(received, now time.Time) bool {
	limit, running := q.set().GiveUpAfter, now.Sub(q.began)
	if received.After(now) { // by a clock that was set back since
		return running >= limit
	}
	return running >= min(limit, tryingTime) && now.Sub(received) >= limit
}

// nextProbe is when a held sender, or else the route, is tried again.
func (q *Queue) nextProbe(l *lane, from envelope.Path) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if h := l.senders[senderDomain(from)]; h != nil {
		return h.probe
	}
	return l.probe
}

// noteRoute notes how the route did, and tells when that is news. The message
// at hand counts as waiting as well where it stays: it is 1 or 0.
func (q *Queue) noteRoute(l *lane, o outcome, now time.Time, stays int) {
	defer q.nudge()
	trouble, tell := o.route, func() {}
	q.mu.Lock()
	switch {
	case l.retired:
	case o.ours:
		l.probing = false
	case trouble == nil:
		l.served(now)
		if over, since := l.recover(); over != nil {
			waiting := l.waiting.len()
			tell = func() { q.log.Recovered(l.Name, over, now.Sub(since), waiting) }
		}
	case l.refused(trouble, now):
		l.probing = false
		borne := l.borne
		tell = func() { q.log.Limited(l.Name, trouble, borne) }
	case l.fail(trouble, now, q.set().RetryMin, q.set().RetryMax):
		log, next, waiting := q.log.Unavailable, l.probe, l.waiting.len()+stays
		if l.condition == held {
			log = q.log.RouteHeld
		}
		tell = func() { log(l.Name, trouble, next, waiting) }
	}
	q.mu.Unlock()
	tell()
}

// giveUpOn moves the messages that became too old while the trouble that
// concerns them lasted to the failed ones.
func (q *Queue) giveUpOn(l *lane, f *explain.Failure, now time.Time, concerns func(*item) bool) {
	q.mu.Lock()
	old := l.waiting.remove(func(i *item) bool { return i.owed == nil && q.tooOld(i.received, now) && concerns(i) })
	q.mu.Unlock()
	for _, i := range old {
		_, st, err := q.spool.Message(i.id)
		if err != nil {
			q.unreadable(l, i, err)
			continue
		}
		q.keepAccount(l, i, &account{stored: st, mail: mailOf(st), outcome: judge(st.Envelope.To, nil, f)})
	}
}

// keepAccount tells the spool what an attempt meant. What it cannot be told
// now is owed: nothing is sent again before it was.
func (q *Queue) keepAccount(l *lane, i *item, a *account) {
	err := q.moveFailed(a)
	if err == nil {
		err = q.moveKept(l, i, a)
	}
	if err == nil || errors.Is(err, spool.ErrNotFound) { // or a person dropped it
		q.notifyFailed(a.stored.ID, a.notice)
		return
	}
	q.tellTrouble("keep account of a message", err)
	i.owed = a
	i.due = time.Now().Add(backoff(q.set().RetryMin, q.set().RetryMax, 1))
	q.push(i)
}

// moveFailed moves what was refused for good, or is too old, to the failed
// messages, with who has to be told of it.
func (q *Queue) moveFailed(a *account) error {
	now := time.Now()
	failed := slices.Clone(a.outcome.returned)
	givenUp := len(a.outcome.kept) > 0 && q.tooOld(a.stored.Since(), now)
	if givenUp {
		failed = append(failed, a.outcome.kept...)
	}
	if len(failed) == 0 {
		return nil
	}
	st := *a.stored
	st.Envelope.To = recipients(failed)
	st.Tried++
	st.Attempts = spool.Remember(st.Attempts, attempts(failed, now, q.set().Language))
	to, told := q.chooseNotified(dsn.Failed, st.Envelope.From, failedOnes(failed))
	for _, r := range told {
		st.Unnotified = append(st.Unnotified, r.To)
	}
	if err := q.spool.Fail(&st); err != nil {
		return err
	}
	for _, r := range a.outcome.returned {
		q.log.Failed(a.mail.Only(recipients([]refusal{r})), r.failure)
	}
	a.outcome.returned = nil
	if givenUp {
		for _, group := range byFailure(a.outcome.kept) {
			q.log.GivenUp(a.mail.Only(recipients(group)), group[0].failure, now.Sub(st.Since()))
		}
		a.outcome.kept = nil
	}
	if len(told) > 0 {
		a.notice = notice{to, append(a.notice.about, told...)}
	}
	return nil
}

// moveKept puts what is to be tried again back into spool and queue, or
// removes the message when nothing is left of it.
func (q *Queue) moveKept(l *lane, i *item, a *account) error {
	o := a.outcome
	if len(o.kept) == 0 {
		if err := q.spool.Done(a.stored.ID); err != nil && !errors.Is(err, spool.ErrNotFound) {
			q.tellTrouble("mark a message as done", err) // the spool makes up for it
		}
		return nil
	}
	now := time.Now()
	st := *a.stored
	st.Tried++
	st.Attempts = spool.Remember(st.Attempts, attempts(o.kept, now, q.set().Language))
	st.Envelope.To = recipients(o.kept)
	st.Due = now.Add(q.pause(l, o, i.attempts+1))
	if !a.told {
		q.tellKept(l, a, st.Due)
	}
	late := !st.Late && now.Sub(st.Since()) >= lateAfter
	st.Late = st.Late || late
	if err := q.spool.Defer(&st); err != nil {
		return err
	}
	if late {
		q.notifyStored(dsn.Delayed, &st, failedOnes(o.kept))
	}
	*i = item{id: i.id, from: i.from, size: i.size, received: i.received, due: st.Due, attempts: i.attempts + 1}
	q.push(i)
	return nil
}

// tellKept logs what is tried again, and when. It comes before the spool is
// told: a relay that dies in between would otherwise have concluded an attempt
// of unknown outcome without a word about it.
func (q *Queue) tellKept(l *lane, a *account, next time.Time) {
	if probe := q.nextProbe(l, a.mail.From); (a.outcome.route != nil || a.outcome.sender != nil) && next.Before(probe) {
		next = probe
	}
	for _, group := range byFailure(a.outcome.kept) {
		q.log.Deferred(a.mail.Only(recipients(group)), group[0].failure, next)
	}
	a.told = true
}

// pause is how long the kept recipients wait. Those that were only too many
// for one transaction come next, as others of the same message were taken. On
// a held route, and for a held sender, the probes set the pace, and this message
// is behind the others. What failed under a configuration that was replaced
// meanwhile says nothing of the new one.
func (q *Queue) pause(l *lane, o outcome, attempts int) time.Duration {
	q.mu.Lock()
	retired := l.retired
	q.mu.Unlock()
	tooMany := len(o.delivered) > 0 && errors.Is(o.kept[0].failure, explain.LimitRecipients)
	if retired || tooMany || o.sender != nil || o.route != nil && o.route.Verdict() == explain.Hold {
		return 0
	}
	return backoff(q.set().RetryMin, q.set().RetryMax, attempts)
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

// keptReply is how much of a reply is recorded, in octets: some servers tell
// stories, and each recipient may have one.
const keptReply = 4096

func clip(reply string) string {
	return strings.ToValidUTF8(reply[:min(len(reply), keptReply)], "")
}

// attempts are the records of an attempt, one for each way in which it failed.
func attempts(refusals []refusal, now time.Time, language explain.Language) []spool.Attempt {
	var records []spool.Attempt
	for _, group := range byFailure(refusals) {
		f := group[0].failure
		e := f.ExplanationIn(language)
		a := spool.Attempt{
			Time: now, Candidate: f.Candidate.String(), Stage: string(f.Stage),
			Cause: string(f.Cause), Explanation: e.Text(), Fix: e.Fix,
		}
		if f.Reply != nil {
			a.Code, a.Enhanced, a.Reply = f.Reply.Code, f.Reply.Enhanced.String(), clip(f.Reply.String())
		}
		for _, r := range group {
			a.Recipients = append(a.Recipients, r.To)
		}
		records = append(records, a)
	}
	return records
}

func mailOf(st *spool.Stored) maillog.Mail {
	return maillog.Mail{
		ID: st.ID.String(), MessageID: st.MessageID, From: st.Envelope.From,
		To: st.Envelope.To, Size: st.Size, Client: st.Client,
	}
}
