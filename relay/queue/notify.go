package queue

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"kurir/relay/dsn"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// lateAfter is the age at which a sender who asked for it hears that a message
// is late.
const lateAfter = 4 * time.Hour

// A notice is a notification of a failed message that somebody has to get.
type notice struct {
	to    envelope.Path
	about []dsn.Recipient
}

// notifyStored notifies of recipients of a stored message that are late, or
// were handed on. No mail depends on it.
func (q *Queue) notifyStored(kind dsn.Kind, st *spool.Stored, about []dsn.Recipient) {
	to, about := q.chooseNotified(kind, st.Envelope.From, about)
	if len(about) == 0 {
		return
	}
	m, _, err := q.spool.Message(st.ID)
	if err == nil {
		err = q.post(kind, to, m, st.MessageID, st.Received, about)
	}
	if err != nil {
		q.tellTrouble("keep a notification", err)
	}
}

// notifyFailed notifies of what lies in failed/, which knows of it as long as
// the notification is not durable (promise P2).
func (q *Queue) notifyFailed(id spool.ID, n notice) {
	if len(n.about) == 0 {
		return
	}
	m, st, err := q.spool.FailedMessage(id)
	if err == nil {
		m.Open = orEmpty(m.Open)
		err = q.post(dsn.Failed, n.to, m, st.MessageID, st.Received, n.about)
	}
	if err == nil {
		err = q.spool.Notified(id)
	}
	if err == nil || errors.Is(err, spool.ErrNotFound) { // or a person took it
		q.mu.Lock()
		delete(q.owing, id)
		q.mu.Unlock()
		return
	}
	q.tellTrouble("keep a notification", err)
	q.mu.Lock()
	q.owing[id] = n
	q.mu.Unlock()
}

// orEmpty reads a message whose content cannot be opened as an empty one: the
// notification says enough without it.
func orEmpty(open func() (io.ReadCloser, error)) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		if r, err := open(); err == nil {
			return r, nil
		}
		return io.NopCloser(strings.NewReader("\r\n")), nil
	}
}

// notifyOwed tries again what could not be kept, and once what an earlier life
// has left.
func (q *Queue) notifyOwed() {
	if !q.looked {
		q.looked = true
		q.findOwing()
		q.expireFailed()
	}
	q.mu.Lock()
	owing := maps.Clone(q.owing)
	q.mu.Unlock()
	for id, n := range owing {
		q.notifyFailed(id, n)
	}
}

// findOwing looks in failed/ for what nobody was notified of.
func (q *Queue) findOwing() {
	for id, err := range q.spool.Failed() {
		if err != nil {
			q.tellTrouble("look for notifications", err)
			return
		}
		_, st, err := q.spool.FailedMessage(id)
		if err != nil || len(st.Unnotified) == 0 {
			continue
		}
		var about []dsn.Recipient
		for _, r := range st.Envelope.To {
			if slices.Contains(st.Unnotified, r.To) {
				about = append(about, dsn.Recipient{Recipient: r, Failure: lastFailure(st, r.To)})
			}
		}
		if to, told := q.chooseNotified(dsn.Failed, st.Envelope.From, about); len(told) > 0 {
			q.mu.Lock()
			q.owing[id] = notice{to, told}
			q.mu.Unlock()
		}
	}
}

// lastFailure is what the record tells of the last failure of a recipient.
func lastFailure(st *spool.Stored, to envelope.Path) *explain.Failure {
	f := explain.Failure{Cause: explain.Unknown, Recipient: to}
	for _, a := range st.Attempts {
		if len(a.Recipients) > 0 && !slices.Contains(a.Recipients, to) {
			continue
		}
		f.Cause, f.Stage = explain.Cause(a.Cause), explain.Stage(a.Stage)
		f.Candidate.Host, _, _ = strings.Cut(a.Candidate, ":")
		f.Reply, _ = explain.ParseReply(a.Reply)
	}
	return explain.Explain(f)
}

// failedOnes are recipients that a message failed for, or is late for.
func failedOnes(refusals []refusal) (about []dsn.Recipient) {
	for _, r := range refusals {
		about = append(about, dsn.Recipient{Recipient: r.Recipient, Failure: r.failure})
	}
	return about
}

// relayedOnes are recipients that the provider has taken a message for without
// taking on the duty to report (RFC 3461, section 5.2.2).
func relayedOnes(o outcome) (about []dsn.Recipient) {
	if o.receipt == nil || o.receipt.DSN {
		return nil
	}
	for _, r := range o.delivered {
		about = append(about, dsn.Recipient{Recipient: r, Receipt: o.receipt})
	}
	return about
}

// chooseNotified says who is told, and of whom. Mode direct keeps nothing, so
// that there the app's reply and the log are all.
func (q *Queue) chooseNotified(kind dsn.Kind, from envelope.Path, about []dsn.Recipient) (to envelope.Path, told []dsn.Recipient) {
	set := q.set()
	if set.Mode == Direct {
		return "", nil
	}
	for _, r := range about {
		if addressee := set.Notify.Notify(from, r.Recipient, kind); addressee != "" {
			to, told = addressee, append(told, r)
		}
	}
	return to, told
}

// post makes a notification durable and queues it, unless there were too many.
// It has the null reverse-path, so that nobody is ever notified of it
// (RFC 5321, section 4.5.5).
func (q *Queue) post(kind dsn.Kind, to envelope.Path, m *envelope.Message, messageID string, received time.Time, about []dsn.Recipient) (err error) {
	set, now := q.set(), time.Now()
	cause := explain.Cause("")
	if f := about[0].Failure; f != nil {
		cause = f.Cause
	}
	allowed, leftOut := q.limit.Allow(now, to, cause)
	if !allowed {
		return nil
	}
	defer func() {
		if err != nil {
			q.limit.TakeBack(to, cause, leftOut)
		}
	}()
	report := &dsn.Report{
		Kind: kind, Language: set.Language, From: set.NotifyFrom, To: to, Host: set.Hostname,
		OurID: m.ID, MessageID: messageID, Sender: m.From, EnvelopeID: m.Envelope.ID, Return: m.Return,
		Arrived: received, Size: m.Size, EightBit: m.EightBit,
		Now: now, Recipients: about, LeftOut: leftOut, Original: m.Open,
	}
	if kind == dsn.Delayed {
		report.RetryUntil = received.Add(set.GiveUpAfter)
	}
	d, err := q.spool.Draft(envelope.Envelope{
		To:   []envelope.Recipient{{To: to, Notify: "NEVER"}}, // RFC 3461, section 4.1
		UTF8: !to.IsASCII(),
	}, "Kurir, of "+m.ID)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := dsn.Write(d, report); err != nil {
		return err
	}
	if err := q.commit(d, mailOfDraft(d)); err != nil {
		return err
	}
	q.push(newItem(d))
	return nil
}
