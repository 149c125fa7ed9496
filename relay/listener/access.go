package listener

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	"kurir/upstream/explain"
)

// A gate counts who is in and decides who else may come.
type gate struct {
	allow *allowList
	max   int
	share int // of one client that is not on this host

	left chan struct{} // somebody left

	mu sync.Mutex
	in map[*conn]struct{}
	of map[netip.Addr]int
}

func newGate() *gate {
	return &gate{left: make(chan struct{}, 1), in: make(map[*conn]struct{}), of: make(map[netip.Addr]int)}
}

func (g *gate) configure(allow *allowList, max int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.allow, g.max, g.share = allow, max, (max+1)/2
}

// enter lets c in, or says why not. When all places are taken, one who does
// nothing with his gives way: a flood must not keep an app out.
func (g *gate) enter(c *conn) *refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.addr.IsValid() && !g.allow.allows(c.addr) {
		return g.stranger(c.addr)
	}
	if c.addr.IsValid() && !c.addr.IsLoopback() && g.of[c.addr] >= g.share {
		return crowded("here_share", g.share)
	}
	if len(g.in) >= g.max && !g.makeRoom() {
		r := crowded("here", g.max)
		r.mayPass = g.max > 0
		return r
	}
	g.in[c] = struct{}{}
	g.of[c.addr]++
	return nil
}

// makeRoom sends away whoever has done nothing for longest, of those who have
// no transaction open; else of those who have; else of those who have stopped
// in the middle of a message, or only drip.
func (g *gate) makeRoom() bool {
	var worst *conn
	var least idleness
	var since time.Time
	now := time.Now()
	for c := range g.in {
		how, t := c.idleSince(now)
		if how != busy && (worst == nil || how < least || how == least && t.Before(since)) {
			worst, least, since = c, how, t
		}
	}
	if worst == nil || !worst.dismiss() {
		return false
	}
	g.remove(worst)
	return true
}

func (g *gate) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(c)
}

func (g *gate) remove(c *conn) {
	if _, ok := g.in[c]; !ok {
		return
	}
	delete(g.in, c)
	if g.of[c.addr]--; g.of[c.addr] == 0 {
		delete(g.of, c.addr)
	}
	select {
	case g.left <- struct{}{}:
	default:
	}
}

func crowded(text string, limit int) *refusal {
	return refuse(421, explain.EnhancedCode{4, 3, 2}, explain.LimitConnections, text, limited(strconv.Itoa(limit)))
}

func (g *gate) stranger(a netip.Addr) *refusal {
	text := "here"
	if s := g.allow.subnet; s != nil && s.isGateway(a) {
		text = "here_gateway"
	}
	return refuse(554, explain.EnhancedCode{5, 7, 1}, explain.RelayDenied, text,
		explain.Fact{Name: explain.FactClient, Value: a.String()},
		explain.Fact{Name: explain.FactAllow, Value: g.allow.advice(a)})
}
