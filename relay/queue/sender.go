package queue

import (
	"strings"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// The mail of a sender domain that the smart host does not send for has a hold
// of its own; that of others is not concerned.

// senderDomain is the domain of a reverse-path as holds know it.
func senderDomain(from envelope.Path) string { return strings.ToLower(from.Domain()) }

// keptBack tells until when a message of a sender has to wait, zero if it need
// not. The one that need not is the probe.
func (l *lane) keptBack(from envelope.Path, now time.Time) time.Time {
	h := l.senders[senderDomain(from)]
	switch {
	case h == nil:
		return time.Time{}
	case h.probing:
		return now.Add(downMin)
	case now.Before(h.probe):
		return h.probe
	}
	h.probing = true
	return time.Time{}
}

// holdSender notes that the smart host does not send for a domain; first tells
// that it is news.
func (l *lane) holdSender(from envelope.Path, f *explain.Failure, now time.Time, retryMax time.Duration) (h *hold, first bool) {
	h = l.senders[senderDomain(from)]
	if first = h == nil; first {
		h = &hold{since: now}
		if l.senders == nil {
			l.senders = make(map[string]*hold)
		}
		l.senders[senderDomain(from)] = h
	}
	h.fail(f, now, min(heldMin, retryMax), min(heldMax, retryMax))
	return h, first
}

// releaseSender notes that the smart host sends for a domain; it returns what
// held its mail, nil if nothing did, and how many messages that were.
func (l *lane) releaseSender(from envelope.Path, now time.Time) (over *hold, waiting int) {
	over = l.senders[senderDomain(from)]
	if over == nil {
		return nil, 0
	}
	delete(l.senders, senderDomain(from))
	return over, l.waiting.hasten(now, func(i *item) bool { return senderDomain(i.from) == senderDomain(from) })
}

// waitingOf counts the messages of a sender's domain.
func (l *lane) waitingOf(from envelope.Path) (n int) {
	for i := range l.waiting.all() {
		if senderDomain(i.from) == senderDomain(from) {
			n++
		}
	}
	return n
}

// noteSender notes how the domain of a sender did, and tells when that is
// news. The message at hand counts as waiting where it stays.
func (q *Queue) noteSender(l *lane, from envelope.Path, o outcome, now time.Time, stays int) {
	tell := func() {}
	q.mu.Lock()
	switch {
	case l.retired:
	case o.sender != nil:
		if h, first := l.holdSender(from, o.sender, now, q.set().RetryMax); first {
			trouble, probe, waiting := o.sender, h.probe, stays+l.waitingOf(from)
			tell = func() { q.log.RouteHeld(l.Name, trouble, probe, waiting) }
		}
	case o.ours || o.route != nil:
		if h := l.senders[senderDomain(from)]; h != nil {
			h.probing = false
		}
	default:
		if over, waiting := l.releaseSender(from, now); over != nil {
			tell = func() { q.log.Recovered(l.Name, over.trouble, now.Sub(over.since), waiting) }
		}
	}
	q.mu.Unlock()
	tell()
}
