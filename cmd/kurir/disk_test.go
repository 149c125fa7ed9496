//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// A disk that mail has filled while the provider was away stops intake with
// 452, which apps understand, and nothing else: once the provider is back the
// mail goes out, there is room again, and intake goes on, without anybody's
// help and any number of times (promises P1, P2 and P4).
func TestDiskFull(t *testing.T) {
	needPeers(t, "unshare", "mount")
	if os.Geteuid() != 0 {
		missingPeer(t, "a disk of 64 MB needs root")
	}
	const times, megabytes = 5, 64
	ctx := within(t, 5*time.Minute)
	maildir := t.TempDir()
	provider := upstreamtest.Sandbox(t, sandbox.Options{Maildir: maildir})
	network := newWire(t, provider.STARTTLS().Port)
	dir := t.TempDir()
	disk := filepath.Join(dir, "state", "spool")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := sandboxConfig(t, dir, provider, network.port, fmt.Sprintf(`[listen]
smtp = [%q]
[delivery]
mode = "queue"
retry_min = "1s"
retry_max = "1s"
`, addr))
	s := newScene()
	// In a mount namespace of its own, which goes with it.
	relay := newRelay(t, s, "unshare", "--mount", "sh", "-ec",
		`mount -t tmpfs -o "size=$1m,mode=700" none "$2"; shift 2; exec "$@"`, "sh",
		fmt.Sprint(megabytes), disk, "kurir", "serve", "--config", config)
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	load := &load{
		scene: s, relay: relay, addr: addr, taken: map[string]bool{}, sent: map[string]int{},
		sizes: []int{1 << 10, 100 << 10, 200 << 10, 600 << 10}, // in the journal, and in files of their own
	}
	stop := load.start(ctx, 8)
	until := func(what string, condition func() bool) {
		t.Helper()
		if err := s.until(ctx, what, condition); err != nil {
			t.Fatal(err)
		}
	}
	arrived, seen := map[string]bool{}, map[string]bool{}
	drain := func() {
		t.Helper()
		for {
			files, err := filepath.Glob(filepath.Join(maildir, "new", "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if !seen[file] {
					arrived[tokenOfFile(t, file)] = true
				}
				seen[file] = true
			}
			missing := 0
			s.change(func() {
				for token := range load.taken {
					if !arrived[token] {
						missing++
					}
				}
			})
			if missing == 0 {
				return
			}
			if _, err := provider.Wait(ctx, len(seen)+1); err != nil {
				t.Fatalf("%d accepted messages did not arrive: %v", missing, err)
			}
		}
	}
	for range times {
		s.change(func() { load.full = 0 })
		network.cut()
		until("the disk to be full", func() bool { return load.full > 0 })
		network.mend(t)
		before := load.accepted()
		until("intake to be back", func() bool { return len(load.taken) >= before+50 })
	}
	stop()
	drain()
	told := false
	for _, e := range relay.log() {
		told = told || e.Event == "spool.full" && e.Cause == string(explain.SpoolFull)
	}
	if !told {
		t.Error("the log did not tell of the full spool")
	}
	if err := relay.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d accepted, all arrived", len(load.taken))
}

// tokenOfFile reads the token of a message that the provider has kept.
func tokenOfFile(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 4<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	token, _ := tokenAndID(head[:n])
	return token
}
