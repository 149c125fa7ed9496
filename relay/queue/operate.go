package queue

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// ErrUnderway says that a message is being delivered just now, so that nothing
// else can be done with it.
var ErrUnderway = errors.New("it is being delivered, or what came of that is being kept; try again in a moment")

// A RouteState is how a route is doing.
type RouteState struct {
	Name      string
	Condition string           // "open", "down" or "held"
	Trouble   *explain.Failure // why it is not open
	Since     time.Time        // since when, if it is not
	Probe     time.Time        // when it is tried again, if it is not
	Waiting   int              // messages, without those under way
	Oldest    time.Time        // when the oldest of them was received; zero if there is none
}

// String is the word for it that people and programs read.
func (c condition) String() string { return [...]string{"open", "down", "held"}[c] }

// Routes tells how the routes are doing, in their order.
func (q *Queue) Routes() []RouteState {
	q.mu.Lock()
	defer q.mu.Unlock()
	var states []RouteState
	for _, l := range q.lanes {
		s := RouteState{Name: l.Name, Condition: l.condition.String(), Waiting: l.waiting.len()}
		if l.condition != open {
			s.Trouble, s.Since, s.Probe = l.trouble, l.since, l.probe
		}
		for i := range l.waiting.all() {
			if s.Oldest.IsZero() || i.received.Before(s.Oldest) {
				s.Oldest = i.received
			}
		}
		states = append(states, s)
	}
	return states
}

// A Waiting is a message that is not delivered to everyone yet.
type Waiting struct {
	ID            spool.ID
	Route         string
	Received, Due time.Time
	Attempts      int
	Underway      bool // it is being delivered now; then only ID is known
}

// Waiting lists what waits and what is under way, oldest first.
func (q *Queue) Waiting() []Waiting {
	q.mu.Lock()
	var all []Waiting
	for _, l := range q.lanes {
		for i := range l.waiting.all() {
			all = append(all, Waiting{
				ID: i.id, Route: l.Name, Received: i.received, Due: i.due, Attempts: i.attempts,
			})
		}
	}
	for id := range q.underway {
		all = append(all, Waiting{ID: id, Underway: true})
	}
	q.mu.Unlock()
	slices.SortFunc(all, func(a, b Waiting) int { return cmp.Compare(a.ID, b.ID) }) // IDs grow with time
	return all
}

// Flush makes everything due now, and routes in trouble count as well until
// they have failed again. It tells how many messages that were.
func (q *Queue) Flush() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.nudge()
	n, now := 0, time.Now()
	for _, l := range q.lanes {
		l.probe = now
		for _, h := range l.senders {
			h.probe = now
		}
		n += l.waiting.hasten(now, func(*item) bool { return true })
	}
	return n
}

// Retry makes messages due now, and their routes are tried even if they are in
// trouble; those that have failed wait again. What became of each is told: nil,
// spool.ErrNotFound, ErrUnderway or trouble with the disk.
func (q *Queue) Retry(ids []spool.ID, told func(spool.ID, error)) { q.each(ids, told, q.retry) }

// Drop removes messages because a person wants that, waiting and failed. What
// became of each is told, as Retry does.
func (q *Queue) Drop(ids []spool.ID, told func(spool.ID, error)) { q.each(ids, told, q.drop) }

// DropWaiting is Drop for what waits: a message that has also failed for some of
// its recipients stays in failed/.
func (q *Queue) DropWaiting(ids []spool.ID, told func(spool.ID, error)) {
	q.each(ids, told, func(id spool.ID, i *item) error {
		if i == nil {
			return fmt.Errorf("%s does not wait: %w", id, spool.ErrNotFound)
		}
		return q.spool.Done(id)
	})
}

// DropFailed is Drop for what has failed: a message that still waits for other
// recipients is delivered to these.
func (q *Queue) DropFailed(ids []spool.ID, told func(spool.ID, error)) {
	q.each(ids, told, func(id spool.ID, i *item) error {
		if i != nil {
			defer q.push(i)
		}
		return q.spool.RemoveFailed(id)
	})
}

// each does something to messages that are taken out of the queue for it; to
// those that do not wait it is told nil.
func (q *Queue) each(ids []spool.ID, told func(spool.ID, error), do func(spool.ID, *item) error) {
	q.operating.Lock()
	defer q.operating.Unlock()
	waiting := q.pick(ids)
	for _, id := range ids {
		i := waiting[id]
		delete(waiting, id) // or a message named twice is there twice
		var err error
		if i == nil {
			err = q.busy(id)
		}
		if err == nil {
			err = do(id, i)
		}
		told(id, err)
	}
}

func (q *Queue) retry(id spool.ID, i *item) error {
	st, err := q.spool.Revive(id)
	switch {
	case err == nil:
		i = &item{id: id, from: st.Envelope.From, size: st.Size, received: st.Since(), attempts: st.Tried}
	case i == nil:
		return err
	case !errors.Is(err, spool.ErrNotFound):
		q.push(i)
		return err
	}
	i.due = time.Now()
	q.mu.Lock()
	l := q.laneOfLocked(i.from)
	l.probe = i.due
	if h := l.senders[senderDomain(i.from)]; h != nil {
		h.probe = i.due
	}
	q.mu.Unlock()
	q.push(i)
	return nil
}

func (q *Queue) drop(id spool.ID, i *item) error {
	err := q.spool.RemoveFailed(id)
	if i == nil {
		return err
	}
	if err == nil || errors.Is(err, spool.ErrNotFound) {
		return q.spool.Done(id)
	}
	q.push(i)
	return err
}

// pick takes out of the queue those of the messages that wait.
func (q *Queue) pick(ids []spool.ID) map[spool.ID]*item {
	wanted := make(map[spool.ID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	picked := make(map[spool.ID]*item, len(ids))
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		// What came of one that is owed is not in the spool yet.
		for _, i := range l.waiting.remove(func(i *item) bool { return i.owed == nil && wanted[i.id] }) {
			picked[i.id] = i
		}
	}
	return picked
}

// busy tells why nothing can be done with a message that could not be picked;
// nil if it has failed, or is not there.
func (q *Queue) busy(id spool.ID) error {
	_, err := q.spool.Load(id)
	switch {
	case errors.Is(err, spool.ErrNotFound):
		return nil
	case err == nil:
		return fmt.Errorf("%s: %w", id, ErrUnderway)
	}
	return err
}
