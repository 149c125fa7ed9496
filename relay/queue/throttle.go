package queue

import (
	"time"

	"kurir/upstream/explain"
)

// A throttle keeps a lane within what it is configured for, and what the
// provider bears. It learns from refusals: too many connections take one away,
// too high a rate doubles the pause between two deliveries. Both come back bit
// by bit as mail flows.
type throttle struct {
	borne, most int           // deliveries at once: as the provider bears, as configured
	pause       time.Duration // between the beginnings of two deliveries
	next        time.Time     // when the next may begin
	changed     time.Time
	bucket
}

// A bucket holds what may still be begun: it fills steadily up to its size.
type bucket struct {
	size   int // 0 = no limit
	per    time.Duration
	left   float64
	filled time.Time
}

// take takes one out, and tells when there will be another.
func (b *bucket) take(now time.Time) (next time.Time) {
	if b.size == 0 {
		return time.Time{}
	}
	each := b.per / time.Duration(b.size)
	if !b.filled.IsZero() {
		b.left = min(float64(b.size), b.left+float64(now.Sub(b.filled))/float64(each))
	}
	b.filled = now
	if b.left--; b.left >= 1 {
		return time.Time{}
	}
	return now.Add(time.Duration((1 - b.left) * float64(each)))
}

// Bounds of the pause, and how long the throttle stays as it is before it is
// eased by one step.
const (
	pauseMin, pauseMax = time.Second, time.Minute
	easeAfter          = 10 * time.Minute
)

// refused learns from a failure; it tells whether the lane can go on with what
// is left, without being in trouble.
func (t *throttle) refused(f *explain.Failure, now time.Time) (goesOn bool) {
	switch f.Cause {
	case explain.LimitConnections:
		goesOn = t.borne > 1
		t.borne = max(1, t.borne-1)
		t.changed = now
	case explain.LimitRate:
		t.pause = min(max(2*t.pause, pauseMin), pauseMax)
		t.changed = now
	}
	return goesOn
}

// served eases the throttle by one step when it has held long enough.
func (t *throttle) served(now time.Time) {
	if t.borne == t.most && t.pause == 0 || now.Sub(t.changed) < easeAfter {
		return
	}
	t.borne = min(t.borne+1, t.most)
	if t.pause /= 2; t.pause < pauseMin {
		t.pause = 0
	}
	t.changed = now
}

// remember takes over what an earlier throttle of the same provider has learned,
// and what it has let begin.
func (t *throttle) remember(before *throttle) {
	t.borne = min(before.borne+max(t.most-before.most, 0), t.most)
	t.pause, t.changed = before.pause, before.changed
	if t.size == before.size && t.per == before.per { // another limit begins anew
		t.next, t.bucket = before.next, before.bucket
	}
}

// begins notes that a delivery begins.
func (t *throttle) begins(now time.Time) {
	if t.pause > 0 {
		t.next = now.Add(t.pause)
	}
	if next := t.bucket.take(now); next.After(t.next) {
		t.next = next
	}
}
