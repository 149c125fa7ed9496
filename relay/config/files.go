package config

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"kurir/upstream/redact"
)

// passwordKeys are the ways to give the password, of which one is used.
var passwordKeys = []string{"password", "password_file", "password_command"}

// checkLogin gets the password, and sees that it comes with a user name.
func (l *loader) checkLogin(i int) {
	if l.opts.Asking {
		return
	}
	u := &l.cfg.Upstreams[i]
	at := func(name string) key { return upstreamKey(i, name) }
	var given []string
	for _, name := range passwordKeys {
		if k := at(name); l.isSet(k) || l.given(k) && l.faultyAt(k) {
			given = append(given, name)
		}
	}
	for n := 1; n < len(given); n++ {
		l.fault(at(given[n]), "is given as well as "+given[0], "keep one of them")
	}
	if u.Password != "" {
		l.checkPassword(at("password"), u.Password)
		if at := l.origins[at("password")]; at.file != "" {
			l.warnReadable(key{upstreamSection, i, "password"}, at.file)
		}
	}
	if u.PasswordFile != "" {
		password, problem := readPassword(u.PasswordFile)
		switch {
		case problem != "":
			l.fault(at("password_file"), u.PasswordFile+": "+problem, "put the password in that file, readable by Kurir")
		case len(given) == 1:
			u.Password = password
			l.checkPassword(at("password_file"), u.Password)
			l.warnReadable(at("password_file"), u.PasswordFile)
		}
	}
	if l.opts.Sandbox {
		return
	}
	hasUser := u.Username != "" || l.faultyAt(at("username"))
	if u.OAuth2.Used() || l.faultyAt(key{oauth2Section, i, "flow"}) {
		l.checkTokenLogin(i, given, hasUser)
		return
	}
	if len(given) == 0 && hasUser && i == 0 && l.credential(u) {
		given = append(given, "credential")
	}
	if u.Username != strings.TrimSpace(u.Username) || strings.ContainsFunc(u.Username, isControl) {
		l.fault(at("username"), "has blanks around it or control characters in it", l.write(at("username"), strings.TrimSpace(strings.Join(strings.FieldsFunc(u.Username, isControl), ""))))
	}
	switch {
	case hasUser && len(given) == 0 && u.ClientCert == "" && !l.faultyAt(at("password")) && !l.faultyAt(at("password_file")) && !l.faultyAt(at("password_command")):
		l.fault(at("password"), "is missing, for there is a username",
			l.write(at("password"), "…")+", or "+l.assignment(at("password_file"), example(at("password_file"))))
	case !hasUser && len(given) > 0:
		l.fault(at("username"), "is missing, for there is a "+given[0], l.write(at("username"), example(at("username"))))
	}
}

// credential takes the password that systemd hands over (systemd.exec,
// LoadCredential=). Only the first upstream gets it: to send it to a second
// provider would give it away. An empty one is what a unit has to give for a
// file that may be missing (SetCredential=), and counts as none. For who runs
// Kurir by hand it is where kurir.service has it from.
func (l *loader) credential(u *Upstream) bool {
	dir := l.env["CREDENTIALS_DIRECTORY"]
	if dir == "" && l.file == l.system.config {
		dir = filepath.Dir(l.file)
	}
	if dir == "" {
		return false
	}
	path := filepath.Join(dir, "password")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	k := upstreamKey(0, "password")
	password, problem := readPassword(path)
	if problem != "" {
		l.fault(k, "the systemd credential "+path+": "+problem, "see LoadCredential= in the unit")
		return true
	}
	if u.Password = password; password == "" {
		return false
	}
	l.checkPassword(k, u.Password)
	return true
}

func (l *loader) checkPassword(k key, password Secret) {
	if problem := passwordProblem(password); problem != "" {
		l.fault(k, problem, "give the password alone")
	}
}

// passwordProblem says why a text cannot be a password, without showing it.
func passwordProblem(password Secret) string {
	switch {
	case password == "":
		return "is empty"
	case strings.ContainsAny(string(password), "\r\n"):
		return "has more than one line"
	case strings.ContainsRune(string(password), 0):
		return "has a zero byte in it" // RFC 4616: NUL separates what PLAIN sends
	case len(password) > 4096:
		return "is too long for a password"
	}
	return ""
}

// warnReadable warns if everybody on this machine can read a password.
func (l *loader) warnReadable(k key, path string) {
	const others = 0o004
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&others == 0 || strings.HasPrefix(path, "/run/secrets/") {
		return // container managers make theirs readable, for one user who is alone
	}
	what := "password"
	if k.section == oauth2Section {
		what = "secret"
	}
	l.warn(k, path, fmt.Sprintf("everybody on this machine can read the %s: chmod o= %s", what, path))
}

// checkCertificates reads the PEM files, so that a wrong path is found now and
// not with the first message.
func (l *loader) checkCertificates(i int) {
	u := &l.cfg.Upstreams[i]
	at := func(name string) key { return upstreamKey(i, name) }
	if u.CAFile != "" {
		text, problem := readSmall(u.CAFile)
		if problem = cmp.Or(problem, authorityProblem([]byte(text))); problem != "" {
			l.fault(at("ca_file"), u.CAFile+": "+problem, "give the path of a PEM file with the authority's certificate")
		}
	}
	l.checkPair(at("client_cert"), at("client_key"), u.ClientCert, u.ClientKey)
}

// checkPair reads a certificate and its key, of which neither is of use alone.
func (l *loader) checkPair(cert, certKey key, certPath, keyPath string) {
	switch {
	case certPath == "" && keyPath == "":
		return
	case certPath == "" && !l.faultyAt(cert):
		l.fault(cert, "is missing, for there is a "+certKey.name, l.write(cert, example(cert)))
	case keyPath == "" && !l.faultyAt(certKey):
		l.fault(certKey, "is missing, for there is a "+cert.name, l.write(certKey, example(certKey)))
	}
	read := func(k key, path string) (text string) {
		if path == "" {
			return ""
		}
		text, problem := readSmall(path)
		if block, _ := pem.Decode([]byte(text)); block == nil {
			text, problem = "", cmp.Or(problem, "there is no PEM block in it")
			l.fault(k, path+": "+problem, "give the path of a PEM file")
		}
		return text
	}
	certText, keyText := read(cert, certPath), read(certKey, keyPath)
	if certText == "" || keyText == "" {
		return
	}
	if _, err := tls.X509KeyPair([]byte(certText), []byte(keyText)); err != nil {
		l.fault(cert, "does not go with "+certKey.name+": "+strings.TrimPrefix(err.Error(), "tls: "), "give a certificate and its own key, both PEM, the key without a passphrase")
	}
}

func authorityProblem(text []byte) string {
	found := "there is no PEM certificate in it"
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			found = "there is a " + quote(block.Type) + " in it and no certificate"
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "a certificate in it is damaged: " + strings.TrimPrefix(err.Error(), "x509: ")
		}
		return ""
	}
	return found
}

// commandTime is how long a password_command may take.
const commandTime = 10 * time.Second

// Resolve runs the password_command of each upstream that has one, and sets
// its Password. It ends when ctx does; each command has ten seconds. The error
// is Faults.
func (c *Config) Resolve(ctx context.Context) error {
	var faults Faults
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		if u.PasswordCommand == "" {
			continue
		}
		password, err := u.FetchPassword(ctx)
		if err == nil {
			u.Password = password
			continue
		}
		problem := err.Error()
		if len(c.Upstreams) > 1 {
			problem = "(for " + u.Host + ") " + problem
		}
		faults = append(faults, Fault{
			File: c.File, Key: upstreamKey(i, "password_command").String(),
			Problem: problem, Instead: "write a command that prints the password and nothing else",
		})
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// FetchPassword gets the password again from where it came from, which may
// have another one by now: PasswordCommand runs, and PasswordFile is read.
func (u *Upstream) FetchPassword(ctx context.Context) (Secret, error) {
	password, problem := u.Password, ""
	switch {
	case u.PasswordCommand != "":
		password, problem = runPassword(ctx, u.PasswordCommand)
	case u.PasswordFile != "":
		password, problem = readPassword(u.PasswordFile)
	}
	if problem = cmp.Or(problem, passwordProblem(password)); problem != "" {
		return "", errors.New(problem)
	}
	return password, nil
}

// runPassword returns the first words of what the command says on stderr as
// part of the problem, but never what it printed.
func runPassword(ctx context.Context, command string) (password Secret, problem string) {
	limited, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	var out, complaint head
	cmd := exec.CommandContext(limited, "/bin/sh", "-c", command)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.WaitDelay = time.Second // a child of the shell may hold the pipes open
	err := cmd.Run()
	text := trimLineEnd(string(out))
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", "was broken off"
	case limited.Err() != nil:
		return "", "took longer than " + Duration(commandTime).String()
	case errors.As(err, &exit):
		said, _, _ := strings.Cut(strings.TrimSpace(string(complaint)), "\n")
		if said = redact.New(text).Redact(said); said != "" {
			return "", fmt.Sprintf("failed (%s), saying %s", exit, quote(said))
		}
		return "", fmt.Sprintf("failed (%s)", exit)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // it ended well, and left something running
		return "", "cannot be run: " + err.Error()
	}
	return Secret(text), ""
}

// head keeps the beginning of what is written to it.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	const most = 8 << 10
	*h = append(*h, p[:min(len(p), most-len(*h))]...)
	return len(p), nil
}

// readPassword reads a file as editors leave it: a mark of UTF-8 and the last
// line end are no part of the password.
func readPassword(path string) (password Secret, problem string) {
	text, problem := readSmall(path)
	return Secret(trimLineEnd(strings.TrimPrefix(text, "\ufeff"))), problem
}

// trimLineEnd cuts the one line end that editors and echo leave.
func trimLineEnd(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
