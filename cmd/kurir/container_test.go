//go:build linux

package main_test

import (
	"context"
	"io"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

const (
	imageSize    = 20_000_000 // that it may have, in octets
	imageVersion = "v0.0.0-test"
)

// The website in a container is whom Kurir is for: what the README and
// compose.example.yaml tell is run as it stands, with a real website, and its
// mail arrives (promise P1), also what was taken by a container that is gone.
func TestContainers(t *testing.T) {
	ctx := within(t, 5*time.Minute)
	provider := upstreamtest.Sandbox(t, sandbox.Options{Username: "you@example.com", Password: "secret"})
	e := newEngine(ctx, t, provider)
	build, run := readmeContainer(t)
	e.command(ctx, t, build)
	t.Run("image", func(t *testing.T) { e.image(ctx, t) })
	t.Run("README", func(t *testing.T) {
		e.website(ctx, t, "website", "--sysctl", "net.ipv4.ip_unprivileged_port_start=0")
		defer e.remove(t, "website")
		e.reach(ctx, t, "website", provider)
		if said := e.command(ctx, t, run); !strings.Contains(said, "Mail would go out") {
			t.Errorf("%s", said)
		}
		e.sends(ctx, t, "website", "localhost", "you@example.net")
		arrive(ctx, t, provider, "you@example.net")
	})
	compose := newCompose(t, e)
	t.Run("sidecar", func(t *testing.T) {
		e.website(ctx, t, "website", compose.flags(t, "website")...)
		defer e.remove(t, "website")
		cut := e.reach(ctx, t, "website", provider)
		compose.up(ctx, t, "kurir")
		e.sends(ctx, t, "website", "localhost", "beside@example.net")
		arrive(ctx, t, provider, "beside@example.net")

		// With the provider away mail waits, also for the next container.
		cut()
		e.sends(ctx, t, "website", "localhost", "waiting@example.net")
		e.stops(ctx, t, "kurir", "website", "late@example.net")
		e.podman(ctx, t, "rm", "kurir")
		e.reach(ctx, t, "website", provider)
		compose.up(ctx, t, "kurir")
		e.podman(ctx, t, "exec", "kurir", "kurir", "queue", "flush")
		arrive(ctx, t, provider, "waiting@example.net", "late@example.net")
	})
	t.Run("several websites", func(t *testing.T) {
		for _, network := range []string{"websites", "elsewhere"} {
			e.podman(ctx, t, "network", "create", network)
			defer e.podman(context.Background(), t, "network", "rm", "--force", network) // with the containers in it
		}
		compose.up(ctx, t, "relay")
		e.reach(ctx, t, "relay", provider)
		e.website(ctx, t, "shop", compose.flags(t, "shop")...)
		e.sends(ctx, t, "shop", "relay", "shop@example.net")
		arrive(ctx, t, provider, "shop@example.net")

		e.website(ctx, t, "stranger", "--network", "elsewhere")
		address := e.podman(ctx, t, "inspect", "--format", "{{.NetworkSettings.Networks.websites.IPAddress}}", "relay")
		greeting := e.podman(ctx, t, "exec", "stranger", "php", "-r", `echo fgets(fsockopen($argv[1], 25));`, address)
		if !strings.HasPrefix(greeting, "554") {
			t.Errorf("a container of another network is told %q", greeting)
		}
	})
}

// image looks at the image by itself: small, with the authorities and time
// zones of the world, and without any right.
func (e *engine) image(ctx context.Context, t *testing.T) {
	size, err := strconv.Atoi(e.podman(ctx, t, "image", "inspect", "--format", "{{.Size}}", "kurir"))
	if err != nil || size > imageSize {
		t.Errorf("the image has %d octets, and should not have more than %d (%v)", size, imageSize, err)
	}
	if said := e.podman(ctx, t, "run", "--rm", "kurir", "version"); said != "kurir "+imageVersion {
		t.Errorf("kurir version says %q", said)
	}
	e.podman(ctx, t, "run", "--detach", "--name", "alone", "--read-only", "--read-only-tmpfs=false", "--tmpfs", "/run/kurir", "--cap-drop", "all", "--security-opt", "no-new-privileges",
		"--sysctl", "net.ipv4.ip_unprivileged_port_start=0", "--env", "TZ=Asia/Jakarta", "--env", "KURIR_UPSTREAM_HOST=smtp.example.com", "kurir")
	e.ready(ctx, t, "alone")
	defer e.remove(t, "alone")
	if health := e.podman(ctx, t, "inspect", "--format", "{{.State.Health.Status}}", "alone"); health != "healthy" {
		t.Errorf("it is %s", health)
	}
	process := e.process(ctx, t, "alone")
	for key, want := range map[string]string{"Uid": "65532\t65532\t65532\t65532", "CapEff": "0000000000000000", "NoNewPrivs": "1"} {
		if got := processStatus(t, process, key); got != want {
			t.Errorf("%s of the process is %q", key, got)
		}
	}
	if _, err := os.Stat(process + "/root/run/kurir/control.sock"); err != nil {
		t.Errorf("the control socket is not in the tmpfs: %v", err)
	}
	if log := e.logs(ctx, t, "alone"); !strings.Contains(log, `"event":"relay.started"`) || !strings.Contains(log, `+07:00"`) {
		t.Errorf("the log is not in the time of Jakarta:\n%s", log)
	}
	if roots := e.command(ctx, t, `podman cp alone:/etc/ssl/certs/ca-certificates.crt -`); !strings.Contains(roots, "BEGIN CERTIFICATE") {
		t.Errorf("no authorities are in the image")
	}
	t.Logf("%.1f MB; idle %.1f MB of memory", float64(size)/1e6, idleMemory(t, process))
}

// stops ends a container in the middle of a message. The message is taken to
// its end, and the exit code is 0.
func (e *engine) stops(ctx context.Context, t *testing.T, name, network, to string) {
	t.Helper()
	conn := inNetworkOf(t, e.process(ctx, t, network), func() (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:25") })
	defer conn.Close()
	app, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Mail("app@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := app.Rcpt(to); err != nil {
		t.Fatal(err)
	}
	body, err := app.Data()
	if err != nil {
		t.Fatal(err)
	}
	stop := exec.CommandContext(ctx, "podman", "stop", name)
	stop.Env = e.environ
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(e.logs(ctx, t, name), `"event":"relay.stopping"`) {
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
	if _, err := io.WriteString(body, composition(to)["message.eml"]); err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Errorf("what an app was sending when it stopped: %v", err)
	}
	if err := stop.Wait(); err != nil {
		t.Fatal(err)
	}
	if code := e.podman(ctx, t, "inspect", "--format", "{{.State.ExitCode}}", name); code != "0" {
		t.Errorf("it ended with %s\n%s", code, e.logs(ctx, t, name))
	}
}

// readmeContainer are the lines of README.md about containers.
func readmeContainer(t *testing.T) (build, run string) {
	t.Helper()
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range indented(string(data)) {
		if build, run, ok := strings.Cut(block, "\n"); ok && strings.HasPrefix(build, "docker build ") {
			return build, strings.ReplaceAll(run, "smtp.example.com", "localhost")
		}
	}
	t.Fatal("README.md builds no image")
	return "", ""
}
