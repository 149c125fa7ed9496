//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// An installation is Kurir on a machine, as README.md installs it, with a
// provider that is there too.
type installation struct {
	*machine
	smartHost *sandbox.Server
	config    string // that works

	// Under the lock.
	begun int
	taken map[string]bool // what was accepted
}

const (
	bootConfig = "/etc/kurir/kurir.toml"
	started    = `"event":"relay.started"`
)

// Who installs the service by the lines of README.md gets one that loses
// nothing and refuses nobody, whatever befalls it, that can do no more than it
// must, and that goes without a trace but the mail (P1, P2).
func TestBoot(t *testing.T) {
	ctx := within(t, 5*time.Minute)
	s := &installation{machine: bootMachine(ctx, t), taken: map[string]bool{}}
	s.must(s.inside(func() error {
		s.smartHost = upstreamtest.Sandbox(t, sandbox.Options{Username: "app@example.com", Password: checkPassword})
		return nil
	}), "a provider")
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"install", s.install},
		{"modes", s.modes},
		{"kill", s.kill},
		{"restarts", s.restarts},
		{"reload", s.reload},
		{"watchdog", s.watchdog},
		{"password", s.password},
		{"upgrade", s.upgrade},
		{"down", s.down},
		{"fault", s.fault},
		{"uninstall", s.uninstall},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			s.t = t
			step.do()
			s.arrive()
		}) {
			break
		}
	}
	s.t = t
}

// message makes one that is like no other.
func (s *installation) message() (token, text string) {
	s.change(func() {
		s.begun++
		token = fmt.Sprintf("token-%d.", s.begun)
	})
	return token, "Subject: " + token + "\r\n\r\nx\r\n"
}

// arrive waits until the provider has all that was accepted (P1).
func (s *installation) arrive() {
	s.t.Helper()
	for n := len(s.taken); ; n++ {
		messages, err := s.smartHost.Wait(s.ctx, n)
		s.must(err, "the provider has not got all that was accepted")
		n = len(messages)
		missing := maps.Clone(s.taken)
		for _, m := range messages {
			_, token, _ := strings.Cut(string(m.Content), "Subject: ")
			token, _, _ = strings.Cut(token, "\r\n")
			delete(missing, token)
		}
		if len(missing) == 0 {
			return
		}
	}
}

// send hands a message in over port 25.
func (s *installation) send() {
	s.t.Helper()
	conn, err := s.dial()
	s.must(err, "connect")
	defer conn.Close()
	app, err := smtp.NewClient(conn, "localhost")
	s.must(err, "greeting")
	token, text := s.message()
	s.must(sendOver(app, text), "a message")
	s.change(func() { s.taken[token] = true })
}

// sendmail hands a message in as a user without rights.
func (s *installation) sendmail() {
	s.t.Helper()
	token, _ := s.message()
	said, err := s.nobody(`printf "Subject: ` + token + `\n\nx\n" | kurir sendmail you@example.com`)
	s.must(err, said)
	s.change(func() { s.taken[token] = true })
}

// dropped is how many files wait in the drop directory.
func (s *installation) dropped() int {
	s.t.Helper()
	files, err := os.ReadDir(s.path("/var/lib/kurir/drop"))
	s.must(err, "the drop directory")
	return len(files)
}

// install does what README.md says, line by line.
func (s *installation) install() {
	readme, err := os.ReadFile("../../README.md")
	s.must(err, "README.md")
	_, section, _ := strings.Cut(string(readme), "\n## As a systemd service\n")
	blocks := indented(section)
	if len(blocks) == 0 || !strings.HasPrefix(blocks[0], "go build -o /usr/bin/kurir ") || !strings.Contains(blocks[0], "systemctl enable --now ") {
		s.t.Fatalf("README.md does not show how to install the service: %q", blocks)
	}
	s.write("/etc/kurir/ca.pem", string(s.smartHost.CA()))
	for line := range strings.Lines(blocks[0]) {
		switch {
		case strings.HasPrefix(line, "go build "): // Go is on our side
			build := exec.CommandContext(s.ctx, "sh", "-c", strings.Replace(line, "/usr/bin/kurir", s.path("/usr/bin/kurir"), 1))
			build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
			out, err := build.CombinedOutput()
			s.must(err, line+string(out))
		case strings.HasPrefix(line, "systemctl enable "):
			s.configure()
			s.hear(started, func() { s.do(line) })
		default:
			s.do(line)
		}
	}
	s.send()
	s.want("systemctl is-enabled kurir.socket kurir.service", "enabled\nenabled")
}

// configure puts the provider's data into the example.
func (s *installation) configure() {
	example, err := os.ReadFile(s.path(bootConfig))
	s.must(err, "the configuration")
	s.config = strings.NewReplacer(
		`host = "smtp.example.com"`, fmt.Sprintf("host = \"127.0.0.1\"\nport = %d\ntls = \"starttls\"\nca_file = \"/etc/kurir/ca.pem\"", s.smartHost.STARTTLS().Port),
		`"you@example.com"`, `"app@example.com"`,
		`password = "secret"`, fmt.Sprintf("password = %q", checkPassword),
		`#retry_min = "1m"`, `retry_min = "1s"`,
		`#retry_max = "1h"`, `retry_max = "1s"`,
	).Replace(string(example))
	s.write(bootConfig, s.config)
}

// modes looks at what Kurir may do, and others with what is Kurir's.
func (s *installation) modes() {
	s.want("stat -c '%a %U:%G %n' "+bootConfig+" /run/kurir /run/kurir/control.sock /var/lib/kurir /var/lib/kurir/*", strings.Join([]string{
		"640 root:kurir " + bootConfig,
		"750 kurir:kurir /run/kurir",
		"660 kurir:kurir /run/kurir/control.sock",
		"711 kurir:kurir /var/lib/kurir",
		"1733 kurir:kurir /var/lib/kurir/drop",
		"700 kurir:kurir /var/lib/kurir/history",
		"600 kurir:kurir /var/lib/kurir/route-0.json",
		"700 kurir:kurir /var/lib/kurir/spool",
	}, "\n"))
	for _, line := range []string{
		"cat " + bootConfig, "ls /var/lib/kurir", "ls /var/lib/kurir/drop", "ls /var/lib/kurir/spool", "touch /var/lib/kurir/x", "kurir queue list",
	} {
		if said, err := s.nobody(line); err == nil {
			s.t.Errorf("everybody can do this: %s\n%s", line, said)
		}
	}
	s.do("setpriv --reuid 65534 --regid kurir --clear-groups env HOME=/home/x kurir status") // by who is in its group
	s.want("stat -c %U /proc/"+s.show("MainPID"), "kurir")
	s.want("grep -c '^Cap.*:.0000000000000000$' /proc/"+s.show("MainPID")+"/status", "5")
	said := s.do("systemd-analyze --no-pager security kurir.service")
	overall := regexp.MustCompile(`exposure level for kurir.service: ([0-9.]+)`).FindStringSubmatch(said)
	if len(overall) == 0 {
		s.t.Fatal(said)
	}
	s.t.Log(overall[0])
	if exposure, err := strconv.ParseFloat(overall[1], 64); err != nil || exposure >= 1.5 {
		s.t.Error(said)
	}
	s.want("systemd-analyze verify kurir.service kurir.socket", "")
	s.want("systemctl is-system-running", "running")
}

// kill is kill -9: systemd starts another.
func (s *installation) kill() {
	s.hear(started, func() { s.do("systemctl kill --signal=KILL kurir.service") })
	s.send()
	if n := s.show("NRestarts"); n != "1" {
		s.t.Errorf("NRestarts=%s", n)
	}
}

// restarts restarts while apps send: none is refused.
func (s *installation) restarts() {
	t, over := s.t, make(chan struct{})
	var apps sync.WaitGroup
	for range 3 {
		apps.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				conn, err := s.dial()
				if err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				app, err := smtp.NewClient(conn, "localhost")
				token, text := s.message()
				if err == nil && sendOver(app, text) == nil { // else it comes again
					s.change(func() { s.taken[token] = true })
				}
				conn.Close()
			}
		})
	}
	for range 10 {
		due := -1
		s.must(s.until(s.ctx, "mail to be taken", func() bool {
			if due < 0 {
				due = len(s.taken) + 20
			}
			return len(s.taken) >= due || t.Failed()
		}), "restarts")
		s.do("systemctl restart kurir.service")
	}
	close(over)
	apps.Wait()
	t.Logf("%d taken when 10 restarts were over", len(s.taken))
}

// reload takes a configuration that works, tells of one that does not and goes
// on without it, and ends no process.
func (s *installation) reload() {
	pid := s.show("MainPID")
	s.write(bootConfig, strings.Replace(s.config, `#wait = "4s"`, `wait = "4 minuts"`, 1))
	s.hear("delivery.wait", func() {
		if said, err := s.try("systemctl reload kurir"); err == nil {
			s.t.Errorf("it worked: %s", said)
		}
	})
	s.send()
	s.config = strings.Replace(s.config, `#wait = "4s"`, `wait = "3s"`, 1)
	s.write(bootConfig, s.config)
	s.hear(`"event":"relay.reloaded"`, func() { s.do("systemctl reload kurir") })
	s.send()
	if now := s.show("MainPID"); now != pid {
		s.t.Errorf("process %s became %s", pid, now)
	}
}

// watchdog stops the process, which systemd takes for one that hangs.
func (s *installation) watchdog() {
	const dropIn = "/run/systemd/system/kurir.service.d/watchdog.conf"
	s.write(dropIn, "[Service]\nWatchdogSec=1s\n")
	s.do("systemctl daemon-reload && systemctl restart kurir")
	s.hear(started, func() {
		s.hear("Watchdog timeout", func() { s.do("systemctl kill --signal=STOP kurir.service") })
	})
	s.send()
	s.do("rm " + dropIn + " && systemctl daemon-reload && systemctl restart kurir")
}

// password is kept in a file that Kurir itself cannot read.
func (s *installation) password() {
	s.do("install -m 0600 /dev/null /etc/kurir/password")
	s.write("/etc/kurir/password", checkPassword+"\n")
	s.write(bootConfig, strings.Replace(s.config, fmt.Sprintf("password = %q\n", checkPassword), "", 1))
	s.do("systemctl restart kurir")
	s.send()
	s.do("systemctl reload kurir && kurir status && kurir check")
	s.write(bootConfig, s.config)
	s.do("rm /etc/kurir/password && systemctl restart kurir")
}

// upgrade replaces the program while mail waits for the provider.
func (s *installation) upgrade() {
	away := map[explain.Stage]sandbox.Act{explain.StageGreeting: {Reply: "421 4.3.2 Not now"}}
	s.must(s.smartHost.Set(sandbox.Behaviour{Script: away}), "the provider")
	s.send()
	s.do("cp /usr/bin/kurir /usr/bin/kurir.new && mv /usr/bin/kurir.new /usr/bin/kurir")
	s.hear(started, func() { s.do("systemctl restart kurir") })
	s.want("readlink /proc/"+s.show("MainPID")+"/exe", "/usr/bin/kurir")
	if waiting := s.do("kurir queue list"); !strings.Contains(waiting, "you@example.com") {
		s.t.Errorf("nothing waits:\n%s", waiting)
	}
	s.must(s.smartHost.Set(sandbox.Behaviour{}), "the provider")
}

// down is when nothing listens: every user can leave mail all the same.
func (s *installation) down() {
	s.do("systemctl stop kurir.socket kurir.service")
	if conn, err := s.dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		s.t.Errorf("%v, %v", conn, err)
	}
	s.sendmail()
	if n := s.dropped(); n != 1 {
		s.t.Errorf("%d files in the drop directory", n)
	}
	s.do("systemctl start kurir.service") // and the socket with it
}

// fault is a configuration that does not load: Kurir is not started again by
// itself, apps do not wait for nothing, and mail of sendmail is kept.
func (s *installation) fault() {
	s.write(bootConfig, strings.Replace(s.config, `wait = "3s"`, `wait = "3 seks"`, 1))
	if said, err := s.try("systemctl restart kurir"); err == nil {
		s.t.Errorf("it started: %s", said)
	}
	s.want("systemctl show --property=SubState,Result,ExecMainStatus,NRestarts kurir.service", "Result=exit-code\nNRestarts=0\nExecMainStatus=78\nSubState=failed")
	status, _ := s.try("systemctl --no-pager status kurir")
	if !strings.Contains(status, "78") || !strings.Contains(status, "delivery.wait: ") {
		s.t.Errorf("systemctl status does not say why:\n%s", status)
	}
	s.sendmail()
	if n := s.dropped(); n != 1 {
		s.t.Errorf("%d files in the drop directory", n)
	}
	if conn, err := s.dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		s.t.Errorf("apps wait for a Kurir that cannot start: %v, %v", conn, err)
	}
	s.write(bootConfig, s.config)
	s.do("systemctl reset-failed kurir.service && systemctl start kurir.service")
	s.send()
}

// uninstall leaves the mail and the settings, and nothing that runs.
func (s *installation) uninstall() {
	readme, err := os.ReadFile("../../README.md")
	s.must(err, "README.md")
	_, line, _ := strings.Cut(string(readme), "`systemctl disable --now ")
	line, _, _ = strings.Cut(line, "`")
	s.do("systemctl disable --now " + line)
	s.do("rm /etc/systemd/system/kurir.* /etc/sysusers.d/kurir.conf /usr/bin/kurir && systemctl daemon-reload")
	s.want("systemctl list-unit-files --no-legend 'kurir*' || true", "")
	s.want("systemctl is-system-running", "running")
	var conn net.Conn
	if conn, err = s.dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		s.t.Errorf("%v, %v", conn, err)
	}
	if _, err := os.Stat(filepath.Join(s.path("/var/lib/kurir"), "spool")); err != nil {
		s.t.Error(err)
	}
}
