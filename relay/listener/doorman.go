package listener

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// A doorman takes the connections of a port and hands those that the gate lets
// in to go-smtp, as conns of ours. Who finds every place taken waits unserved
// for a moment. The one who came last is called in first: under a flood the
// others are strangers, or have stopped waiting.
type doorman struct {
	Port
	server *Server
	in     chan arrival // to go-smtp; closed at the end
	room   []visitor    // in the order in which they came
}

// An arrival is what an Accept has returned.
type arrival struct {
	conn net.Conn
	err  error
}

// A visitor waits for a place.
type visitor struct {
	conn  *conn
	since time.Time
}

// How long a visitor waits, how many do for each place, and how often it is
// looked for somebody who gives his place up.
const (
	waitForPlace  = 20 * time.Second
	waitEachPlace = 10
	lookForPlace  = 50 * time.Millisecond
)

// refusalTimeout bounds the write of a refusal. It fits a fresh socket's
// buffer, so this matters only to sockets that have none.
const refusalTimeout = time.Second

// newDoorman starts one. It ends when the port is closed.
func newDoorman(p Port, s *Server) *doorman {
	d := &doorman{Port: p, server: s, in: make(chan arrival)}
	go d.stand()
	return d
}

// Accept returns the next client that is let in.
func (d *doorman) Accept() (net.Conn, error) {
	a, ok := <-d.in
	if !ok {
		return nil, net.ErrClosed
	}
	return a.conn, a.err
}

func (d *doorman) stand() {
	defer close(d.in)
	arrivals := make(chan arrival, 64)
	go d.accept(arrivals)
	look := time.NewTicker(lookForPlace)
	defer look.Stop()
	next := make(chan struct{}, 1) // there may be a place for the next one
	for {
		var looks <-chan time.Time
		if len(d.room) > 0 {
			looks = look.C
		}
		select {
		case a := <-arrivals:
			switch {
			case a.err == nil:
				d.room = append(d.room, visitor{newConn(a.conn, d.server, d.Port), time.Now()})
				if len(d.room) > 1 && len(d.room) < d.most() {
					continue // others are first
				}
			case passing(a.err):
				d.in <- a
				continue
			default:
				for _, v := range d.room {
					d.refuse(v.conn, nil)
				}
				d.in <- a
				return
			}
		case <-looks:
		case <-next:
		case <-d.server.gate.left:
		}
		if d.callIn() {
			select {
			case next <- struct{}{}:
			default:
			}
		}
	}
}

// accept tells of what the port brings, up to an error that lasts.
func (d *doorman) accept(arrivals chan<- arrival) {
	for {
		nc, err := d.Listener.Accept()
		arrivals <- arrival{nc, err}
		if err != nil && !passing(err) {
			return
		}
	}
}

// passing tells whether Accept may work again soon, as when there was no
// descriptor free.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// callIn sees to whose turn it is, and tells whether it was done with him: he
// is in, or turned away as a stranger or one who has waited too long.
func (d *doorman) callIn() bool {
	if len(d.room) == 0 {
		return false
	}
	v := d.room[0]
	r := d.server.gate.enter(v.conn)
	switch {
	case r != nil && r.mayPass && time.Since(v.since) < waitForPlace:
		if last := len(d.room) - 1; last > d.most() {
			d.refuse(d.room[last].conn, r)
			d.room = d.room[:last]
		}
		return false
	case r == nil && d.server.enter(v.conn):
		d.in <- arrival{conn: v.conn}
	default:
		d.refuse(v.conn, r)
	}
	if d.room = d.room[1:]; len(d.room) == 0 {
		d.room = nil
	}
	return true
}

// most is how many may wait.
func (d *doorman) most() int { return waitEachPlace * d.server.set().MaxConnections }

// refuse sends a client away; nil means that the server is closing.
func (d *doorman) refuse(c *conn, r *refusal) {
	n := c.closingNotice()
	if r == nil {
		d.server.gate.leave(c)
	} else {
		x := d.server.turnAway(c, r)
		n = &notice{code: r.code, enhanced: r.enhanced, text: x.Title + " " + x.Fix}
	}
	if !d.ImplicitTLS { // it would be no TLS
		c.Conn.SetWriteDeadline(time.Now().Add(refusalTimeout))
		c.Conn.Write(appendReply(nil, n.code, n.enhanced, n.text, asciiOnly))
	}
	c.Conn.Close()
}
