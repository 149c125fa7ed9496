package relay_test

import (
	"fmt"
	"io"
	"net/smtp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kurir/relay"
	"kurir/relay/maillog"
	"kurir/upstream"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// Mail from apps to the provider, all in one program: what is accepted and what
// has arrived a second. Apps keep their connections.
func BenchmarkRelay(b *testing.B) {
	for _, mode := range []string{"queue", "through"} {
		for _, size := range []int{1 << 10, 10 << 10} {
			for _, apps := range []int{1, 10, 100} {
				b.Run(fmt.Sprintf("%s/%dK/%d", mode, size>>10, apps), func(b *testing.B) { haul(b, mode, size, apps) })
			}
		}
	}
}

func haul(b *testing.B, mode string, size, apps int) {
	provider := upstreamtest.Sandbox(b, sandbox.Options{})
	r, err := relay.New(relay.Options{
		Config: settings(b, mode),
		Log:    maillog.New(io.Discard, maillog.Options{Level: "info", Format: "json"}),
		Sandbox: &upstream.Options{
			Host: "localhost", Candidates: provider.Candidates(), RootCAs: provider.Pool(), Username: "sandbox", Password: "sandbox",
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(b.Context()) })
	defer running.Wait()
	defer func() { _ = r.Shutdown(b.Context()) }()
	content := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 74)+"\r\n", size/76)

	b.ResetTimer()
	began := time.Now()
	var left atomic.Int64
	left.Store(int64(b.N))
	var sending sync.WaitGroup
	for range min(apps, b.N) {
		sending.Go(func() {
			c, err := smtp.Dial(r.Addrs()[0].String())
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			for left.Add(-1) >= 0 {
				if err := handIn(c, content); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "accepted/s")
	if _, err := provider.Wait(b.Context(), b.N); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "delivered/s")
}

func handIn(c *smtp.Client, content string) error {
	if err := c.Mail("app@example.com"); err != nil {
		return err
	}
	if err := c.Rcpt("you@example.org"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, content); err != nil {
		return err
	}
	return w.Close()
}
