package queue

import (
	"container/heap"
	"iter"
	"strings"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/envelope"
)

// An item is a waiting message, as small as it can be: there may be many.
type item struct {
	id       spool.ID
	from     envelope.Path
	size     int64
	due      time.Time
	received time.Time
	attempts int
	owed     *account // what the last attempt meant, while the spool cannot be told
}

// A backlog is what waits for a route. Of the messages that are due, those of
// one sender take turns with those of the others, so that a flood of one delays
// nobody else's mail; among themselves the old and small ones come first.
type backlog struct {
	later byDue                     // not due, when it was last looked
	lines map[envelope.Path]*byTurn // due, by sender; none is empty
	turns []envelope.Path           // who has a line; the first is next
	ready int                       // messages in all lines
}

// perSecond is how many octets of size count as one second of age.
const perSecond = 1 << 20

// turn is where a message stands among those of the same reverse-path.
func (i *item) turn() time.Time {
	return i.due.Add(time.Duration(i.size * int64(time.Second) / perSecond))
}

// sender is the reverse-path without what newsletters put into it for each
// recipient (VERP): what follows the first of "+-=" in the local part, and
// digits.
func (i *item) sender() envelope.Path {
	local, domain, _ := strings.Cut(string(i.from), "@")
	if n := strings.IndexAny(local, "+-=0123456789"); n < 0 {
		return i.from
	} else if n > 0 {
		local = local[:n]
	}
	return envelope.Path(local + "@" + domain)
}

func (b *backlog) len() int { return len(b.later.items) + b.ready }

func (b *backlog) push(i *item) { heap.Push(&b.later, i) }

// advance puts into the lines what has become due.
func (b *backlog) advance(now time.Time) {
	for len(b.later.items) > 0 && !now.Before(b.later.items[0].due) {
		i := heap.Pop(&b.later).(*item)
		sender := i.sender()
		line := b.lines[sender]
		if line == nil {
			if b.lines == nil {
				b.lines = make(map[envelope.Path]*byTurn)
			}
			line = new(byTurn)
			b.lines[sender] = line
			b.turns = append(b.turns, sender)
		}
		heap.Push(line, i)
		b.ready++
	}
}

// waits tells whether a message is due.
func (b *backlog) waits(now time.Time) bool {
	b.advance(now)
	return b.ready > 0
}

// next is when there will be a message to take, in the past if there is one.
func (b *backlog) next() (due time.Time, ok bool) {
	switch {
	case b.ready > 0:
		return time.Time{}, true
	case len(b.later.items) > 0:
		return b.later.items[0].due, true
	}
	return time.Time{}, false
}

// take removes the message whose turn it is, nil if none is due.
func (b *backlog) take(now time.Time) *item {
	if !b.waits(now) {
		return nil
	}
	from := b.turns[0]
	b.turns = b.turns[1:]
	line := b.lines[from]
	i := heap.Pop(line).(*item)
	b.ready--
	if len(line.items) > 0 {
		b.turns = append(b.turns, from)
	} else {
		delete(b.lines, from)
	}
	return i
}

// all goes over what waits, in no order.
func (b *backlog) all() iter.Seq[*item] {
	return func(yield func(*item) bool) {
		for _, i := range b.later.items {
			if !yield(i) {
				return
			}
		}
		for _, line := range b.lines {
			for _, i := range line.items {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// remove takes out what fits.
func (b *backlog) remove(fits func(*item) bool) []*item {
	var removed []*item
	var rest backlog
	for i := range b.all() {
		if fits(i) {
			removed = append(removed, i)
		} else {
			rest.later.items = append(rest.later.items, i)
		}
	}
	if len(removed) > 0 {
		heap.Init(&rest.later)
		*b = rest
	}
	return removed
}

// hasten makes due what fits, and counts it.
func (b *backlog) hasten(now time.Time, fits func(*item) bool) int {
	hastened := b.remove(fits)
	for _, i := range hastened {
		i.due = now
		b.push(i)
	}
	return len(hastened)
}

// items are those of a heap, whatever its order.
type items []*item

func (h items) Len() int      { return len(h) }
func (h items) Swap(a, b int) { h[a], h[b] = h[b], h[a] }
func (h *items) Push(x any)   { *h = append(*h, x.(*item)) }
func (h *items) Pop() any {
	last := len(*h) - 1
	i := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return i
}

// byDue has the one on top that is due first.
type byDue struct{ items }

func (h byDue) Less(a, b int) bool { return h.items[a].due.Before(h.items[b].due) }

// byTurn has the one on top whose turn it is.
type byTurn struct{ items }

func (h byTurn) Less(a, b int) bool { return h.items[a].turn().Before(h.items[b].turn()) }
