//go:build linux

package main_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"kurir/upstream/sandbox"
)

// An engine is a Podman with images, networks and volumes of its own, in which
// golang and php are made from $KURIR_WEB_ROOT: a Debian with PHPMailer. With
// the name docker it is in the $PATH of what people type.
type engine struct {
	dir     string
	environ []string
	ca      string // a file with the authority of the provider
}

// newEngine skips the test when something is missing, or fails it where all
// must be there.
func newEngine(ctx context.Context, t *testing.T, provider *sandbox.Server) *engine {
	t.Helper()
	needPeers(t, "podman", "runc", "iptables", "go")
	web := os.Getenv("KURIR_WEB_ROOT")
	switch _, err := os.Stat(filepath.Join(web, "usr/share/php/libphp-phpmailer")); {
	case os.Geteuid() != 0:
		missingPeer(t, "networks of containers need root")
	case web == "" || err != nil:
		missingPeer(t, "KURIR_WEB_ROOT is no Debian with php-cli, libphp-phpmailer and ca-certificates")
	}
	dir, err := os.MkdirTemp("", "kurir-podman-")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{dir: dir, ca: filepath.Join(dir, "ca.pem")}
	e.environ = append(plainEnviron(), "PATH="+dir+":"+os.Getenv("PATH"), "DISABLE_HC_SYSTEMD=true",
		"CONTAINERS_CONF="+filepath.Join(dir, "containers.conf"), "CONTAINERS_STORAGE_CONF="+filepath.Join(dir, "storage.conf"))
	t.Cleanup(func() {
		e.command(context.Background(), t, `for c in $(podman ps --all --quiet); do podman rm --force --depend --ignore --volumes "$c"; done`)
		_ = unix.Unmount(filepath.Join(dir, "graph/overlay"), unix.MNT_DETACH)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { // Kurir does not stay root
		t.Fatal(err)
	}
	from := strings.NewReplacer("=VERSION", "="+imageVersion, "DIR", dir, "GOROOT", goEnv(t, "GOROOT"), "GOMODCACHE", goEnv(t, "GOMODCACHE"), "GOCACHE", goEnv(t, "GOCACHE"))
	for name, text := range map[string]string{"containers.conf": containersConf, "storage.conf": storageConf, "docker": dockerCommand, "ca.pem": string(provider.CA())} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(from.Replace(text)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e.command(ctx, t, `tar -C "$0" -c . | podman import --quiet --change ENV=PATH=/usr/local/go/bin:/usr/bin:/bin - golang:1.26 && podman tag golang:1.26 php:apache`, web)
	return e
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// Inside other containers there are no control groups to delegate, and limits
// cannot be raised.
const (
	containersConf = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "none"
[network]
network_config_dir = "DIR/networks"
`
	storageConf = `[storage]
driver = "overlay"
graphroot = "DIR/graph"
runroot = "DIR/run"
`
	// What is missing in the images that stand in for the real ones, and at the
	// provider, which has no certificate of the world; what Docker does not do.
	dockerCommand = `#!/bin/sh
command=$1
shift
case $command in
build) set -- --quiet --format docker --pull-never --network none --volume GOROOT:/usr/local/go:ro \
	--volume GOMODCACHE/cache/download:/proxy:ro --volume GOCACHE:/root/.cache/go-build --build-arg GOPROXY=file:///proxy --build-arg VERSION=VERSION "$@" ;;
run) set -- --pull never --read-only-tmpfs=false --volume DIR/ca.pem:/ca.pem:ro --env KURIR_UPSTREAM_CA_FILE=/ca.pem "$@" ;;
exec) until podman exec "$1" kurir status >/dev/null 2>&1 || [ "$(podman inspect --format '{{.State.Status}}' "$1")" = exited ]; do :; done ;;
esac
exec podman "$command" "$@"
`
)

// command runs a line of shell in the top directory of the sources.
func (e *engine) command(ctx context.Context, t *testing.T, line string, args ...string) (stdout string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-ec", line}, args...)...)
	cmd.Dir, cmd.Env = "../..", e.environ
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", line, args, err, out, &said)
	}
	return strings.TrimSpace(string(out))
}

// remove ends a container and those that share its network.
func (e *engine) remove(t *testing.T, name string) {
	t.Helper()
	e.podman(context.Background(), t, "rm", "--force", "--depend", "--ignore", "--volumes", name)
}

func (e *engine) podman(ctx context.Context, t *testing.T, args ...string) (stdout string) {
	t.Helper()
	return e.command(ctx, t, `exec podman "$@"`, append([]string{"podman"}, args...)...)
}

// ready waits until the health check of a container passes.
func (e *engine) ready(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	for {
		check := exec.CommandContext(ctx, "podman", "healthcheck", "run", name)
		check.Env = e.environ
		if check.Run() == nil {
			return
		}
		if status := e.podman(ctx, t, "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name); !strings.HasPrefix(status, "running ") {
			t.Fatalf("%s is not running: %s\n%s", name, status, e.logs(ctx, t, name))
		}
	}
}

func (e *engine) logs(ctx context.Context, t *testing.T, name string) string {
	t.Helper()
	return e.command(ctx, t, `podman logs "$0" 2>&1`, name)
}

// process is the first process of a container, as this machine sees it.
func (e *engine) process(ctx context.Context, t *testing.T, name string) (dir string) {
	t.Helper()
	return "/proc/" + e.podman(ctx, t, "inspect", "--format", "{{.State.Pid}}", name)
}

// reach makes the provider answer on its usual ports on the loopback of a
// container, until cut. Nothing leaves the machine.
func (e *engine) reach(ctx context.Context, t *testing.T, name string, provider *sandbox.Server) (cut func()) {
	t.Helper()
	var running sync.WaitGroup
	var open []net.Listener
	over, end := context.WithCancel(context.Background())
	for port, to := range map[string]net.Addr{"587": provider.STARTTLS(), "465": provider.Implicit()} {
		l := inNetworkOf(t, e.process(ctx, t, name), func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:"+port) })
		open = append(open, l)
		running.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				running.Go(func() { join(over, conn, to) })
			}
		})
	}
	cut = sync.OnceFunc(func() {
		for _, l := range open {
			l.Close()
		}
		end()
		running.Wait()
	})
	t.Cleanup(cut)
	return cut
}

// join passes octets on in both directions until one side ends, or ctx.
func join(ctx context.Context, conn net.Conn, to net.Addr) {
	defer conn.Close()
	other, err := net.Dial(to.Network(), to.String())
	if err != nil {
		return
	}
	defer other.Close()
	defer context.AfterFunc(ctx, func() { conn.Close(); other.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(other, conn)
		other.Close()
	}()
	_, _ = io.Copy(conn, other)
	conn.Close()
	<-done
}

// inNetworkOf opens something in the network of a process.
func inNetworkOf[T any](t *testing.T, process string, open func() (T, error)) (opened T) {
	t.Helper()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		var network *os.File
		if network, err = os.Open(process + "/ns/net"); err != nil {
			return
		}
		defer network.Close()
		if err = unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err == nil {
			opened, err = open()
		}
	}()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// processStatus is a line of /proc/PID/status.
func processStatus(t *testing.T, process, key string) string {
	t.Helper()
	data, err := os.ReadFile(process + "/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + key + `:\s*(.*)$`).FindSubmatch(data)
	if found == nil {
		t.Fatalf("%s has no %s", process, key)
	}
	return string(found[1])
}

// idleMemory is the share of a process in the memory of the machine, in MB.
func idleMemory(t *testing.T, process string) float64 {
	t.Helper()
	data, err := os.ReadFile(process + "/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^Pss:\s*(\d+) kB$`).FindSubmatch(data)
	if found == nil {
		t.Fatalf("%s", data)
	}
	kilobytes, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return float64(kilobytes) / 1024
}

// website is a container with PHPMailer and what it is to send, with the given
// flags of "podman run".
func (e *engine) website(ctx context.Context, t *testing.T, name string, flags ...string) {
	t.Helper()
	dir := filepath.Join(e.dir, "app")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := composition("you@example.net")
	script, err := os.ReadFile("testdata/clients/phpmailer.php")
	if err != nil {
		t.Fatal(err)
	}
	files["phpmailer.php"] = string(script)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	flags = append([]string{"run", "--detach", "--pull", "never", "--stop-signal", "KILL", "--name", name, "--volume", dir + ":/app:ro", "--workdir", "/app"}, flags...)
	e.podman(ctx, t, append(flags, "php:apache", "sleep", "infinity")...)
}

// sends has a website send the composition, and hear that it was taken.
func (e *engine) sends(ctx context.Context, t *testing.T, website, host, to string) {
	t.Helper()
	e.podman(ctx, t, "exec", website, "php", "phpmailer.php", host, "25", to)
}

// arrive waits until a message for each recipient is at the provider, after
// those that were there before, and compares it with the composition.
func arrive(ctx context.Context, t *testing.T, provider *sandbox.Server, recipients ...string) {
	t.Helper()
	for n := 1; len(recipients) > 0; n++ {
		messages, err := provider.Wait(ctx, n)
		if err != nil {
			t.Fatalf("nothing arrived for %v: %v", recipients, err)
		}
		to := string(messages[n-1].Envelope.To[0].To)
		if i := slices.Index(recipients, to); i >= 0 {
			recipients = slices.Delete(recipients, i, i+1)
			judge(t, messages[n-1].Content)
		}
	}
}
