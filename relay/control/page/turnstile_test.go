package page

import (
	"errors"
	"net"
	"testing"
)

// A crowd of silent connections takes no more than its share: who comes while
// all places are taken waits outside until somebody leaves, and waiting ends
// with the listener.
func TestTurnstile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	turn := newTurnstile(l, 1)
	defer turn.Close()
	type entry struct {
		conn net.Conn
		err  error
	}
	entered := make(chan entry)
	accept := func() {
		c, err := turn.Accept()
		entered <- entry{c, err}
	}
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	go accept()
	first := <-entered
	if first.err != nil || len(turn.free) != cap(turn.free) {
		t.Fatalf("%v, %d places taken", first.err, len(turn.free))
	}
	go accept()
	if first.conn.Close() != nil || first.conn.Close() == nil { // a second time gives no second place
		t.Error("the first could not be closed, or twice")
	}
	second := <-entered
	if second.err != nil || len(turn.free) != cap(turn.free) {
		t.Fatalf("%v, %d places taken", second.err, len(turn.free))
	}
	go accept()
	turn.Close()
	if third := <-entered; !errors.Is(third.err, net.ErrClosed) {
		t.Error(third.err)
	}
	second.conn.Close()
}
