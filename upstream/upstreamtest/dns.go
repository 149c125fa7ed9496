package upstreamtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
)

// unreachable is an address that no system opens a TCP connection to,
// whatever its routes are: the broadcast address (RFC 919).
const unreachable = "255.255.255.255"

// unresolved are the host names of candidates that DNS knows nothing of.
// RFC 6761, section 6.4, keeps them from ever being anybody's.
var unresolved = map[string]string{
	"not-found": "unknown.invalid",
	"failure":   "failure.invalid",
}

// Resolver asks no DNS server: it answers by itself that a name does not
// exist, and for the host of "resolve: failure" that the server is broken.
func Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerDNS(server)
		return client, nil
	}}
}

// answerDNS answers one query over a stream (RFC 1035, section 4.2.2), whose
// other end the resolver closes.
func answerDNS(conn net.Conn) {
	defer conn.Close()
	const (
		header       = 12
		response     = 0x80
		recursion    = 0x80
		serverFailed = 2
		noSuchName   = 3
	)
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, message); err != nil || len(message) < header {
		return
	}
	message[2] |= response
	message[3] = recursion | noSuchName
	if bytes.Contains(message, []byte("\x07failure\x07invalid")) {
		message[3] = recursion | serverFailed
	}
	conn.Write(append(size[:], message...)) // the query's own sections are repeated as they are
}
