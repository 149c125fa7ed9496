package config

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
)

// systemSocket is where a relay that is a system service may take mail from
// the users of its machine.
const systemSocket = systemRuntimeDir + "/smtp.sock"

// DropDir is the directory where mail is left while no relay runs: Spool.Drop,
// else drop in StateDir; "" without a StateDir.
func (c *Config) DropDir() string {
	if c.Spool.Drop == "" && c.StateDir != "" {
		return filepath.Join(c.StateDir, "drop")
	}
	return c.Spool.Drop
}

// LoadOutside finds out as much as a user can know who hands mail in and may
// not be able to read the configuration: Listen, StateDir, Spool and Control
// of the relay on this machine. It reads Options.Path, else $KURIR_CONFIG,
// else /etc/kurir/kurir.toml, and never a file in the working directory, which
// may be anybody's. There is no error: what cannot be read or understood has
// its default, as a mistake in there must not cost the mail.
func LoadOutside(o Options) *Config {
	l := newLoader(o)
	l.readFile(from(o.Dir, cmp.Or(o.Path, l.env[envPrefix+"CONFIG"], l.system.config)))
	l.environment()
	for _, k := range pathKeys {
		l.place(k)
	}
	// What systemd says in $STATE_DIRECTORY and $RUNTIME_DIRECTORY is for the
	// service that the caller is part of, which is not Kurir.
	if !l.given(key{name: "state_dir"}) || l.cfg.StateDir == "" {
		l.cfg.StateDir = l.system.stateDir
		if own := l.ownStateDir(); !isDir(l.cfg.StateDir) && isDir(own) {
			l.cfg.StateDir = own
		}
	}
	if !l.given(key{section: "spool", name: "dir"}) || l.cfg.Spool.Dir == "" {
		l.cfg.Spool.Dir = filepath.Join(l.cfg.StateDir, "spool")
	}
	if usual := Default().Listen.SMTP; len(l.cfg.Listen.SMTP) == 0 || slices.Equal(l.cfg.Listen.SMTP, usual) {
		l.cfg.Listen.SMTP = slices.Insert(usual, 0, "unix:"+systemSocket)
	}
	c := l.cfg
	return &Config{StateDir: c.StateDir, Listen: c.Listen, Spool: c.Spool, Control: c.Control, Log: c.Log, File: c.File}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
