package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/relay/listener"
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
	address := strings.TrimPrefix(e.Addr, "tls://")
	_, port, _ := net.SplitHostPort(address)
	switch {
	case e.Taken() && e.Holder != "":
		return fmt.Sprintf("listen.smtp: %s is taken by %s: stop that program, or set listen.smtp (or KURIR_LISTEN_SMTP) to another port", e.Addr, e.Holder)
	case e.Taken():
		return fmt.Sprintf("listen.smtp: %s is taken by another program (ss -ltnp 'sport = :%s' shows which): stop it, or set listen.smtp (or KURIR_LISTEN_SMTP) to another port", e.Addr, port)
	case strings.HasPrefix(e.Addr, "unix:"):
		return fmt.Sprintf("listen.smtp: %s: %v: its directory must exist, and this user must be able to write it", e.Addr, e.Err)
	case errors.Is(e.Err, syscall.EACCES), errors.Is(e.Err, syscall.EPERM):
		return fmt.Sprintf("listen.smtp: %s needs rights that this user does not have: start Kurir by systemd/kurir.socket, or give it CAP_NET_BIND_SERVICE (a container: the sysctl net.ipv4.ip_unprivileged_port_start=0), or use a port above 1023 such as 127.0.0.1:2525", e.Addr)
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("listen.smtp: %s is not an address of this machine", e.Addr)
	}
	return fmt.Sprintf("listen.smtp: %s: %v", e.Addr, e.Err)
}

// listen opens all addresses, or none. That [::1] is missing where IPv6 is
// switched off is only worth a warning, as long as another address works.
func listen(c config.Listen, log *maillog.Log) (ports []listener.Port, err error) {
	var missing *ListenError
	for _, addr := range c.SMTP {
		e := c.Endpoint(addr)
		l, err := listenAt(e)
		if err == nil {
			ports = append(ports, listener.Port{Listener: l, ImplicitTLS: e.ImplicitTLS, LegacyLineEnds: e.LegacyLineEnds})
			continue
		}
		failed := &ListenError{Addr: addr, Err: err}
		if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) && addr[0] == '[' {
			missing = failed
			continue
		}
		if failed.Taken() && e.Network == "tcp" {
			failed.Holder = portHolder(e.Address)
		}
		for _, p := range ports {
			_ = p.Close()
		}
		return nil, failed
	}
	if len(ports) == 0 && missing != nil {
		return nil, missing
	}
	if missing != nil {
		log.Warning("listen.smtp", missing.Addr+" is left out: this machine has no IPv6")
	}
	return ports, nil
}

func listenAt(e config.Endpoint) (net.Listener, error) {
	if e.Network == "unix" {
		// For every user of this machine, as any of them may use the port on loopback.
		return control.ListenUnix(e.Address, 0o666)
	}
	// Who is silent for too long is sent away anyway, so that four system calls
	// a connection for TCP keep-alive would be for nothing.
	open := net.ListenConfig{KeepAlive: -1}
	return open.Listen(context.Background(), e.Network, e.Address)
}

// passedPorts are listeners that a service manager has opened. They are what
// listen.smtp says of their addresses; a port 465 has implicit TLS in any case.
func passedPorts(c config.Listen, passed []net.Listener) []listener.Port {
	var ports []listener.Port
	for _, l := range passed {
		addr := l.Addr().String()
		if l.Addr().Network() == "unix" {
			addr = "unix:" + addr
		}
		e := c.Endpoint(addr)
		if secured := "tls://" + addr; slices.Contains(c.SMTP, secured) {
			e = c.Endpoint(secured)
		}
		ports = append(ports, listener.Port{Listener: l, ImplicitTLS: e.ImplicitTLS, LegacyLineEnds: e.LegacyLineEnds})
	}
	return ports
}
