package listener

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// A doorman takes the connections of a port and hands those that the gate lets
// in to go-smtp, as conns of ours. Who finds every place taken is shown into the
// waiting room, and so is who comes while others wait there.
type doorman struct {
	Port
	server *Server
	room   *waitingRoom
}

// refusalTimeout bounds the write of a refusal. It fits a fresh socket's
// buffer, so this matters only to sockets that have none.
const refusalTimeout = time.Second

func newDoorman(p Port, s *Server) *doorman {
	d := &doorman{Port: p, server: s}
	d.room = &waitingRoom{doorman: d, arrivals: make(chan visitor, 64), in: make(chan net.Conn)}
	return d
}

// Accept returns the next client that is let in at once.
func (d *doorman) Accept() (net.Conn, error) {
	for {
		nc, err := d.Listener.Accept()
		switch {
		case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			return nil, passing{err}
		case err != nil:
			return nil, err
		}
		c := newConn(nc, d.server, d.Port)
		if d.room.size.Load() > 0 {
			d.room.show(c)
			continue
		}
		switch r := d.server.gate.enter(c); {
		case r == nil && d.server.enter(c):
			return c, nil
		case r != nil && r.mayPass:
			d.room.show(c)
		default:
			d.refuse(c, r)
		}
	}
}

// passing is an error after which Accept may work again soon, which net says
// of having no descriptor free alone. go-smtp then waits for a moment.
type passing struct{ error }

func (passing) Timeout() bool   { return false }
func (passing) Temporary() bool { return true }

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

// A waitingRoom has those who wait unserved for a place. The first come is the
// first to get one, and hears that there is none after waitForPlace; who comes
// when the room is full hears it at once. To go-smtp it is a listener.
type waitingRoom struct {
	*doorman
	arrivals chan visitor
	in       chan net.Conn // to go-smtp
	size     atomic.Int32
	visitors []visitor // in the order in which they came; of stand alone
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

// Accept returns the next visitor who has got a place.
func (w *waitingRoom) Accept() (net.Conn, error) {
	c, ok := <-w.in
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// show shows a client into the room.
func (w *waitingRoom) show(c *conn) {
	w.size.Add(1)
	w.arrivals <- visitor{c, time.Now()}
}

// stand serves the room until nobody is shown into it any more.
func (w *waitingRoom) stand() {
	defer close(w.in)
	look := time.NewTicker(lookForPlace)
	defer look.Stop()
	next := make(chan struct{}, 1) // there may be a place for the next one
	for {
		var looks <-chan time.Time
		if len(w.visitors) > 0 {
			looks = look.C
		}
		select {
		case v, open := <-w.arrivals:
			if !open {
				for _, v := range w.visitors {
					w.refuse(v.conn, nil)
				}
				return
			}
			w.visitors = append(w.visitors, v)
			if n := len(w.visitors); n > 1 && n < w.most() {
				continue // others are first
			}
		case <-looks:
		case <-next:
		case <-w.server.gate.left:
		}
		if w.callIn() {
			select {
			case next <- struct{}{}:
			default:
			}
		}
	}
}

// callIn sees to whose turn it is, and tells whether it was done with him: he
// is in, or turned away as a stranger or one who has waited too long.
func (w *waitingRoom) callIn() bool {
	if len(w.visitors) == 0 {
		return false
	}
	v := w.visitors[0]
	r := w.server.gate.enter(v.conn)
	switch {
	case r != nil && r.mayPass && time.Since(v.since) < waitForPlace:
		if last := len(w.visitors) - 1; last > w.most() {
			w.refuse(w.visitors[last].conn, r)
			w.visitors = w.visitors[:last]
			w.size.Add(-1)
		}
		return false
	case r == nil && w.server.enter(v.conn):
		w.in <- v.conn
	default:
		w.refuse(v.conn, r)
	}
	if w.visitors = w.visitors[1:]; len(w.visitors) == 0 {
		w.visitors = nil
	}
	w.size.Add(-1)
	return true
}

// most is how many may wait.
func (w *waitingRoom) most() int { return waitEachPlace * w.server.set().MaxConnections }
