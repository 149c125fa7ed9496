package dsn

import (
	"sync"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

const (
	perWindow = 5
	window    = time.Hour
	maxKeys   = 10_000
)

// A Limit keeps one fault from filling a mailbox: it lets 5 notifications an
// hour go to the same addressee for the same cause. The zero value is ready;
// any number of goroutines may use it. It remembers at most 10,000 pairs of
// addressee and cause and forgets first the one that was not asked for longest.
type Limit struct {
	mu   sync.Mutex
	seen map[limitKey]*tally
}

type limitKey struct {
	to    envelope.Path
	cause explain.Cause
}

type tally struct {
	allowed [perWindow]time.Time // a ring; next is the oldest
	next    int
	asked   time.Time
	leftOut int
}

// Allow tells whether a notification may go to the addressee now and counts
// it. When it may, leftOut is how many were kept back since the last that went.
func (l *Limit) Allow(now time.Time, to envelope.Path, cause explain.Cause) (ok bool, leftOut int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := limitKey{to, cause}
	t := l.seen[key]
	if t == nil {
		l.makeRoom()
		t = &tally{}
		l.seen[key] = t
	}
	t.asked = now
	if oldest := t.allowed[t.next]; !oldest.IsZero() && now.Sub(oldest) < window {
		t.leftOut++
		return false, 0
	}
	t.allowed[t.next] = now
	t.next = (t.next + 1) % perWindow
	leftOut, t.leftOut = t.leftOut, 0
	return true, leftOut
}

// TakeBack undoes the last Allow, which gave leftOut: the notification could
// not be sent after all.
func (l *Limit) TakeBack(to envelope.Path, cause explain.Cause, leftOut int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.seen[limitKey{to, cause}]; t != nil {
		t.next = (t.next + perWindow - 1) % perWindow
		t.allowed[t.next] = time.Time{}
		t.leftOut += leftOut
	}
}

func (l *Limit) makeRoom() {
	if l.seen == nil {
		l.seen = make(map[limitKey]*tally)
	}
	if len(l.seen) < maxKeys {
		return
	}
	var (
		last  limitKey
		asked time.Time
	)
	for k, t := range l.seen {
		if asked.IsZero() || t.asked.Before(asked) {
			last, asked = k, t.asked
		}
	}
	delete(l.seen, last)
}
