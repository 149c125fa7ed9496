package config

import "path/filepath"

// Control says where a running Kurir can be talked to.
type Control struct {
	// Socket is the path of the unix socket. "" means the first of
	// Config.ControlSockets that can be used.
	Socket string `toml:"socket"`
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
