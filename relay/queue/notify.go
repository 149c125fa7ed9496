package queue

import (
	"time"

	"kurir/relay/dsn"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// lateAfter is the age at which a sender who asked for it hears that a message
// is late.
const lateAfter = 4 * time.Hour

// notifyStored notifies of what became of recipients of a stored message. On
// nil the notification is durable (promise P2), or nobody is to be told.
func (q *Queue) notifyStored(kind dsn.Kind, st *spool.Stored, about []dsn.Recipient) error {
	to, about := q.chooseNotified(kind, st.Envelope, about)
	if len(about) == 0 {
		return nil
	}
	m, _, err := q.spool.Message(st.ID)
	if err != nil {
		return err
	}
	return q.post(kind, to, m, st.MessageID, st.Received, about)
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
func (q *Queue) chooseNotified(kind dsn.Kind, env envelope.Envelope, about []dsn.Recipient) (envelope.Path, []dsn.Recipient) {
	set := q.set()
	if set.Mode == Direct {
		return "", nil
	}
	env.To = nil
	for _, r := range about {
		env.To = append(env.To, r.Recipient)
	}
	to, chosen := set.Notify.Notify(&env, kind)
	wanted := make(map[envelope.Path]bool, len(chosen))
	for _, r := range chosen {
		wanted[r.To] = true
	}
	var told []dsn.Recipient
	for _, r := range about {
		if wanted[r.To] {
			told = append(told, r)
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
		Kind: kind, Language: set.Language, To: to, Host: set.Hostname,
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
	if err := q.keep(d, mailOfDraft(d)); err != nil {
		return err
	}
	q.push(newItem(d))
	return nil
}
