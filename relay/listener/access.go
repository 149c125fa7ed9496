package listener

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"kurir/upstream/explain"
)

// A gate counts who is in and decides who else may come.
type gate struct {
	allow *allowList
	max   int
	share int // of one client that is not on this host

	mu sync.Mutex
	in map[*conn]struct{}
	of map[netip.Addr]int
}

func newGate(allow *allowList, max int) *gate {
	return &gate{
		allow: allow, max: max, share: (max + 1) / 2,
		in: make(map[*conn]struct{}), of: make(map[netip.Addr]int),
	}
}

// A notice is a refusal before the greeting, or in place of the next reply.
type notice struct {
	code     int
	enhanced explain.EnhancedCode
	text     string // to the client
	reason   string // to the log
	fix      string
}

// enter lets c in, or says why not. When all places are taken, whoever has
// been idle for longest, and has no transaction open, gives way: a flood of
// idle connections must not keep an app out.
func (g *gate) enter(c *conn) *notice {
	if c.addr.IsValid() && !g.allow.allows(c.addr) {
		return g.stranger(c.addr)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.addr.IsValid() && !c.addr.IsLoopback() && g.of[c.addr] >= g.share {
		return &notice{
			421, explain.EnhancedCode{4, 3, 2},
			"You have too many connections open, come again later",
			fmt.Sprintf("more than %d connections, half of all that are allowed", g.share),
			"Let the app reuse or close its connections, or raise listen.max_connections.",
		}
	}
	if len(g.in) >= g.max && !g.makeRoom() {
		return &notice{
			421, explain.EnhancedCode{4, 3, 2},
			"Too many connections, come again later",
			fmt.Sprintf("all %d connections are in use", g.max),
			"Raise listen.max_connections, or find out which app opens so many.",
		}
	}
	g.in[c] = struct{}{}
	g.of[c.addr]++
	return nil
}

// makeRoom sends the longest idle client away.
func (g *gate) makeRoom() bool {
	var oldest *conn
	var since time.Time
	for c := range g.in {
		if t, idle := c.idleSince(); idle && (oldest == nil || t.Before(since)) {
			oldest, since = c, t
		}
	}
	if oldest == nil || !oldest.dismiss() {
		return false
	}
	g.remove(oldest)
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
}

func (g *gate) stranger(a netip.Addr) *notice {
	line := g.allow.advice(a)
	n := &notice{
		code: 554, enhanced: explain.EnhancedCode{5, 7, 1},
		text:   fmt.Sprintf("%s may not use this relay. To let it in, set %s", a, line),
		reason: "not in listen.allow",
		fix:    fmt.Sprintf("If it is an app of yours, set %s", line),
	}
	if s := g.allow.subnet; s != nil && s.isGateway(a) {
		n.reason = "not in listen.allow: \"" + allowSubnet + "\" leaves the default gateway out"
		n.fix = "Traffic from outside may come from this address when ports are published; " +
			"if only apps of yours do, set " + line
	}
	return n
}

// gated is a listener that lets in whom the server's gate lets in, and gives
// go-smtp a conn of ours.
type gated struct {
	net.Listener
	server *Server
}

// refusalTimeout bounds the write of a refusal. It fits a fresh socket's
// buffer, so this matters only to sockets that have none.
const refusalTimeout = time.Second

// Accept returns the next client that is welcome.
func (g *gated) Accept() (net.Conn, error) {
	for {
		nc, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := newConn(nc, g.server)
		n := g.server.gate.enter(c)
		if n == nil && g.server.enter(c) {
			return c, nil
		}
		if n == nil {
			g.server.gate.leave(c)
			n = c.closingNotice()
		} else {
			g.server.log.rejected(c.client, n.reason, n.fix)
		}
		nc.SetWriteDeadline(time.Now().Add(refusalTimeout))
		nc.Write(appendReply(nil, n.code, n.enhanced, n.text, asciiOnly))
		nc.Close()
	}
}
