package relay

import (
	"context"
	"errors"
	"fmt"
	"net"

	"kurir/relay/control"
	"kurir/upstream/explain"
)

// openDoor makes the control socket at the first path that can be had. Mail
// flows without one, so only a path that somebody chose must be had.
func (r *Relay) openDoor() error {
	c := r.o.Config
	var failed error
	for _, path := range c.ControlSockets() {
		var err error
		if r.door, err = control.Listen(path); err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	if failed == nil || c.Control.Socket != "" {
		return failed
	}
	r.o.Log.Warning("control.socket", fmt.Sprintf("kurir queue and kurir status will not reach this relay, but mail flows: %v", failed))
	return nil
}

// runDoor answers on the control socket and on the status page until stop is
// called.
func (r *Relay) runDoor() (stop func()) {
	o := control.Options{
		Queue: r.queue, Spool: r.spool, SpoolDir: r.o.Config.Spool.Dir, Version: r.o.Version,
		Language: explain.Language(r.o.Config.Log.Language), Log: r.o.Log, Reload: r.o.Reload, Ends: r.ends, Ways: &r.ways, Page: r.Page(),
	}
	if r.history != nil {
		o.FlushHistory = r.history.Flush
	}
	stopPage := r.runPage(control.NewDesk(o))
	if r.door == nil {
		return stopPage
	}
	s := control.NewServer(o)
	stopDoor := r.answer("control.socket", r.door, s.Serve, s.Close)
	return func() { stopDoor(); stopPage() }
}

// answer has a server answer on l until stop is called. What breaks it is told
// of the key that l was opened for.
func (r *Relay) answer(key string, l net.Listener, serve func(net.Listener) error, end func() error) (stop func()) {
	wait := background(func(context.Context) {
		if err := serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
			r.o.Log.Warning(key, err.Error())
		}
	})
	return func() { _ = end(); wait() }
}
