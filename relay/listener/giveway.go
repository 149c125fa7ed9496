package listener

import (
	"time"

	"kurir/upstream/explain"
)

// A notice is a reply in place of the greeting, or of the next reply.
type notice struct {
	code     int
	enhanced explain.EnhancedCode
	text     string
	urgent   bool // a message that is coming is not waited for
}

// drain ends the session before its next command; at once, if it waits.
func (c *conn) drain() { c.leaveNotice(c.closingNotice()) }

// dismiss does the same to make room for others, also in the middle of a
// message that does not come, and tells whether it can.
func (c *conn) dismiss() bool {
	r := crowded("here", c.server.set().MaxConnections)
	return c.leaveNotice(&notice{r.code, r.enhanced, c.server.explain(r).Title, true})
}

// leaveNotice tells whether the client hears of it at once.
func (c *conn) leaveNotice(n *notice) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notice.CompareAndSwap(nil, n)
	now := c.waiting || n.urgent && c.bringing
	if now {
		c.Conn.SetReadDeadline(time.Now())
	}
	return now
}

// closingNotice is what clients get while the server shuts down.
func (c *conn) closingNotice() *notice {
	return &notice{code: 421, enhanced: explain.EnhancedCode{4, 3, 2}, text: c.server.opts.Hostname +
		" is restarting, come again in a moment"}
}

// A client that says or brings nothing for stallTime, or less than dripRate
// octets of its message a second, may have to give way to another. Programs on
// a busy machine take less, and who on the network is slow is not that slow.
const (
	stallTime = time.Second
	dripRate  = 128
)

// pay notes that n octets of a message came; for one that is refused already
// nothing is fast enough.
func (c *conn) pay(n int) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused {
		return
	}
	if c.paid.Before(now) {
		c.paid = now
	}
	c.paid = c.paid.Add(time.Duration(n) * time.Second / dripRate)
	if most := now.Add(stallTime); c.paid.After(most) {
		c.paid = most
	}
}

// idleness is what a client that does nothing keeps waiting, the least harmful
// to end first.
type idleness int

const (
	idle    idleness = iota // nothing is open
	pausing                 // a transaction is
	stuck                   // it is in the middle of a message
	busy                    // it does something, or is being sent away
)

// idleSince tells since when the client has been expected to say something.
func (c *conn) idleSince(now time.Time) (idleness, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.notice.Load() != nil, c.waiting && now.Sub(c.since) < stallTime:
	case c.waiting && c.open.Load():
		return pausing, c.since
	case c.waiting:
		return idle, c.since
	case c.bringing && c.paid.Before(now):
		return stuck, c.paid
	}
	return busy, now
}
