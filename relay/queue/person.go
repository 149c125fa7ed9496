package queue

import (
	"errors"
	"fmt"
	"time"

	"kurir/relay/spool"
)

// ErrUnderway says that a message is being delivered just now, so that nothing
// else can be done with it.
var ErrUnderway = errors.New("it is being delivered now; try again in a moment")

// Retry makes a message due now, and its route is tried even if it is in
// trouble; one that has failed waits again. It fails with spool.ErrNotFound or
// ErrUnderway.
func (q *Queue) Retry(id spool.ID) error {
	q.operating.Lock()
	defer q.operating.Unlock()
	i, err := q.pick(id)
	if err != nil {
		return err
	}
	st, err := q.spool.Revive(id)
	switch {
	case err == nil:
		i = &item{id: id, from: st.Envelope.From, size: st.Size, received: st.Received, attempts: st.Tried}
	case i == nil:
		return err
	case !errors.Is(err, spool.ErrNotFound):
		q.push(i)
		return err
	}
	i.due = time.Now()
	q.mu.Lock()
	q.laneOfLocked(i.from).probe = i.due
	q.mu.Unlock()
	q.push(i)
	return nil
}

// Drop removes a message because a person wants that, waiting and failed. It
// fails with spool.ErrNotFound or ErrUnderway.
func (q *Queue) Drop(id spool.ID) error {
	q.operating.Lock()
	defer q.operating.Unlock()
	i, err := q.pick(id)
	if err != nil {
		return err
	}
	err = q.spool.RemoveFailed(id)
	if i == nil {
		return err
	}
	if err == nil || errors.Is(err, spool.ErrNotFound) {
		return q.spool.Done(id)
	}
	q.push(i)
	return err
}

// pick takes a message that waits out of the queue; nil if it does not wait.
func (q *Queue) pick(id spool.ID) (*item, error) {
	q.mu.Lock()
	for _, l := range q.lanes {
		if found := l.waiting.remove(func(i *item) bool { return i.id == id }); len(found) > 0 {
			q.mu.Unlock()
			return found[0], nil
		}
	}
	q.mu.Unlock()
	_, err := q.spool.Load(id)
	switch {
	case errors.Is(err, spool.ErrNotFound):
		return nil, nil
	case err == nil:
		return nil, fmt.Errorf("%s: %w", id, ErrUnderway)
	}
	return nil, err
}
