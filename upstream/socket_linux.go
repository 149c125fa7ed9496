package upstream

import (
	"crypto/tls"
	"net"
	"syscall"
)

// quickAck has the kernel acknowledge what comes next at once. A server that
// answers in two small segments waits for that before it sends the second, and
// a delayed acknowledgement costs 40 ms a message. The kernel forgets it when
// data flows, so it is asked for again after each flush.
func quickAck(conn net.Conn) {
	raw := rawConn(conn)
	if raw == nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}

func rawConn(conn net.Conn) syscall.RawConn {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// pending tells whether something waits to be read: octets, or the end.
func pending(conn net.Conn) bool {
	raw := rawConn(conn)
	if raw == nil {
		return false
	}
	quiet := false
	_ = raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
	})
	return !quiet
}
