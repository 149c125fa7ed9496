package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
)

// Control says where a running Kurir can be talked to.
type Control struct {
	// Socket is the path of the unix socket. "" means the first of
	// Config.ControlSockets that can be used.
	Socket string `toml:"socket"`

	// HTTP is where the status page, the health checks and the metrics are: a
	// loopback address and port. "" means nowhere.
	HTTP string `toml:"http"`
}

// checkHTTP judges control.http: who may see the page is decided by who is on
// this machine, so that no other address will do.
func (l *loader) checkHTTP(k key, address string) {
	if address == "" {
		return
	}
	if whole := wholeAddress(address); whole != "" {
		l.fault(k, quote(address)+" is not an address and a port", l.write(k, whole))
		return
	}
	host, port, err := net.SplitHostPort(address)
	if n, e := strconv.Atoi(port); err != nil || e != nil || n < 0 || n > 65535 {
		l.fault(k, quote(address)+" is not an address and a port", l.write(k, example(k))+`, or "" for no status page`)
		return
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.Unmap().IsLoopback() && ip.Zone() == "" {
		return
	}
	l.fault(k, quote(address)+" is not an address of loopback, and the page has neither TLS nor users",
		l.write(k, net.JoinHostPort("127.0.0.1", port))+", and put a reverse proxy before it that has them")
}

const (
	systemRuntimeDir = "/run/kurir"
	socketName       = "control.sock"
)

// ControlSockets are the paths that the control socket may have, in the order
// in which a relay tries to make it and a client to find it. All belong to
// this state_dir alone, so that nobody talks to another Kurir by accident.
// There are none without a state_dir.
func (c *Config) ControlSockets() []string {
	if c.Control.Socket != "" {
		return []string{c.Control.Socket}
	}
	var paths []string
	if c.runtimeDir != "" {
		paths = append(paths, filepath.Join(c.runtimeDir, socketName))
	}
	if c.StateDir == systemStateDir && c.runtimeDir != systemRuntimeDir {
		paths = append(paths, filepath.Join(systemRuntimeDir, socketName))
	}
	if c.StateDir != "" {
		paths = append(paths, filepath.Join(c.StateDir, socketName))
	}
	return paths
}
