//go:build !linux

package upstream

import "net"

// quickAck is known on Linux only.
func quickAck(net.Conn) {}

// pending cannot tell here; a session at rest is asked by RSET.
func pending(net.Conn) bool { return false }
