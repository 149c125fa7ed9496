//go:build linux

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// Debian has Postfix's daemons here, other systems there.
var postfixDaemons = []string{"/usr/lib/postfix/sbin", "/usr/libexec/postfix", "/usr/lib/postfix"}

const postfixUser, postfixPassword = "app@peers.test", "Königs-Pass wort%1"

// A postfix is a real Postfix with directories, ports, users and certificates
// of its own. It takes mail for everyone, from those who log in behind TLS,
// and keeps it in one Maildir.
type postfix struct {
	*scene
	dir    string
	prefix []string // what must stand before its command, such as "ip netns exec"
	ca     []byte

	// Under the lock.
	lines []string

	cmd  *exec.Cmd
	gone <-chan struct{}
}

// A submission is one port of a Postfix.
type submission struct {
	addr        string // "127.0.0.1:587"
	implicit    bool   // TLS from the first byte
	plain       bool   // no TLS at all
	certificate sandbox.Certificate
	options     []string // more of smtpd's settings: "name=value"
}

// newPostfix makes a Postfix that is not running, or skips the test.
func newPostfix(t *testing.T, s *scene, prefix []string, ports ...submission) *postfix {
	t.Helper()
	needPeers(t, "postfix", "saslpasswd2")
	if os.Geteuid() != 0 {
		missingPeer(t, "Postfix can only be started by root")
	}
	dir, err := os.MkdirTemp("", "kurir-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	p := &postfix{scene: s, dir: dir, prefix: prefix}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		os.RemoveAll(dir)
	})
	if err := p.setUp(ports); err != nil {
		t.Fatal(err)
	}
	return p
}

// owned makes a directory for a user other than root.
func owned(path string, mode fs.FileMode, owner *user.User) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	if err := os.Chown(path, uid, gid); err != nil {
		return err
	}
	return os.Chmod(path, mode) // whatever umask says
}

func (p *postfix) setUp(ports []submission) error {
	daemon, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	root := &user.User{Uid: "0", Gid: "0"}
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return err
	}
	for _, d := range []struct {
		name  string
		mode  fs.FileMode
		owner *user.User
	}{
		{"etc", 0o755, root}, {"etc/sasl", 0o755, root}, {"tls", 0o755, root},
		{"mail", 0o700, nobody}, {"data", 0o700, daemon},
		{"queue", 0o755, root}, {"queue/pid", 0o755, root},
		{"queue/active", 0o700, daemon}, {"queue/bounce", 0o700, daemon}, {"queue/corrupt", 0o700, daemon},
		{"queue/defer", 0o700, daemon}, {"queue/deferred", 0o700, daemon}, {"queue/flush", 0o700, daemon},
		{"queue/hold", 0o700, daemon}, {"queue/incoming", 0o700, daemon}, {"queue/private", 0o700, daemon},
		{"queue/saved", 0o700, daemon}, {"queue/trace", 0o700, daemon},
		{"queue/maildrop", 0o730, daemon}, {"queue/public", 0o710, daemon},
	} {
		if err := owned(filepath.Join(p.dir, d.name), d.mode, d.owner); err != nil {
			return err
		}
	}
	master, err := p.certificates(ports)
	if err != nil {
		return err
	}
	daemons, err := postfixDaemonDirectory()
	if err != nil {
		return err
	}
	files := map[string]string{
		"etc/main.cf":   strings.NewReplacer("DIR", p.dir, "DAEMONS", daemons, "UID", nobody.Uid, "GID", nobody.Gid).Replace(mainCF),
		"etc/master.cf": master + masterCF,
		// Debian's Postfix looks here, others in cyrus_sasl_config_path.
		"etc/sasl/smtpd.conf": fmt.Sprintf("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: %s/etc/sasl/users\n", p.dir),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return p.addUser()
}

// certificates makes those of all ports, and returns their lines of master.cf.
func (p *postfix) certificates(ports []submission) (lines string, err error) {
	authority, err := sandbox.NewAuthority()
	if err != nil {
		return "", err
	}
	p.ca = authority.PEM()
	for i, port := range ports {
		cert, err := authority.Issue(port.certificate)
		if err != nil {
			return "", err
		}
		path := filepath.Join(p.dir, "tls", strconv.Itoa(i)+".pem")
		if err := upstreamtest.WritePair(path, cert); err != nil {
			return "", err
		}
		lines += fmt.Sprintf("%s inet n - n - - smtpd -o smtpd_tls_chain_files=%s", port.addr, path)
		switch {
		case port.plain:
			lines += " -o smtpd_tls_security_level=none"
		case port.implicit:
			lines += " -o smtpd_tls_wrappermode=yes"
		}
		for _, o := range port.options {
			lines += " -o " + o
		}
		lines += "\n"
	}
	return lines, nil
}

func (p *postfix) addUser() error {
	name, realm, _ := strings.Cut(postfixUser, "@")
	users := filepath.Join(p.dir, "etc", "sasl", "users")
	add := exec.Command("saslpasswd2", "-p", "-c", "-f", users, "-u", realm, name)
	add.Stdin = strings.NewReader(postfixPassword)
	if said, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("saslpasswd2: %w: %s", err, said)
	}
	return os.Chmod(users, 0o644)
}

func postfixDaemonDirectory() (string, error) {
	for _, dir := range postfixDaemons {
		if _, err := os.Stat(filepath.Join(dir, "master")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("postfix: master is in none of %v", postfixDaemons)
}

// Nothing here slows a client down or judges its mail; what is left is what
// a provider asks for: TLS, then a login.
const mainCF = `compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
daemon_directory = DAEMONS
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
myhostname = localhost
mydestination =
inet_protocols = ipv4
enable_long_queue_ids = yes

virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:mail/
virtual_mailbox_base = DIR
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
virtual_uid_maps = static:UID
virtual_gid_maps = static:GID
alias_maps =
local_recipient_maps =

smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = no
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = DIR/etc/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions =
smtpd_peername_lookup = no

message_size_limit = 60000000
queue_minfree = 0
in_flow_delay = 0
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_new_tls_session_rate_limit = 0
smtpd_client_auth_rate_limit = 0
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
`

const masterCF = `cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
showq     unix  n - n - - showq
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
`

// start returns when Postfix takes connections.
func (p *postfix) start(ctx context.Context) error {
	daemons, err := postfixDaemonDirectory()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	argv := append(append([]string(nil), p.prefix...), filepath.Join(daemons, "master"), "-s", "-c", filepath.Join(p.dir, "etc"))
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // its processes are one group
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		p.cmd = nil
		return err
	}
	var ready, dead bool
	p.gone = p.follow(r, func(line string) {
		p.lines = append(p.lines, line)
		ready = ready || strings.Contains(line, "daemon started")
	})
	go func(gone <-chan struct{}) {
		<-gone
		p.change(func() { dead = true })
	}(p.gone)
	if err := p.until(ctx, "Postfix to start", func() bool { return ready || dead }); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if dead {
		return fmt.Errorf("postfix did not start:\n%s", strings.Join(p.lines, "\n"))
	}
	return nil
}

// kill ends all its processes at once; stop as an administrator does it.
func (p *postfix) kill() { p.end(-p.cmd.Process.Pid, syscall.SIGKILL) }
func (p *postfix) stop() { p.end(p.cmd.Process.Pid, syscall.SIGTERM) }

func (p *postfix) end(pid int, with syscall.Signal) {
	_ = syscall.Kill(pid, with)
	_ = p.cmd.Wait()
	<-p.gone // none of its processes is left
	p.cmd = nil
}

// drained waits until Postfix has delivered all it has taken.
func (p *postfix) drained(ctx context.Context) error {
	return p.until(ctx, "Postfix to deliver", func() bool {
		waiting := 0
		for _, queue := range []string{"incoming", "active", "deferred"} {
			_ = filepath.WalkDir(filepath.Join(p.dir, "queue", queue), func(_ string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return nil // gone already
				}
				// A file that cannot be executed was not received whole.
				if info, err := d.Info(); err == nil && info.Mode()&0o100 != 0 {
					waiting++
				}
				return nil
			})
		}
		return waiting == 0
	})
}

// An arrival is a message as Postfix has delivered it.
type arrival struct {
	token   string // the left side of its Message-ID
	id      string // Kurir's
	queueID string // Postfix's
	body    []byte // with CRLF again
}

var (
	messageIDOf = regexp.MustCompile(`(?mi)^Message-ID:\s*<([^@>]+)@`)
	kurirIDOf   = regexp.MustCompile(`\(Kurir\) with \S+ id ([^;\s]+);`)
	queueIDOf   = regexp.MustCompile(`\(Postfix[^)]*\)\s+with \S+ id (\S+)`)
)

// arrived reads the Maildir.
func (p *postfix) arrived() ([]arrival, error) {
	files, err := filepath.Glob(filepath.Join(p.dir, "mail", "new", "*"))
	if err != nil {
		return nil, err
	}
	var all []arrival
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		header, body, _ := bytes.Cut(content, []byte("\n\n"))
		a := arrival{body: bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))}
		for _, find := range []struct {
			what *regexp.Regexp
			into *string
		}{{messageIDOf, &a.token}, {kurirIDOf, &a.id}, {queueIDOf, &a.queueID}} {
			found := find.what.FindSubmatch(header)
			if found == nil {
				return nil, fmt.Errorf("%s: nothing matches %v in\n%s", file, find.what, header)
			}
			*find.into = string(found[1])
		}
		all = append(all, a)
	}
	return all, nil
}
