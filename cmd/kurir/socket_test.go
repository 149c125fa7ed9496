package main_test

import (
	"errors"
	"net"
	"net/smtp"
	"sync"
	"testing"
	"time"
)

// With the socket in the hands of a service manager no connection is refused
// while Kurir restarts, as a refused one is final for every mail library. An
// app that is told to come again (421) does so.
func TestRestartWithSocket(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	smartHost := provider(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	passed, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { passed.Close() })
	l.Close()

	file := checkConfig(t, smartHost, checkPassword, `tls = "starttls"`)
	s := newScene()
	relay := newRelay(t, s, "sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`, "kurir", "serve", "--config", file)
	relay.passed = passed
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	var apps sync.WaitGroup
	taken := 0 // under the lock of the scene
	over := make(chan struct{})
	for range 4 {
		apps.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				app, err := smtp.Dial(addr)
				if err != nil {
					var op *net.OpError
					if errors.As(err, &op) && op.Op == "dial" {
						t.Errorf("refused: %v", err)
						return
					}
					continue // 421, or cut off: it comes again
				}
				if sendOver(app, "Subject: x\r\n\r\nx\r\n") == nil {
					s.change(func() { taken++ })
				}
				app.Close()
			}
		})
	}
	for round := range 5 {
		if err := s.until(ctx, "mail to be taken", func() bool { return taken >= 50*(round+1) }); err != nil {
			t.Fatal(err)
		}
		if err := relay.stop(); err != nil {
			t.Fatal(err)
		}
		if err := relay.start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	close(over)
	apps.Wait()
	t.Logf("%d taken over 5 restarts", taken)
	if _, err := smartHost.Wait(ctx, taken); err != nil {
		t.Errorf("%d of %d arrived: %v", len(smartHost.Messages()), taken, err)
	}
}
