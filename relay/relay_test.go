package relay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/maillog"
	"kurir/upstream"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A house is a relay with the sandbox as its provider, and its log.
type house struct {
	t        *testing.T
	provider *sandbox.Server
	config   *config.Config
	log      *logBook
	smtp     string
	second   string // the address of its second port, if it has one
	running  *relay.Relay
	stop     func()
}

// settings are the defaults with a spool of the test's own and short times.
func settings(t testing.TB, mode string) *config.Config {
	c := config.Default()
	c.StateDir = t.TempDir()
	c.Spool.Dir = filepath.Join(c.StateDir, "spool")
	c.Listen.SMTP = []string{"127.0.0.1:0"}
	c.Control.HTTP = "127.0.0.1:0"
	c.Delivery.Mode = mode
	c.Log.Level = "debug"
	c.Delivery.RetryMin = config.Duration(20 * time.Millisecond)
	c.Delivery.RetryMax = config.Duration(50 * time.Millisecond)
	return &c
}

// open starts a relay over c that delivers to p.
func open(t *testing.T, p *sandbox.Server, c *config.Config) *house {
	t.Helper()
	h := &house{t: t, provider: p, config: c, log: &logBook{more: make(chan struct{})}}
	r, err := relay.New(relay.Options{
		Config: c,
		Log:    maillog.New(h.log, maillog.Options{Level: "debug", Format: "json"}),
		Sandbox: &upstream.Options{
			Host: "localhost", Candidates: p.Candidates(), RootCAs: p.Pool(),
			Username: "sandbox", Password: "sandbox", FallbackAfter: time.Minute,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	addrs := r.Addrs()
	h.smtp, h.second = addrs[0].String(), addrs[len(addrs)-1].String()
	h.running = r
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// send is an app: it speaks plain SMTP as most of them do.
func (h *house) send(content string, to ...string) error {
	return smtp.SendMail(h.smtp, nil, "app@example.com", to, []byte(content))
}

func (h *house) mustSend(content string, to ...string) {
	h.t.Helper()
	if err := h.send(content, to...); err != nil {
		h.t.Fatal(err)
	}
}

// arrived waits for n messages at the provider.
func (h *house) arrived(n int) []sandbox.Message {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	messages, err := h.provider.Wait(ctx, n)
	if err != nil {
		h.t.Fatalf("%d of %d messages arrived; log:\n%s", len(messages), n, h.log)
	}
	return messages
}

func (h *house) set(b sandbox.Behaviour) {
	h.t.Helper()
	if err := h.provider.Set(b); err != nil {
		h.t.Fatal(err)
	}
}

// A logBook keeps log lines and wakes those who wait for one.
type logBook struct {
	mu    sync.Mutex
	lines [][]byte
	more  chan struct{}
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, bytes.Clone(p))
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Join(l.lines, nil))
}

type logLine map[string]any

func (l logLine) str(key string) string { s, _ := l[key].(string); return s }

// find gives the events of a name so far, and what to wait on for more.
func (l *logBook) find(t *testing.T, event string) (found []logLine, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, raw := range l.lines {
		var line logLine
		if err := json.Unmarshal(raw, &line); err != nil {
			t.Fatalf("not a JSON line: %v: %s", err, raw)
		}
		if line.str("event") == event {
			found = append(found, line)
		}
	}
	return found, l.more
}

// event waits for the n-th event of a name.
func (h *house) event(name string, n int) logLine {
	h.t.Helper()
	deadline := time.After(time.Minute)
	for {
		found, more := h.log.find(h.t, name)
		if len(found) >= n {
			return found[n-1]
		}
		select {
		case <-more:
		case <-deadline:
			h.t.Fatalf("the log has no %d. %s:\n%s", n, name, h.log)
		}
	}
}

// body is what follows the header, which the relay adds lines to.
func body(content []byte) string {
	_, b, _ := strings.Cut(string(content), "\r\n\r\n")
	return b
}

const hello = "From: app@example.com\r\nSubject: hello\r\n\r\nIt works.\r\n.with a dot\r\n"

// Each mode hands the mail of an unmodified app to the provider, once, with
// the body as it was.
func TestModesDeliver(t *testing.T) {
	for _, mode := range []string{"through", "queue", "direct"} {
		t.Run(mode, func(t *testing.T) {
			h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, mode))
			large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 50_000)
			h.mustSend(hello, "one@example.org", "two@example.org")
			h.mustSend(large, "one@example.org")
			got := h.arrived(2)
			if body(got[0].Content) != body([]byte(hello)) || body(got[1].Content) != body([]byte(large)) {
				t.Error("a body was changed on its way")
			}
			if n := len(got[0].Envelope.To); n != 2 {
				t.Errorf("%d recipients, want 2", n)
			}
			sent := h.event("delivery.sent", 2)
			if sent.str("id") == "" || sent.str("upstream") == "" || sent.str("tls") == "" || !strings.Contains(sent.str("reply"), "SANDBOX-") {
				t.Errorf("delivery.sent lacks a field: %v", sent)
			}
			h.event("message.accepted", 2)
		})
	}
}

// In mode through nothing of a message that the provider took at once is
// written to the disk.
func TestThroughLeavesNoTrace(t *testing.T) {
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, "through"))
	h.mustSend(hello, "one@example.org")
	h.stop()
	err := filepath.WalkDir(h.config.Spool.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("It works.")) {
			t.Errorf("%s has the message", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What the provider refuses for good is refused to the app that still waits,
// with the explanation, our id and the provider's words.
func TestRefusalReachesTheApp(t *testing.T) {
	for _, mode := range []string{"through", "direct"} {
		t.Run(mode, func(t *testing.T) {
			h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, mode))
			err := h.send(hello, "recipient.unknown@example.org")
			line := h.event("delivery.failed", 1)
			for _, want := range []string{"550", "5.1.1", line.str("id"), "does not exist"} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the app was told %v, which lacks %q", err, want)
				}
			}
			for _, key := range []string{"id", "stage", "cause", "reply", "explanation", "fix", "upstream", "tls"} {
				if line.str(key) == "" {
					t.Errorf("delivery.failed lacks %s: %v", key, line)
				}
			}
		})
	}
}

// A refused login holds the route and keeps the mail; when it works again,
// all of it goes out, and the app never hears of it (P2, P4).
func TestHeldMailGoesOutLater(t *testing.T) {
	for _, mode := range []string{"through", "queue"} {
		t.Run(mode, func(t *testing.T) {
			h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, mode))
			h.set(sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{
				explain.StageAuth: {Reply: "535 5.7.8 Username and Password not accepted"},
			}})
			for range 5 {
				h.mustSend(hello, "one@example.org")
			}
			held := h.event("upstream.held", 1)
			if held.str("cause") != "auth.rejected" || held.str("level") != "error" || held.str("reply") == "" {
				t.Errorf("upstream.held: %v", held)
			}
			h.event("delivery.held", 1)
			h.set(sandbox.Behaviour{})
			h.arrived(5)
			h.event("upstream.recovered", 1)
		})
	}
}

// In mode direct the app hears of everything, with a 4xx that lets it try
// again, and nothing is kept.
func TestDirectIsHonest(t *testing.T) {
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, "direct"))
	h.set(sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{
		explain.StageAuth: {Reply: "535 5.7.8 Username and Password not accepted"},
	}})
	for range 2 { // the second hears from what the first found out
		err := h.send(hello, "one@example.org")
		if err == nil || !strings.HasPrefix(err.Error(), "451") || !strings.Contains(err.Error(), "user name or password") {
			t.Errorf("the app was told %v", err)
		}
	}
}

// When the provider takes longer than the app will wait, the app gets its 250
// from the spool, and the delivery under way is the only one.
func TestSlowProviderDoesNotDouble(t *testing.T) {
	c := settings(t, "through")
	c.Delivery.Wait = config.Duration(20 * time.Millisecond)
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	h.set(sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageDot: {Delay: 200 * time.Millisecond}}})
	for range 3 {
		h.mustSend(hello, "one@example.org")
	}
	h.event("delivery.sent", 3)
	h.stop()
	if n := len(h.provider.Messages()); n != 3 {
		t.Errorf("%d messages arrived, want 3", n)
	}
}

// A message that waits survives the end of the relay.
func TestRestartGoesOn(t *testing.T) {
	p := upstreamtest.Sandbox(t, sandbox.Options{})
	c := settings(t, "queue")
	h := open(t, p, c)
	h.set(sandbox.Behaviour{Closed: true})
	for range 3 {
		h.mustSend(hello, "one@example.org")
	}
	h.event("upstream.unavailable", 1)
	h.stop()
	h.set(sandbox.Behaviour{})
	again := open(t, p, c)
	again.arrived(3)
	again.stop()
	if n := len(p.Messages()); n != 3 {
		t.Errorf("%d messages arrived, want 3", n)
	}
	open(t, p, c).stop()
	if n := len(p.Messages()); n != 3 {
		t.Errorf("after one more restart %d messages arrived, want 3", n)
	}
}

// mailOnly leaves notifications out.
func mailOnly(all []sandbox.Message) []sandbox.Message {
	return slices.DeleteFunc(all, func(m sandbox.Message) bool { return m.Envelope.From == "" })
}

// Each recipient has an outcome of its own: served once, failed and kept for
// the operator, or tried again.
func TestRecipientsPartWays(t *testing.T) {
	for _, mode := range []string{"through", "queue"} {
		t.Run(mode, func(t *testing.T) {
			h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, mode))
			h.mustSend(hello, "one@example.org", "recipient.unknown@example.org", "greylisted@example.org")
			got := mailOnly(h.arrived(3))
			if len(got[0].Envelope.To) != 1 || len(got[1].Envelope.To) != 1 || got[1].Envelope.To[0].To != "greylisted@example.org" {
				t.Errorf("transactions for %v and %v", got[0].Envelope.To, got[1].Envelope.To)
			}
			h.event("delivery.sent", 3)
			h.event("delivery.deferred", 1)
			failed := h.event("delivery.failed", 1)
			h.stop()
			kept, err := filepath.Glob(filepath.Join(h.config.Spool.Dir, "failed", failed.str("id")+".*"))
			if err != nil || len(kept) != 2 {
				t.Errorf("failed/ has %v", kept)
			}
		})
	}
}

// A connection lost after the final dot is told as such, and the message is
// sent again rather than lost (P6).
func TestUncertainIsTold(t *testing.T) {
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, "queue"))
	h.set(sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageDot: {End: sandbox.HangUp}}})
	h.mustSend(hello, "one@example.org")
	h.event("delivery.uncertain", 1)
	h.set(sandbox.Behaviour{})
	h.event("delivery.sent", 1)
}

// A message that nobody takes in the end is kept among the failed ones.
func TestGivingUp(t *testing.T) {
	c := settings(t, "queue")
	c.Delivery.GiveUpAfter = config.Duration(100 * time.Millisecond)
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	h.set(sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageRcpt: {Reply: "451 4.3.0 try later"}}})
	h.mustSend(hello, "one@example.org")
	failed := h.event("delivery.failed", 1)
	h.stop()
	if _, err := os.Stat(filepath.Join(c.Spool.Dir, "failed", failed.str("id")+".eml")); err != nil {
		t.Error(err)
	}
}

// Nothing secret is in the log, not even in its transcript (P7).
func TestLogHasNoSecrets(t *testing.T) {
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, "through"))
	h.mustSend("Subject: x\r\n\r\nvery private content\r\n", "one@example.org")
	h.stop()
	for _, secret := range []string{"very private", "AHNhbmRib3gAc2FuZGJveA"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// Many apps at once, while the provider misbehaves in turns: everything that
// was accepted arrives, and nothing twice.
func TestManyAppsAndAFickleProvider(t *testing.T) {
	for _, mode := range []string{"through", "queue"} {
		t.Run(mode, func(t *testing.T) {
			h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, mode))
			moods := []sandbox.Behaviour{
				{},
				{Closed: true},
				{Script: map[explain.Stage]sandbox.Act{explain.StageMail: {Reply: "421 4.3.2 busy"}}},
				{Script: map[explain.Stage]sandbox.Act{explain.StageRcpt: {Reply: "451 4.7.1 later"}}},
				{Script: map[explain.Stage]sandbox.Act{explain.StageAuth: {Reply: "454 4.7.0 later"}}},
				{Script: map[explain.Stage]sandbox.Act{explain.StageRcpt: {End: sandbox.HangUpNow}}},
			}
			const apps, each = 10, 12
			for i := range each {
				h.set(moods[i%len(moods)])
				var all sync.WaitGroup
				for app := range apps {
					all.Go(func() {
						if err := h.send(fmt.Sprintf("Subject: %d %d\r\n\r\n%d-%d\r\n", app, i, app, i), "one@example.org"); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			}
			h.set(sandbox.Behaviour{})
			seen := map[string]int{}
			for _, m := range h.arrived(apps * each) {
				seen[body(m.Content)]++
			}
			for what, n := range seen {
				if n != 1 {
					if found, _ := h.log.find(t, "delivery.uncertain"); len(found) == 0 {
						t.Errorf("%q arrived %d times", what, n)
					}
				}
			}
			if len(seen) != apps*each {
				t.Errorf("%d different messages arrived, want %d", len(seen), apps*each)
			}
		})
	}
}

// When the spool is full the app is asked to come back, nothing that was
// accepted is lost, and it recovers by itself.
func TestFullSpoolRecovers(t *testing.T) {
	c := settings(t, "queue")
	c.Spool.MaxSize = 200_000
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	h.set(sandbox.Behaviour{Closed: true})
	large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 2_500)
	accepted := 0
	var refusal error
	for refusal == nil && accepted < 20 {
		if refusal = h.send(large, "one@example.org"); refusal == nil {
			accepted++
		}
	}
	if accepted == 0 || refusal == nil || !strings.HasPrefix(refusal.Error(), "452") || !strings.Contains(refusal.Error(), "4.3.1") {
		t.Fatalf("%d accepted, then %v", accepted, refusal)
	}
	full := h.event("spool.full", 1)
	if full.str("level") != "error" || full.str("fix") == "" {
		t.Errorf("spool.full: %v", full)
	}
	h.set(sandbox.Behaviour{})
	h.arrived(accepted)
	h.event("delivery.sent", accepted)
	h.mustSend(hello, "one@example.org")
	h.event("spool.recovered", 1)
	h.arrived(accepted + 1)
}

// Mode direct is for containers whose disk cannot be written.
func TestDirectWithoutADisk(t *testing.T) {
	const unwritable = "/sys/kurir-test"
	if err := os.Mkdir(unwritable, 0o700); !errors.Is(err, os.ErrPermission) {
		_ = os.Remove(unwritable)
		t.Skip("this system has no directory that even root cannot write")
	}
	c := settings(t, "direct")
	c.StateDir, c.Spool.Dir = unwritable, filepath.Join(unwritable, "spool")
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 50_000)
	h.mustSend(large, "one@example.org")
	if got := h.arrived(1); body(got[0].Content) != body([]byte(large)) {
		t.Error("the body was changed")
	}
	h.stop()
}

// A port that another program has, and a spool that another Kurir has, are
// told by name.
func TestWhatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := upstreamtest.Sandbox(t, sandbox.Options{})
	c := settings(t, "queue")
	c.Listen.SMTP = []string{l.Addr().String()}
	o := relay.Options{
		Config: c, Log: maillog.New(&bytes.Buffer{}, maillog.Options{Level: "info", Format: "json"}),
		Sandbox: &upstream.Options{Host: "localhost", Candidates: p.Candidates()},
	}
	_, err = relay.New(o)
	var address *relay.ListenError
	if !errors.As(err, &address) || !address.Taken() {
		t.Errorf("New = %v, want that the port is taken", err)
	}
	open(t, p, settings(t, "queue"))
}
