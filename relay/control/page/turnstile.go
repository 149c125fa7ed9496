package page

import (
	"net"
	"sync"
)

// A turnstile lets so many connections in at once; others wait outside, where
// they cost us nothing.
type turnstile struct {
	net.Listener
	free   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newTurnstile(l net.Listener, most int) *turnstile {
	return &turnstile{Listener: l, free: make(chan struct{}, most), closed: make(chan struct{})}
}

func (t *turnstile) Accept() (net.Conn, error) {
	select {
	case t.free <- struct{}{}:
	case <-t.closed:
		return nil, net.ErrClosed
	}
	c, err := t.Listener.Accept()
	if err != nil {
		<-t.free
		return nil, err
	}
	return &guest{Conn: c, leave: sync.OnceFunc(func() { <-t.free })}, nil
}

func (t *turnstile) Close() error {
	t.once.Do(func() { close(t.closed) })
	return t.Listener.Close()
}

// A guest is a connection that has passed the turnstile.
type guest struct {
	net.Conn
	leave func()
}

func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
