package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// from reads a path as it is meant by who stands in dir.
func from(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// pathKeys are the settings that are paths, in each upstream and elsewhere.
var (
	pathKeys         = []key{{name: "state_dir"}, {section: "listen", name: "tls_cert"}, {section: "listen", name: "tls_key"}, {section: "spool", name: "dir"}, {section: "spool", name: "drop"}, {section: "control", name: "socket"}}
	upstreamPathKeys = []string{"password_file", "ca_file", "client_cert", "client_key"}
	oauth2PathKeys   = []string{"client_secret_file", "client_cert", "client_key", "key_file", "refresh_token_file"}
)

// places makes every path stand for itself, and chooses the directories that
// were not given.
func (l *loader) places() {
	keys := slices.Clone(pathKeys)
	for i := range l.cfg.Upstreams {
		for _, name := range upstreamPathKeys {
			keys = append(keys, upstreamKey(i, name))
		}
		for _, name := range oauth2PathKeys {
			keys = append(keys, key{oauth2Section, i, name})
		}
	}
	for _, k := range keys {
		l.place(k)
	}
	if first, _, _ := strings.Cut(l.env["RUNTIME_DIRECTORY"], ":"); filepath.IsAbs(first) {
		l.cfg.runtimeDir = first
	}
	if !l.given(key{name: "state_dir"}) || l.cfg.StateDir == "" {
		l.cfg.StateDir = l.stateDir()
	}
	if !l.given(key{section: "spool", name: "dir"}) || l.cfg.Spool.Dir == "" {
		l.cfg.Spool.Dir = ""
		if l.cfg.StateDir != "" {
			l.cfg.Spool.Dir = filepath.Join(l.cfg.StateDir, "spool")
		}
	}
}

// place makes one path stand for itself.
func (l *loader) place(k key) {
	at, ok := l.origins[k]
	if !ok {
		return
	}
	path := field(&l.cfg, k).(*string)
	if strings.HasPrefix(*path, "~") {
		l.fault(k, quote(*path)+" begins with ~, which only a shell understands", "write the whole path, from / on")
		*path = ""
		return
	}
	dir := l.opts.Dir
	if at.variable == "" {
		dir = filepath.Dir(l.file)
	}
	*path = from(dir, *path)
}

// stateDir chooses the directory for the state when none is given.
func (l *loader) stateDir() string {
	if l.opts.Sandbox {
		return ""
	}
	// systemd separates several by colons (systemd.exec).
	if first, _, _ := strings.Cut(l.env["STATE_DIRECTORY"], ":"); first != "" {
		return first
	}
	if l.system.superuser || writable(l.system.stateDir) {
		return l.system.stateDir
	}
	own := l.ownStateDir()
	if l.opts.Asking && !isDir(own) && isDir(l.system.stateDir) {
		return l.system.stateDir // of a service whose group the user is in
	}
	return own
}

// ownStateDir is the state directory of a relay that is no system service.
func (l *loader) ownStateDir() string {
	if base := l.env["XDG_STATE_HOME"]; filepath.IsAbs(base) {
		return filepath.Join(base, "kurir")
	}
	if home := l.env["HOME"]; home != "" {
		return filepath.Join(home, ".local", "state", "kurir")
	}
	return l.system.stateDir
}

// writable asks the file system itself: permissions alone say nothing about
// access lists and read-only mounts.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), os.Remove(f.Name())) == nil
}
