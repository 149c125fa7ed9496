package queue

import (
	"time"

	"kurir/upstream/explain"
)

// A condition is how a route is doing.
type condition int

const (
	open condition = iota // mail flows
	down                  // the network or the server is in trouble; it will pass
	held                  // a person must act: login, certificate, quota, account
)

// Times between two probes of a route in trouble.
const (
	downMin, downMax = 5 * time.Second, 5 * time.Minute
	heldMin, heldMax = time.Minute, 15 * time.Minute
)

// A lane is one route with the messages that wait for it. Its fields belong
// to Queue.mu.
type lane struct {
	Route
	free    int
	earlier int           // deliveries under way on lanes that this one has replaced
	freed   chan struct{} // closed when a slot becomes free
	waiting backlog
	throttle

	condition condition
	hold
	senders map[string]*hold // by domain
	retired bool             // another configuration has replaced it
	heir    *lane            // which serves the same provider then; nil if none does
}

// A hold is trouble that keeps mail back. It is probed by one message at a time.
type hold struct {
	trouble  *explain.Failure // nil if there is none
	since    time.Time
	failures int       // in a row
	probe    time.Time // when it is tried again
	probing  bool
}

// fail notes that the trouble lasts. Several deliveries of one moment fail alike;
// they are one failure.
func (h *hold) fail(f *explain.Failure, now time.Time, low, high time.Duration) {
	if h.failures == 0 || !now.Before(h.probe) {
		h.failures++
		h.probe = now.Add(backoff(low, high, h.failures))
	}
	h.trouble, h.probing = f, false
}

func newLane(r Route) *lane {
	return &lane{Route: r, free: r.Slots, freed: make(chan struct{}), throttle: throttle{borne: r.Slots, most: r.Slots, bucket: bucket{size: r.Messages, per: r.Per, left: float64(r.Messages)}}}
}

// occupy takes a slot for a delivery that begins.
func (l *lane) occupy(now time.Time) {
	l.free--
	l.begins(now)
}

// hasSlot tells whether one more delivery is borne. The first one is, whatever
// is under way on earlier lanes: they may hang, and be the reason for this one.
func (l *lane) hasSlot() bool {
	busy := l.Slots - l.free
	return l.free > 0 && (busy == 0 || busy+l.earlier < l.borne)
}

// release gives a slot back and tells all that wait for one, of the lanes that
// came after this one too.
func (l *lane) release() {
	l.free++
	l.tellFreed()
	for heir := l.heir; heir != nil; heir = heir.heir {
		heir.earlier--
		heir.tellFreed()
	}
}

func (l *lane) tellFreed() {
	close(l.freed)
	l.freed = make(chan struct{})
}

// inherit counts what is under way on an earlier lane of the same provider,
// which bears no more connections for being configured anew.
func (l *lane) inherit(before *lane) {
	before.heir = l
	l.earlier = before.earlier + before.Slots - before.free
}

// take removes the message to deliver now and occupies a slot for it: one that
// is due, and on a route in trouble no more than one at a time, as a probe.
func (l *lane) take(now time.Time) *item {
	for {
		if at, ok := l.nextTime(); !ok || now.Before(at) {
			return nil
		}
		i := l.waiting.take(now)
		if i == nil {
			return nil
		}
		if until := l.keptBack(i.from, now); i.owed == nil && !until.IsZero() {
			i.due = until
			l.waiting.push(i)
			continue
		}
		l.probing = l.condition != open
		l.occupy(now)
		return i
	}
}

// nextTime is when take will have something; never, while a probe is out.
func (l *lane) nextTime() (time.Time, bool) {
	due, ok := l.waiting.next()
	if !ok || !l.hasSlot() || l.probing {
		return time.Time{}, false
	}
	if l.condition != open && due.Before(l.probe) {
		due = l.probe
	}
	if due.Before(l.next) {
		due = l.next
	}
	return due, true
}

// enter takes a slot for a message that is not in the queue: only on an open
// lane that has one, and not past messages that are due.
func (l *lane) enter(now time.Time) bool {
	if l.condition != open || !l.hasSlot() || now.Before(l.next) || l.waiting.waits(now) {
		return false
	}
	l.occupy(now)
	return true
}

// enterAsProbe takes a slot to try a route in trouble, when that is due.
func (l *lane) enterAsProbe(now time.Time) bool {
	if l.condition == open || !l.hasSlot() || l.probing || now.Before(l.probe) {
		return false
	}
	l.occupy(now)
	l.probing = true
	return true
}

// fail notes trouble of the route; first tells that it is news.
func (l *lane) fail(f *explain.Failure, now time.Time, retryMin, retryMax time.Duration) (first bool) {
	c, low, high := down, min(downMin, retryMin), min(downMax, retryMax)
	if f.Verdict() == explain.Hold {
		c, low, high = held, min(heldMin, retryMax), min(heldMax, retryMax)
	}
	first = l.condition != c || l.trouble.Cause != f.Cause
	if l.condition == open {
		l.since = now
	}
	if l.condition != c {
		l.condition, l.failures = c, 0
	}
	l.hold.fail(f, now, low, high)
	return first
}

// recover notes that the route works; it returns the trouble that is over.
func (l *lane) recover() (over *explain.Failure, since time.Time) {
	over, since = l.trouble, l.since
	l.condition, l.hold = open, hold{}
	return over, since
}
