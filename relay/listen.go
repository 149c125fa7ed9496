package relay

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"kurir/relay/maillog"
)

// A ListenError is an address that cannot be listened on.
type ListenError struct {
	Addr   string
	Holder string // the program that has it, where that can be known
	Err    error
}

func (e *ListenError) Unwrap() error { return e.Err }

// Taken tells that another program has the address.
func (e *ListenError) Taken() bool { return errors.Is(e.Err, syscall.EADDRINUSE) }

// Error says what to do about it.
func (e *ListenError) Error() string {
	_, port, _ := net.SplitHostPort(e.Addr)
	switch {
	case e.Taken() && e.Holder != "":
		return fmt.Sprintf("listen.smtp: %s is taken by %s: stop that program, or let Kurir listen on another port", e.Addr, e.Holder)
	case e.Taken():
		return fmt.Sprintf("listen.smtp: %s is taken by another program (ss -ltnp 'sport = :%s' shows which): stop it, or let Kurir listen on another port", e.Addr, port)
	case errors.Is(e.Err, syscall.EACCES), errors.Is(e.Err, syscall.EPERM):
		return fmt.Sprintf("listen.smtp: %s needs rights that this user does not have: start Kurir by systemd/kurir.socket, or give it CAP_NET_BIND_SERVICE, or use a port above 1023 such as 127.0.0.1:2525", e.Addr)
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("listen.smtp: %s is not an address of this machine", e.Addr)
	}
	return fmt.Sprintf("listen.smtp: %s: %v", e.Addr, e.Err)
}

// listen opens all addresses, or none. That [::1] is missing where IPv6 is
// switched off is only worth a warning, as long as another address works.
func listen(addrs []string, log *maillog.Log) (listeners []net.Listener, err error) {
	var missing *ListenError
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			listeners = append(listeners, l)
			continue
		}
		failed := &ListenError{Addr: addr, Err: err}
		if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) && addr[0] == '[' {
			missing = failed
			continue
		}
		if failed.Taken() {
			failed.Holder = portHolder(addr)
		}
		for _, l := range listeners {
			_ = l.Close()
		}
		return nil, failed
	}
	if len(listeners) == 0 && missing != nil {
		return nil, missing
	}
	if missing != nil {
		log.Warning("listen.smtp", missing.Addr+" is left out: this machine has no IPv6")
	}
	return listeners, nil
}
