package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"kurir/upstream/discover"
)

// configText is the configuration for a finding. What is not known is a
// comment that shows how to write it: a placeholder in its place would sign in
// as somebody else.
func configText(f discover.Finding, passwordFile string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Kurir's settings. config.example.toml explains every other key; those that\n"+
		"# are not here have their defaults.\n\n[upstream]\n# %s.\n", headline(f))
	switch {
	case f.Host != "":
		b.WriteString(setting("host", f.Host))
	case len(f.Provider.Hosts) > 0:
		b.WriteString("# Put your region in place of REGION, and remove the # in front of host.\n#" + setting("host", ownHost(f.Provider)))
	default:
		fmt.Fprint(&b, "# Write the name of your server, and remove the # in front of host.\n#host = \"mail.example.com\"\n")
	}
	if f.How == discover.ByGuess && f.MX != "" && f.MX != f.Host {
		b.WriteString("# If the other one does not work:\n#" + setting("host", f.MX))
	}
	if p := f.Provider; p != nil && len(p.Hosts) == 0 {
		b.WriteString(setting("provider", p.Name)) // the host does not tell it
	}
	if f.Candidate.Port != 0 {
		b.WriteString("\n# The port is an unusual one, so that Kurir has to be told.\n" +
			setting("port", f.Candidate.Port) + setting("tls", string(f.Candidate.TLS)))
	}
	username, password := wanted(f.Provider)
	fmt.Fprintf(&b, "\n# Wanted: %s.\n", username)
	if f.Username != "" {
		b.WriteString(setting("username", f.Username))
	} else {
		fmt.Fprint(&b, "# Write it here, and remove the # in front of username.\n#username = \"you@example.com\"\n")
	}
	if tokensOnly(f.Provider) {
		fmt.Fprint(&b, "\n# Instead of a password. Write the IDs of the application that you registered\n"+
			"# (docs/microsoft365.md), and remove the # in front of them. The tenant of an\n"+
			"# account that is no company's is \"consumers\".\n"+
			"[upstream.oauth2]\nflow = \"refresh_token\"\n#tenant = \"consumers\"\n#client_id = \"\"\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\n# A file, beside this one, with nothing in it but the password. Wanted:\n# %s.\n%s",
		password, setting("password_file", passwordFile))
	return b.String()
}

// setting is a line of TOML, whatever is in the value.
func setting(key string, value any) string {
	line, err := toml.Marshal(map[string]any{key: value})
	if err != nil {
		panic(err) // of a string or a number
	}
	return string(line)
}

// configFiles are the paths of a configuration and of its password.
type configFiles struct {
	config   string
	password string // "" if the provider takes none
	force    bool   // replace what is there
}

func newConfigFiles(o *initOptions, f discover.Finding) configFiles {
	c := configFiles{config: o.output, force: o.force}
	if !tokensOnly(f.Provider) {
		c.password = strings.TrimSuffix(o.output, ".toml") + ".password"
	}
	return c
}

// notReplaced is the error of a file that nobody has allowed to replace.
func notReplaced(path string) error {
	return fmt.Errorf("%s is there already; give another --output FILE, or --force to replace it", path)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// free sees that one of the files may be written.
func (c configFiles) free(path string) error {
	if !c.force && exists(path) {
		return notReplaced(path)
	}
	return nil
}

// ready tells whether the files could be written now.
func (c configFiles) ready() error {
	for _, path := range []string{c.config, c.password} {
		if path == "" {
			continue
		}
		if err := c.free(path); err != nil {
			return err
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return fmt.Errorf("%s is a directory; name a file in it with --output", path)
		}
	}
	dir := filepath.Dir(c.config)
	if err := writable(dir); err != nil {
		return fmt.Errorf("nothing can be written into %s; name another file with --output: %w", dir, errors.Unwrap(err))
	}
	return nil
}

// writable tells whether files can be made in dir.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".kurir-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// write creates both files, each whole or not at all; the password comes
// first, so that no configuration points to nothing. Without a password its
// file stays as it is.
func (c configFiles) write(config, password string) error {
	if password != "" {
		if err := c.writeOne(c.password, password+"\n"); err != nil {
			return err
		}
	}
	err := c.writeOne(c.config, config)
	if err != nil && password != "" && !c.force {
		_ = os.Remove(c.password) // it was made a moment ago; the error is about the other
	}
	return err
}

// writeOne creates a file that only its owner may read.
func (c configFiles) writeOne(path, text string) error {
	if err := c.free(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".kurir-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone already after a rename
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if !c.force {
		switch err := os.Link(f.Name(), path); { // unlike a rename it never replaces
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist):
			return notReplaced(path)
		} // not every file system has links
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// report says what was written, what is left to do, and what comes next.
func (c configFiles) report(stdout io.Writer, f discover.Finding, hasPassword bool) {
	next := "kurir check"
	switch {
	case c.password == "":
		next = "kurir login"
		fmt.Fprintf(stdout, "\nWritten: %s. Only you can read it.\n", c.config)
	case hasPassword:
		fmt.Fprintf(stdout, "\nWritten: %s, and the password in %s. Only you can read them.\n", c.config, c.password)
	case exists(c.password):
		fmt.Fprintf(stdout, "\nWritten: %s. The password is the one that %s has.\n", c.config, c.password)
	default:
		fmt.Fprintf(stdout, "\nWritten: %s. Now type the password, then Enter and Ctrl-D, into\n\n  install -m 0600 /dev/stdin %s\n", c.config, shellWord(c.password))
	}
	var missing []string
	if f.Host == "" {
		missing = append(missing, "host")
	}
	if f.Username == "" {
		missing = append(missing, "username")
	}
	if c.password == "" {
		missing = append(missing, "tenant", "client_id")
	}
	if len(missing) > 0 {
		fmt.Fprintf(stdout, "\nStill to be written in %s: %s.\n", c.config, strings.Join(missing, ", "))
	}
	fmt.Fprintf(stdout, "\nNext: %s --config %s\n", next, shellWord(c.config))
}

// shellWord quotes a path where a shell would not take it for one word.
func shellWord(path string) string {
	odd := strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@%,:=", r)
	})
	if !odd {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
