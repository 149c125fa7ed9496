package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// intruders are those who hold on to a relay, or try to forge mail through it:
// what they say at once, and what they repeat for as long as they are let.
var intruders = []struct{ says, repeats string }{
	{"", ""},
	{"EHL", ""},
	{"EHLO x\r\n", "N"},
	{"EHLO x\r\nMAIL FROM:<forged@example.org>\r\n", ""},
	{"EHLO x\r\nMAIL FROM:<forged@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\n", ""},
	{"EHLO x\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\nSubject: x\r\n\r\n", "x"},
	{"EHLO x\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\n" + strings.Repeat("X-Header: "+strings.Repeat("x", 900)+"\r\n", 250), ""},
	{"EHLO x\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\nSubject: x\r\n\r\n" + strings.Repeat("text of a message that never ends\r\n", 7000), ""},
	{"NOOP " + strings.Repeat("x", 8100), strings.Repeat("x", 8000)},
	{"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<forged@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\n.\r\n", ""},
	{"EHLO x\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\nx\n.\nMAIL FROM:<forged@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\nSubject: forged\r\n\r\n\n.\r\r\n", ""},
	{"EHLO x\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<you@example.com>\r\nBDAT 4000000000\r\n", strings.Repeat("\x00", 1000)},
	{"EHLO x\r\nMAIL FROM:<a@b> SIZE=1\rRCPT TO:<forged@example.org>\r\nRCPT TO:<\"a>\x00\" <forged@example.org>\r\n", "XYZZY\r\n"},
}

// How many intruders there are, all at once.
const hostileEnv = "KURIR_HOSTILE"

// Beside a crowd that takes every place and says everything but mail, an app's
// mail goes through, memory stays bounded (P10) and nothing forged arrives
// (P9). KURIR_HOSTILE=10000 makes the crowd as large as it gets.
func TestHostileCrowd(t *testing.T) {
	ctx := within(t, 3*time.Minute)
	crowd, places := 300, 200 // as many as leave the machine of a test time for the app
	if n, err := strconv.Atoi(os.Getenv(hostileEnv)); err == nil {
		crowd, places = n, 1000
	}
	smartHost := provider(t)
	relay := newRelay(t, newScene(), "kurir", "serve", "--config", checkConfig(t, smartHost, checkPassword, `tls = "starttls"`))
	relay.environ = append(relay.environ, fmt.Sprintf("KURIR_LISTEN_MAX_CONNECTIONS=%d", places))
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	addr := relay.started().SMTP[0]

	hostile, goHome := context.WithCancel(ctx)
	var intruding sync.WaitGroup
	for n := range crowd {
		intruding.Go(func() { intrude(hostile, addr, n) })
	}
	const mails = 10
	for n := range mails {
		app, err := smtp.Dial(addr)
		if err != nil {
			t.Fatalf("mail %d: %v", n, err)
		}
		if err := sendOver(app, fmt.Sprintf("Subject: wanted %d\r\n\r\ntext\r\n", n)); err != nil {
			t.Fatalf("mail %d: %v", n, err)
		}
		app.Close()
	}
	if _, err := smartHost.Wait(ctx, mails); err != nil {
		t.Error(err)
	}
	peak := peakMemory(t, relay)
	t.Logf("%d intruders at once, %d mails beside them, %.0f MB at most", crowd, mails, peak)
	if peak > 150 && !withRaceDetector() {
		t.Errorf("P10: %.0f MB of memory", peak)
	}
	goHome()
	intruding.Wait()
	wanted := map[string]int{}
	for _, m := range smartHost.Messages() {
		if m.Envelope.From != "app@apps.test" || !strings.Contains(string(m.Content), "Subject: wanted") {
			t.Errorf("forged: from %s: %.300q", m.Envelope.From, m.Content)
		}
		_, subject, _ := strings.Cut(string(m.Content), "Subject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		wanted[subject]++
	}
	if len(wanted) != mails {
		t.Errorf("%d different mails arrived, of %d", len(wanted), mails)
	}
}

// intrude comes again whenever it is sent away.
func intrude(ctx context.Context, addr string, n int) {
	dialer := net.Dialer{}
	for ctx.Err() == nil {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		cut := context.AfterFunc(ctx, func() { conn.Close() })
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(io.Discard, conn)
		}()
		intruder := intruders[n%len(intruders)]
		_, err = io.WriteString(conn, intruder.says)
		drip := time.NewTicker(300 * time.Millisecond)
		for err == nil {
			select {
			case <-drip.C:
				_, err = io.WriteString(conn, intruder.repeats)
			case <-gone:
				err = io.EOF
			}
		}
		drip.Stop()
		cut()
		conn.Close()
		<-gone
		n++
	}
}
