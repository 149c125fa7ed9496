package queue

import (
	"container/heap"
	"slices"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// An item is a waiting message, as small as it can be: there may be many.
type item struct {
	id       spool.ID
	due      time.Time
	received time.Time
	attempts int
	owed     *account // what the last attempt meant, while the spool cannot be told
}

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
	freed   chan struct{} // closed when a slot becomes free
	waiting items
	throttle

	condition condition
	trouble   *explain.Failure // why it is not open
	since     time.Time
	failures  int       // in a row
	probe     time.Time // when it is tried again
	probing   bool
}

func newLane(r Route) *lane {
	return &lane{Route: r, free: r.Slots, freed: make(chan struct{}), throttle: throttle{borne: r.Slots, most: r.Slots}}
}

// occupy takes a slot for a delivery that begins.
func (l *lane) occupy(now time.Time) {
	l.free--
	l.begins(now)
}

// hasSlot tells whether one more delivery is borne.
func (l *lane) hasSlot() bool { return l.free > 0 && l.Slots-l.free < l.borne }

// release gives a slot back and tells all that wait for one.
func (l *lane) release() {
	l.free++
	close(l.freed)
	l.freed = make(chan struct{})
}

func (l *lane) push(i *item) { heap.Push(&l.waiting, i) }

// take removes the message to deliver now and occupies a slot for it: one that
// is due, and on a route in trouble no more than one at a time, as a probe.
func (l *lane) take(now time.Time) *item {
	if at, ok := l.nextTime(); !ok || now.Before(at) {
		return nil
	}
	l.probing = l.condition != open
	l.occupy(now)
	return heap.Pop(&l.waiting).(*item)
}

// nextTime is when take will have something; never, while a probe is out.
func (l *lane) nextTime() (time.Time, bool) {
	if len(l.waiting) == 0 || !l.hasSlot() || l.probing {
		return time.Time{}, false
	}
	due := l.waiting[0].due
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
	backlog := len(l.waiting) > 0 && !now.Before(l.waiting[0].due)
	if l.condition != open || !l.hasSlot() || backlog || now.Before(l.next) {
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

// removeOlder removes the messages that were received before a time.
func (l *lane) removeOlder(before time.Time) (old []*item) {
	l.waiting = slices.DeleteFunc(l.waiting, func(i *item) bool {
		if i.owed != nil || !i.received.Before(before) {
			return false
		}
		old = append(old, i)
		return true
	})
	heap.Init(&l.waiting)
	return old
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
	// Several deliveries of one moment fail alike; they are one failure.
	if l.condition != c || !now.Before(l.probe) {
		if l.condition != c {
			l.failures = 0
		}
		l.failures++
		l.probe = now.Add(backoff(low, high, l.failures))
	}
	l.condition, l.trouble, l.probing = c, f, false
	return first
}

// recover notes that the route works; it returns the trouble that is over.
func (l *lane) recover() (over *explain.Failure, since time.Time) {
	over, since = l.trouble, l.since
	l.condition, l.trouble, l.failures, l.probing = open, nil, 0, false
	return over, since
}

// items is a heap, the one that is due first on top.
type items []*item

func (h items) Len() int           { return len(h) }
func (h items) Less(a, b int) bool { return h[a].due.Before(h[b].due) }
func (h items) Swap(a, b int)      { h[a], h[b] = h[b], h[a] }
func (h *items) Push(x any)        { *h = append(*h, x.(*item)) }
func (h *items) Pop() any {
	last := len(*h) - 1
	i := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return i
}
