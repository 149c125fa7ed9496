package main_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A service manager hears when Kurir takes mail, that it is alive, and in words
// how it is doing; and kurir reload tells whoever asked what came of it.
func TestServiceManager(t *testing.T) {
	ctx := within(t, time.Minute)
	smartHost := provider(t)
	file := checkConfig(t, smartHost, "wrong", `tls = "starttls"`)
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := newScene()
	var said []string
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		buf := make([]byte, 4096)
		for {
			n, _, err := manager.ReadFrom(buf)
			if err != nil {
				return
			}
			s.change(func() { said = append(said, string(buf[:n])) })
		}
	}()
	t.Cleanup(func() { manager.Close(); <-heard })
	until := func(what string) {
		t.Helper()
		if err := s.until(ctx, what, func() bool {
			for _, text := range said {
				if strings.Contains(text, what) {
					return true
				}
			}
			return false
		}); err != nil {
			t.Fatalf("%v; it said %q", err, said)
		}
	}
	relay := newRelay(t, s, "kurir", "serve", "--config", file)
	relay.environ = append(relay.environ, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=100000")
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	until("READY=1")
	until("STATUS=mail flows; 0 waiting\nWATCHDOG=1")
	load := &load{scene: s, relay: relay, addr: relay.started().SMTP[0], taken: map[string]bool{}, sent: map[string]int{}, sizes: []int{100}}
	if !load.try("held") {
		t.Fatal("the message was not taken")
	}
	until("STATUS=localhost is held: ")

	reload := func(want string) {
		t.Helper()
		c := exec.CommandContext(ctx, "kurir", "reload", "--config", file)
		c.Env = relay.environ
		if out, err := c.CombinedOutput(); !strings.Contains(string(out), want) {
			t.Errorf("kurir reload: %v: %s, want %q", err, out, want)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mended := strings.Replace(string(text), `"wrong"`, `"`+checkPassword+`"`, 1)
	for _, c := range []struct{ text, want string }{
		{mended + "[delivery]\nwait = \"4 minuts\"\n", "delivery.wait"},
		{mended, "goes on with the configuration as it is now"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		reload(c.want)
	}
	until("RELOADING=1")
	if _, err := smartHost.Wait(ctx, 1); err != nil {
		t.Error(err)
	}
	if err := relay.stop(); err != nil {
		t.Error(err)
	}
	until("STOPPING=1")
}
