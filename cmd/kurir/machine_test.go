//go:build linux

package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is a Debian that systemd has booted, in a container with a network
// of its own. Everything in it is gone after the test.
type machine struct {
	*scene
	t       *testing.T // the step that is being done
	ctx     context.Context
	leader  int             // its process 1, as we see it
	journal <-chan struct{} // closed when nobody writes lines any more; nil before

	// Under the lock.
	lines []string // of the journal of kurir.service
}

// bootMachine boots the tree that $KURIR_BOOT_ROOT names, which stays as it
// is, with the source of Kurir at /src.
func bootMachine(ctx context.Context, t *testing.T) *machine {
	t.Helper()
	tree := os.Getenv("KURIR_BOOT_ROOT")
	if tree == "" {
		missingPeer(t, "KURIR_BOOT_ROOT does not name a tree to boot")
	}
	needPeers(t, "systemd-nspawn", "nsenter", "go")
	if os.Geteuid() != 0 {
		missingPeer(t, "only root can boot a container")
	}
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{scene: newScene(), t: t, ctx: ctx}
	told, err := net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "notify"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--directory=" + tree, "--volatile=overlay", "--machine=kurir-" + strconv.Itoa(os.Getpid()), "--bind-ro=" + source + ":/src",
		"--private-network", "--link-journal=no", "--register=no", "--console=pipe", "--notify-ready=yes", "--boot",
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil { // no systemd here that could make a scope for it
		args = slices.Insert(args, 0, "--keep-unit")
	}
	var console bytes.Buffer
	nspawn := exec.Command("systemd-nspawn", args...)
	nspawn.Env = append(os.Environ(), "NOTIFY_SOCKET="+told.LocalAddr().String())
	nspawn.Stdout, nspawn.Stderr = &console, &console
	if err := nspawn.Start(); err != nil {
		told.Close()
		t.Fatal(err)
	}
	ready, dead := false, false
	ended, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = nspawn.Wait()
		m.change(func() { dead = true })
	}()
	go func() {
		defer close(heard)
		for buf := make([]byte, 4096); ; { // to the end: nspawn waits for who does not read
			n, _, err := told.ReadFrom(buf)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(buf[:n])) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				m.change(func() {
					switch name {
					case "X_NSPAWN_LEADER_PID":
						m.leader, _ = strconv.Atoi(value)
					case "READY":
						ready = true
					}
				})
			}
		}
	}()
	t.Cleanup(func() {
		if m.leader > 0 {
			_ = unix.Kill(m.leader, unix.SIGKILL) // and with it all that runs there
		} else {
			_ = nspawn.Process.Kill()
		}
		<-ended
		told.Close()
		<-heard
		if m.journal != nil {
			<-m.journal
		}
	})
	err = m.until(ctx, "the container to boot", func() bool { return ready || dead })
	if err != nil || dead {
		_ = nspawn.Process.Kill() // with what it has begun
		<-ended
		t.Fatalf("the container did not boot (%v):\n%s", err, &console)
	}
	m.followJournal()
	return m
}

// followJournal has lines grow as Kurir and systemd write them.
func (m *machine) followJournal() {
	r, w, err := os.Pipe()
	if err != nil {
		m.t.Fatal(err)
	}
	journal := m.command("journalctl", "--follow", "--no-tail", "--output=cat", "--unit=kurir.service")
	journal.Stdout = w
	err = journal.Start()
	w.Close()
	if err != nil {
		r.Close()
		m.t.Fatal(err)
	}
	gone := m.follow(r, func(line string) { m.lines = append(m.lines, line) })
	ended := make(chan struct{})
	m.journal = ended
	go func() {
		<-gone
		_ = journal.Wait()
		close(ended)
	}()
}

// command is one that is run in the machine, by root.
func (m *machine) command(argv ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(m.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"}
	c := exec.CommandContext(m.ctx, "nsenter", append(enter, argv...)...)
	c.WaitDelay = time.Second // what nsenter started goes on without it
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	return c
}

// try runs a line of shell in the machine, where the source is.
func (m *machine) try(line string) (said string, err error) {
	out, err := m.command("sh", "-c", "cd /src && { "+line+"\n}").CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// do is try, and must work.
func (m *machine) do(line string) (said string) {
	m.t.Helper()
	said, err := m.try(line)
	m.must(err, line+"\n"+said)
	return said
}

// nobody runs a line as a user who has no right but to exist.
func (m *machine) nobody(line string) (said string, err error) {
	return m.try("setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '" + line + "'")
}

func (m *machine) must(err error, what string) {
	m.t.Helper()
	if err == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t.Fatalf("%s\n%v\nthe journal ends so:\n%s", what, err, strings.Join(m.lines[max(0, len(m.lines)-25):], "\n"))
}

// path is that of one of its files, for us.
func (m *machine) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.leader, name)
}

// write writes a file; one that exists keeps its owner and mode.
func (m *machine) write(name, text string) {
	m.t.Helper()
	m.must(errors.Join(os.MkdirAll(filepath.Dir(m.path(name)), 0o755), os.WriteFile(m.path(name), []byte(text), 0o644)), name)
}

// show is a property of kurir.service.
func (m *machine) show(property string) string {
	m.t.Helper()
	return m.do("systemctl show --value --property=" + property + " kurir.service")
}

// want compares what a line says.
func (m *machine) want(line, want string) {
	m.t.Helper()
	if got := m.do(line); got != want {
		m.t.Errorf("%s\nsays:\n%s\nwant:\n%s", line, got, want)
	}
}

// inside has f done by a thread that is in the machine's network: sockets that
// it opens belong there. The thread is not used again.
func (m *machine) inside(f func() error) error {
	ended := make(chan error)
	go func() {
		runtime.LockOSThread()
		network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.leader))
		if err == nil {
			err = errors.Join(unix.Setns(int(network.Fd()), unix.CLONE_NEWNET), network.Close())
		}
		if err == nil {
			err = f()
		}
		ended <- err
	}()
	return <-ended
}

// dial connects to its port 25.
func (m *machine) dial() (conn net.Conn, err error) {
	err = m.inside(func() error {
		conn, err = net.Dial("tcp", "127.0.0.1:25")
		return err
	})
	return conn, err
}

// said counts the lines of the journal that have a text; the caller has the lock.
func (m *machine) said(text string) (n int) {
	for _, line := range m.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// hear does something and returns when the journal has another line with the text.
func (m *machine) hear(text string, do func()) {
	m.t.Helper()
	m.mu.Lock()
	before := m.said(text)
	m.mu.Unlock()
	do()
	m.must(m.until(m.ctx, text, func() bool { return m.said(text) > before }), "the journal does not have it")
}
