package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kurir/upstream/sandbox"
)

// A scene is what is known of the programs of one test. Whoever learns
// something says so by change; others wait for it by until.
type scene struct {
	mu      sync.Mutex
	changed chan struct{}
}

func newScene() *scene { return &scene{changed: make(chan struct{})} }

func (s *scene) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// until returns when the condition, which is looked at under the lock, holds.
func (s *scene) until(ctx context.Context, what string, condition func() bool) error {
	for {
		s.mu.Lock()
		holds, changed := condition(), s.changed
		s.mu.Unlock()
		if holds {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// follow reads lines until the last process that could write them is gone.
func (s *scene) follow(r io.ReadCloser, line func(string)) (gone <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer r.Close()
		lines := bufio.NewReader(r)
		for {
			text, err := lines.ReadString('\n')
			if text = strings.TrimRight(text, "\n"); text != "" {
				s.change(func() { line(text) })
			}
			if err != nil {
				return
			}
		}
	}()
	return ended
}

// An event is a line of Kurir's log, as far as tests look at it.
type event struct {
	Event      string
	ID         string
	MessageID  string `json:"message_id"`
	Upstream   string
	TLS        string
	Stage      string
	Cause      string
	Fix        string
	ElapsedMS  int64    `json:"elapsed_ms"`
	SMTP       []string `json:"smtp"`
	HTTP       string
	StateDir   string `json:"state_dir"`
	Maildir    string
	To         []string
	Candidates []event

	line string
}

// A relayProgram is Kurir as its users run it, through as many lives as it
// takes. Its log is that of all lives.
type relayProgram struct {
	*scene
	command []string // with its arguments, and whatever must stand before
	environ []string
	dir     string   // where it starts; "" = where the test is
	passed  *os.File // a socket that it gets as a service manager passes it; nil if none

	// Under the lock.
	events []event
	other  []string // lines that are no JSON
	up     bool

	cmd  *exec.Cmd
	gone <-chan struct{}
}

// plainEnviron is the environment of the test less what would be settings.
func plainEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KURIR_") })
}

// newRelay makes a Kurir that is not running. Its environment is that of the
// test less what would be settings.
func newRelay(t testing.TB, s *scene, command ...string) *relayProgram {
	t.Helper()
	p := &relayProgram{scene: s, command: command, environ: append(plainEnviron(), "KURIR_LOG_FORMAT=json", "KURIR_CONTROL_HTTP=127.0.0.1:0")}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if said := p.said(); len(said) > 0 { // a panic, or what the race detector found
			t.Errorf("Kurir wrote what is no line of a log:\n%s", strings.Join(said, "\n"))
		}
	})
	return p
}

// start returns when Kurir says that it takes mail.
func (p *relayProgram) start(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(p.command[0], p.command[1:]...)
	p.cmd.Env, p.cmd.Dir = p.environ, p.dir
	p.cmd.Stderr = w
	if p.passed != nil {
		p.cmd.ExtraFiles = []*os.File{p.passed}
	}
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		p.cmd = nil
		return err
	}
	dead := false
	p.gone = p.follow(r, p.read)
	go func(gone <-chan struct{}) {
		<-gone
		p.change(func() { dead = true })
	}(p.gone)
	err = p.until(ctx, "relay.started", func() bool { return p.up || dead })
	if err == nil && !p.isUp() {
		err = fmt.Errorf("kurir did not start:\n%s", strings.Join(p.said(), "\n"))
	}
	return err
}

func (p *relayProgram) read(line string) {
	e := event{line: line}
	if json.Unmarshal([]byte(line), &e) != nil {
		p.other = append(p.other, line)
		return
	}
	p.events = append(p.events, e)
	if e.Event == "relay.started" {
		p.up = true
	}
}

func (p *relayProgram) isUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up
}

func (p *relayProgram) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.other...)
}

// log is what was logged so far.
func (p *relayProgram) log() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]event(nil), p.events...)
}

// started is the newest relay.started.
func (p *relayProgram) started() (last event) {
	for _, e := range p.log() {
		if e.Event == "relay.started" {
			last = e
		}
	}
	return last
}

// kill ends it as kill -9 and a pulled plug do: between any two instructions.
func (p *relayProgram) kill() {
	p.change(func() { p.up = false })
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	<-p.gone
	p.cmd = nil
}

// stop ends it in good order; an exit code other than 0 is an error.
func (p *relayProgram) stop() error {
	p.change(func() { p.up = false })
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	err := p.cmd.Wait()
	<-p.gone
	p.cmd = nil
	return err
}

// writeConfig makes a configuration for a relay that keeps all it has in dir.
func writeConfig(t testing.TB, dir string, settings string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "kurir.toml")
	settings = fmt.Sprintf("state_dir = %q\n", filepath.Join(dir, "state")) + settings
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sandboxConfig makes a configuration for a sandbox, or what leads to it, that
// listens on a port; more are further settings.
func sandboxConfig(t testing.TB, dir string, p *sandbox.Server, port int, more string) (path string) {
	t.Helper()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, p.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	return writeConfig(t, dir, fmt.Sprintf(`[upstream]
host = "localhost"
port = %d
tls = "starttls"
username = "sandbox"
password = "sandbox"
ca_file = %q
`, port, ca)+more)
}

// freePort is a port of loopback that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// within bounds a test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// peakMemory is the most memory that a relay has had, in MB.
func peakMemory(tb testing.TB, p *relayProgram) float64 {
	tb.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if kilobytes, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(kilobytes)[0], 64)
			if err != nil {
				tb.Fatal(err)
			}
			return n / 1024
		}
	}
	tb.Fatal("/proc does not tell of memory")
	return 0
}

// withRaceDetector tells whether this program, which is Kurir too, needs more
// memory than Kurir does.
func withRaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// tail is the end of a log.
func tail(events []event) string {
	var b strings.Builder
	for _, e := range events[max(0, len(events)-15):] {
		b.WriteString(e.line + "\n")
	}
	return b.String()
}

// needPeers skips a test when a program is missing, or fails it where all
// must be there.
func needPeers(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missingPeer(t, program+" is not installed")
		}
	}
}

func missingPeer(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("KURIR_PEERS") == "required" {
		t.Fatal(why)
	}
	t.Skip(why)
}
