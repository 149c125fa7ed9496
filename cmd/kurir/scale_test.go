package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// A backlog of 100,000 messages must not delay the first delivery after a
// start, nor take memory by its size (promise P10).
func BenchmarkStartWithBacklog(b *testing.B) {
	const messages = 100_000
	for b.Loop() {
		b.StopTimer()
		h := newHaul(b, "queue")
		fill(b, filepath.Join(h.dir, "state", "spool"), messages)
		b.StartTimer()
		begun := time.Now()
		if err := h.relay.start(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := h.provider.Wait(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
		first := time.Since(begun)
		if _, err := h.provider.Wait(b.Context(), messages); err != nil {
			b.Fatal(err)
		}
		all := time.Since(begun)
		b.ReportMetric(float64(first.Milliseconds()), "ms-to-first")
		b.ReportMetric(messages/all.Seconds(), "delivered/s")
		b.ReportMetric(peakMemory(b, h.relay), "peak-MB")
		if err := h.relay.stop(); err != nil {
			b.Fatal(err)
		}
	}
}

// Fifty apps that send 25 MB each at the same moment must not take the
// machine's memory (promise P10).
func BenchmarkLargeAtOnce(b *testing.B) {
	const sessions, size = 50, 25_000_000
	for _, mode := range []string{"queue", "through"} {
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				h := newHaul(b, mode)
				if err := h.relay.start(b.Context()); err != nil {
					b.Fatal(err)
				}
				load := &load{
					scene: h.scene, relay: h.relay, addr: h.relay.started().SMTP[0],
					taken: map[string]bool{}, sent: map[string]int{}, sizes: []int{size},
				}
				var sending sync.WaitGroup
				for i := range sessions {
					sending.Go(func() {
						if !load.try(fmt.Sprintf("large-%d", i)) {
							b.Errorf("message %d was not taken", i)
						}
					})
				}
				sending.Wait()
				if _, err := h.provider.Wait(b.Context(), sessions); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(peakMemory(b, h.relay), "peak-MB")
				if err := h.relay.stop(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A haul is a relay beside a provider that keeps its mail on disk.
type haul struct {
	*scene
	dir      string
	provider *sandbox.Server
	relay    *relayProgram
}

func newHaul(tb testing.TB, mode string) *haul {
	tb.Helper()
	h := &haul{scene: newScene(), dir: tb.TempDir()}
	h.provider = upstreamtest.Sandbox(tb, sandbox.Options{Maildir: filepath.Join(h.dir, "Maildir")})
	config := sandboxConfig(tb, h.dir, h.provider, h.provider.STARTTLS().Port, fmt.Sprintf(`[listen]
smtp = ["127.0.0.1:0"]
[delivery]
mode = %q
`, mode))
	h.relay = newRelay(tb, h.scene, "kurir", "serve", "--config", config)
	h.relay.environ = append(h.relay.environ, "KURIR_LOG_LEVEL=info")
	return h
}

// fill puts small messages into a spool that nobody uses.
func fill(tb testing.TB, dir string, messages int) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	s, _, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	content := []byte("Subject: load\r\n\r\n" + strings.Repeat("It works.\r\n", 90))
	var writing sync.WaitGroup
	const writers = 100
	for w := range writers {
		writing.Go(func() {
			env := envelope.Envelope{
				From: envelope.Path(fmt.Sprintf("app%d@apps.test", w)),
				To:   []envelope.Recipient{{To: "you@example.com"}},
			}
			for range messages / writers {
				d, err := s.Draft(env, "127.0.0.1")
				if err != nil {
					tb.Error(err)
					return
				}
				if _, err := d.Write(content); err != nil {
					tb.Error(err)
				}
				if err := d.Commit(); err != nil {
					tb.Error(err)
				}
				d.Close()
			}
		})
	}
	writing.Wait()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}
