package relay

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"kurir/relay/control/page"
	"kurir/relay/history"
	"kurir/upstream/explain"
)

// A statusPage is where browsers and probes look; its listener is nil if there
// is none.
type statusPage struct {
	listener net.Listener
	token    string
}

// openPage opens control.http. Mail flows without it, so that a port that is
// taken is only worth a warning; the sandbox takes another.
func (r *Relay) openPage() {
	address := r.o.Config.Control.HTTP
	if address == "" {
		return
	}
	l, err := net.Listen("tcp", address)
	if r.o.Sandbox != nil && errors.Is(err, syscall.EADDRINUSE) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err == nil && !l.Addr().(*net.TCPAddr).IP.IsLoopback() { // what localhost is, others decide
		err = errors.Join(fmt.Errorf("%s is %s, which is not loopback", address, l.Addr()), l.Close())
	}
	if err != nil {
		holder := "the other program"
		if name := portHolder(address); errors.Is(err, syscall.EADDRINUSE) && name != "" {
			holder = name
		}
		r.o.Log.Warning("control.http", fmt.Sprintf("no status page and no health checks, but mail flows: %v: stop %s, or set control.http to another port", err, holder))
		return
	}
	r.page = statusPage{l, page.NewToken()}
}

// url is where the status page is; "" if there is none.
func (p statusPage) url() string {
	if p.listener == nil {
		return ""
	}
	return "http://" + p.listener.Addr().String() + "/"
}

// Page is the address of the status page with its token, which is for those who
// may see all mail and for no log; "" if there is no page.
func (r *Relay) Page() string {
	if r.page.listener == nil {
		return ""
	}
	return r.page.url() + "?token=" + r.page.token
}

// runPage answers browsers and probes until stop is called.
func (r *Relay) runPage(desk page.Desk) (stop func()) {
	if r.page.listener == nil {
		return func() {}
	}
	s := page.New(page.Options{
		Desk: desk, Queue: r.queue, History: history.NewReader(HistoryDir(r.o.Config)), Metrics: r.meter.Handler(), Ready: r.ready,
		Token: r.page.token, Log: r.o.Log, Language: explain.Language(r.o.Config.Log.Language),
	})
	return r.answer("control.http", r.page.listener, s.Serve, s.Close)
}

// ready says why no mail is taken; nil if it is.
func (r *Relay) ready() error {
	if !r.taking.Load() {
		return errors.New("the relay is starting or stopping")
	}
	return r.spool.Space(0)
}
