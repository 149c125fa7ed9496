package queue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kurir/relay/maillog"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A provider plays the smart host: each delivery takes some time and ends as
// the test says.
type provider struct {
	mu        sync.Mutex
	takes     time.Duration
	toDot     time.Duration // how long it takes to the final dot, of takes
	outcome   func(m *envelope.Message) error
	delivered []string
	tried     []time.Time
	busy, max int
}

func (p *provider) set(outcome func(m *envelope.Message) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcome = outcome
}

func (p *provider) Deliver(ctx context.Context, m *envelope.Message) (*explain.Receipt, error) {
	p.mu.Lock()
	p.tried = append(p.tried, time.Now())
	p.busy++
	p.max = max(p.max, p.busy)
	outcome := p.outcome
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy--
	}()
	if err := pause(ctx, p.toDot); err != nil {
		return nil, err
	}
	if m.BeforeDot != nil {
		if err := m.BeforeDot(); err != nil {
			return nil, err
		}
	}
	if err := pause(ctx, p.takes-p.toDot); err != nil {
		return nil, err
	}
	receipt := &explain.Receipt{Reply: *explain.NewReply(250, []string{"2.0.0 OK"}), ID: "their-id"}
	if outcome != nil {
		if err := outcome(m); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivered = append(p.delivered, m.ID)
	return receipt, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *provider) counts() (delivered, tried int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.delivered), len(p.tried)
}

const giveUpAfter = 12 * time.Hour

// A bench is a queue with its spool and log, inside a synctest bubble, where
// days pass in no time.
type bench struct {
	t     *testing.T
	dir   string
	spool *spool.Spool
	queue *queue.Queue
	log   *bytes.Buffer
	stop  func()
}

func newBench(t *testing.T, dir string, mode queue.Mode, routes ...queue.Route) *bench {
	t.Helper()
	return newBenchOn(t, dir, func(s *spool.Spool) queue.Spool { return s }, mode, routes...)
}

// newBenchOn has something stand between the queue and its spool.
func newBenchOn(t *testing.T, dir string, between func(*spool.Spool) queue.Spool, mode queue.Mode, routes ...queue.Route) *bench {
	t.Helper()
	s, _, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, spool: s, log: new(bytes.Buffer)}
	b.queue = queue.New(queue.Options{
		Settings: settings(mode, routes...),
		Spool:    between(s), Log: maillog.New(&locked{w: b.log}, maillog.Options{Level: "info", Format: "json"}),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { b.queue.Run(ctx); close(ended) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

func settings(mode queue.Mode, routes ...queue.Route) queue.Settings {
	return queue.Settings{
		Mode: mode, Wait: 4 * time.Second,
		RetryMin: time.Minute, RetryMax: time.Hour, GiveUpAfter: giveUpAfter, KeepFailed: 14 * 24 * time.Hour,
		Routes: routes,
	}
}

type locked struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (b *bench) submit(from envelope.Path, to ...envelope.Path) queue.Answer {
	b.t.Helper()
	env := envelope.Envelope{From: from}
	for _, p := range to {
		env.To = append(env.To, envelope.Recipient{To: p})
	}
	d, err := b.spool.Draft(env, "127.0.0.1:9")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := d.Write([]byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		b.t.Fatal(err)
	}
	d.MessageID = "<x@example.com>"
	return b.queue.Submit(b.t.Context(), d)
}

// events counts the log lines of an event.
func (b *bench) events(name string) (n int) {
	for line := range strings.Lines(b.log.String()) {
		var l struct{ Event string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			b.t.Fatalf("%v: %s", err, line)
		}
		if l.Event == name {
			n++
		}
	}
	return n
}

func route(p *provider, slots int) queue.Route {
	return queue.Route{Name: "smtp.example.com", Deliverer: p, Slots: slots}
}

func refused(stage explain.Stage, code int, text string) func(*envelope.Message) error {
	return func(*envelope.Message) error {
		return explain.Explain(explain.Failure{Stage: stage, Reply: explain.NewReply(code, []string{text})})
	}
}

func caused(c explain.Cause, stage explain.Stage) func(*envelope.Message) error {
	return func(*envelope.Message) error {
		return explain.Explain(explain.Failure{Cause: c, Stage: stage})
	}
}

// bubble runs a test in synctest with a spool directory of its own.
func bubble(t *testing.T, test func(t *testing.T, dir string)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { test(t, dir) })
}

// Trouble of the route is probed by one message at a time, ever more slowly,
// and counts once: not for each message that waits (P4).
func TestHeldRouteIsProbedByOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{outcome: caused(explain.AuthRejected, explain.StageAuth)}
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		for range 50 {
			if a := b.submit("app@example.com", "a@example.org"); a.Code != 250 {
				t.Fatalf("%+v", a)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		_, tried := p.counts()
		if tried < 5 || tried > 10 { // 1, 2, 4, 8, 15, 15, 15 minutes
			t.Errorf("%d logins in the first hour, want about 7", tried)
		}
		if n := b.events("upstream.held"); n != 1 {
			t.Errorf("%d upstream.held, want 1", n)
		}
		p.set(nil)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if delivered, _ := p.counts(); delivered != 50 {
			t.Errorf("%d delivered after the mend, want 50", delivered)
		}
		if n := b.events("upstream.recovered"); n != 1 {
			t.Errorf("%d upstream.recovered, want 1", n)
		}
	})
}

// One message is retried at 1, 2, 4 … 60 minutes until it is given up; then it
// is among the failed ones.
func TestRetriesOfOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{outcome: refused(explain.StageDot, 451, "4.3.0 local problem")}
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		b.submit("app@example.com", "a@example.org")
		time.Sleep(giveUpAfter + 2*time.Hour)
		synctest.Wait()
		p.mu.Lock()
		tried := p.tried
		p.mu.Unlock()
		for i, low := range []time.Duration{48 * time.Second, 96 * time.Second, 192 * time.Second} {
			if gap := tried[i+1].Sub(tried[i]); gap < low || gap > low*3/2 {
				t.Errorf("pause %d is %s, want %s and half as much again", i, gap, low)
			}
		}
		if len(tried) < 15 || len(tried) > 21 {
			t.Errorf("%d attempts in %s, want 6 in the first hour and one an hour then", len(tried), giveUpAfter)
		}
		if b.events("delivery.failed") != 1 {
			t.Error("it was not given up once")
		}
		if failed, _ := filepath.Glob(filepath.Join(dir, "failed", "*.eml")); len(failed) != 1 {
			t.Errorf("failed/ has %v", failed)
		}
	})
}

// A backlog or a route in trouble never makes an app wait in mode through.
func TestThroughDoesNotWaitForTrouble(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{outcome: caused(explain.ConnectTimeout, explain.StageConnect), takes: 3 * time.Second}
		b := newBench(t, dir, queue.Through, route(p, 1))
		b.submit("app@example.com", "a@example.org") // finds out
		began := time.Now()
		for range 10 {
			if a := b.submit("app@example.com", "a@example.org"); a.Code != 250 || !strings.HasPrefix(a.Text, "queued") {
				t.Errorf("%+v", a)
			}
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("apps waited %s for a route that is known to be down", waited)
		}
		p.set(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if delivered, _ := p.counts(); delivered != 11 {
			t.Errorf("%d delivered, want 11", delivered)
		}
	})
}

// When the wait ends in the middle of a delivery, the app gets its 250 from
// the spool and the delivery is not done twice.
func TestThroughWait(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{takes: 10 * time.Second, toDot: 5 * time.Second}
		b := newBench(t, dir, queue.Through, route(p, 1))
		began := time.Now()
		a := b.submit("app@example.com", "a@example.org")
		if waited := time.Since(began); a.Code != 250 || !strings.HasPrefix(a.Text, "queued") || waited != 4*time.Second {
			t.Errorf("answer after %s: %+v", waited, a)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if delivered, tried := p.counts(); delivered != 1 || tried != 1 {
			t.Errorf("%d delivered in %d attempts", delivered, tried)
		}
		if n, _ := b.spool.Usage(); n != 0 {
			t.Errorf("%d messages are left in the spool", n)
		}
	})
}

// In mode direct the wait ends a delivery before its final dot, so that the
// app's next try is the only one; a delivery past it is waited for.
func TestDirectWait(t *testing.T) {
	for _, c := range []struct {
		name         string
		toDot        time.Duration
		code, arrive int
		waited       time.Duration
	}{
		{"before the dot", 6 * time.Second, 451, 0, 4 * time.Second},
		{"after the dot", 2 * time.Second, 250, 1, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, dir string) {
				p := &provider{takes: 10 * time.Second, toDot: c.toDot}
				b := newBench(t, dir, queue.Direct, route(p, 1))
				began := time.Now()
				a := b.submit("app@example.com", "a@example.org")
				if waited := time.Since(began); a.Code != c.code || waited != c.waited {
					t.Errorf("answer after %s: %+v", waited, a)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if delivered, _ := p.counts(); delivered != c.arrive {
					t.Errorf("%d delivered, want %d", delivered, c.arrive)
				}
			})
		})
	}
}

// A busy provider makes apps of mode direct wait for a slot, not fail.
func TestDirectWaitsForASlot(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{takes: time.Second}
		b := newBench(t, dir, queue.Direct, route(p, 2))
		var all sync.WaitGroup
		codes := make(chan int, 10)
		for range 10 {
			all.Go(func() { codes <- b.submit("app@example.com", "a@example.org").Code })
		}
		all.Wait()
		close(codes)
		got := map[int]int{}
		for c := range codes {
			got[c]++
		}
		if got[250] < 6 || got[250]+got[451] != 10 {
			t.Errorf("answers %v, want those that fit into four seconds to be 250", got)
		}
		if p.max > 2 {
			t.Errorf("%d deliveries at once, want 2 at most", p.max)
		}
	})
}

// Never more deliveries at once than the route has slots.
func TestSlots(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{takes: time.Second}
		b := newBench(t, dir, queue.Spooled, route(p, 3))
		for range 30 {
			b.submit("app@example.com", "a@example.org")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if delivered, _ := p.counts(); delivered != 30 || p.max != 3 {
			t.Errorf("%d delivered, %d at once", delivered, p.max)
		}
	})
}

// The first route whose senders match is used, the last for all others.
func TestRoutesBySender(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		shop, rest := &provider{}, &provider{}
		forShop := route(shop, 1)
		forShop.Senders = []string{"shop.example", "@news.example", "one@else.example"}
		b := newBench(t, dir, queue.Spooled, forShop, route(rest, 1))
		for _, from := range []envelope.Path{"a@shop.example", "b@NEWS.example", "one@else.example", "two@else.example", ""} {
			b.submit(from, "a@example.org")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n, _ := shop.counts(); n != 3 {
			t.Errorf("%d over the first route, want 3", n)
		}
		if n, _ := rest.counts(); n != 2 {
			t.Errorf("%d over the last route, want 2", n)
		}
	})
}

// A message that always ends the session does not block those behind it.
func TestPoisonedMessageDoesNotBlock(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{}
		poisoned := ""
		p.set(func(m *envelope.Message) error {
			if poisoned == "" {
				poisoned = m.ID
			}
			if m.ID == poisoned {
				return explain.Explain(explain.Failure{Cause: explain.ServerBusy, Stage: explain.StageDot, Reply: explain.NewReply(421, []string{"go away"})})
			}
			return nil
		})
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		for range 10 {
			b.submit("app@example.com", "a@example.org")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if delivered, _ := p.counts(); delivered != 9 {
			t.Errorf("%d delivered, want 9", delivered)
		}
	})
}

// Recipients that were too many for one transaction come next, not later.
func TestTooManyRecipientsComeNext(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &tooMany{limit: 2}
		b := newBench(t, dir, queue.Spooled, queue.Route{Name: "x", Deliverer: p, Slots: 1})
		began := time.Now()
		b.submit("app@example.com", "a@x", "b@x", "c@x", "d@x", "e@x")
		for range 100 {
			time.Sleep(time.Second)
			synctest.Wait()
			if p.done() == 5 {
				break
			}
		}
		if p.done() != 5 || time.Since(began) > 5*time.Second {
			t.Errorf("%d recipients served after %s", p.done(), time.Since(began))
		}
	})
}

type tooMany struct {
	mu     sync.Mutex
	limit  int
	served int
}

func (p *tooMany) done() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served
}

func (p *tooMany) Deliver(_ context.Context, m *envelope.Message) (*explain.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &explain.Receipt{Reply: *explain.NewReply(250, []string{"ok"})}
	for i, to := range m.To {
		if i < p.limit {
			p.served++
			continue
		}
		r.Refused = append(r.Refused, explain.Explain(explain.Failure{
			Cause: explain.LimitRecipients, Stage: explain.StageRcpt, Recipient: to.To,
			Reply: explain.NewReply(452, []string{"4.5.3 too many recipients"}),
		}))
	}
	return r, nil
}

// A queue that is stopped lets deliveries end, and what it did not come to
// stays for the next start, untouched.
func TestStopAndGoOn(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{takes: 2 * time.Second}
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		for range 3 {
			b.submit("app@example.com", "a@example.org")
		}
		time.Sleep(time.Second)
		b.stop()
		if delivered, tried := p.counts(); delivered != 1 || tried != 1 {
			t.Errorf("%d delivered in %d attempts", delivered, tried)
		}
		again := newBench(t, dir, queue.Spooled, route(p, 1))
		time.Sleep(time.Minute)
		synctest.Wait()
		again.stop()
		if delivered, _ := p.counts(); delivered != 3 {
			t.Errorf("%d delivered, want 3", delivered)
		}
	})
}

// The answer to a refused message carries the explanation, our id and the
// provider's words.
func TestRefusalIsExplained(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{outcome: func(*envelope.Message) error {
			return explain.Explain(explain.Failure{
				Cause: explain.MessageSpam, Stage: explain.StageDot, Candidate: explain.Candidate{Host: "smtp.example.com", Port: 587},
				Reply: explain.NewReply(554, []string{"5.7.1 spam"}),
			})
		}}
		b := newBench(t, dir, queue.Through, route(p, 1))
		a := b.submit("app@example.com", "a@example.org")
		lines := strings.Split(a.Text, "\n")
		if a.Code != 554 || a.Enhanced != (explain.EnhancedCode{5, 7, 1}) || len(lines) != 4 ||
			!strings.Contains(lines[0], "spam") || lines[2] != "smtp.example.com said: 554 5.7.1 spam" || !strings.HasPrefix(lines[3], "Kurir id ") {
			t.Errorf("%+v", a)
		}
		if b.events("delivery.failed") != 1 {
			t.Error("the log does not tell")
		}
	})
}

// Trouble on our side neither loses a message nor blames the route.
func TestOwnTrouble(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{outcome: func(m *envelope.Message) error { return errors.New("the content could not be read") }}
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		b.submit("app@example.com", "a@example.org")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if b.events("upstream.held")+b.events("upstream.unavailable")+b.events("delivery.failed") != 0 || b.events("delivery.deferred") != 1 {
			t.Errorf("log:\n%s", b.log)
		}
		p.set(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if delivered, _ := p.counts(); delivered != 1 {
			t.Errorf("%d delivered, want 1", delivered)
		}
	})
}

// hide takes a directory of the spool away, so that what needs it fails.
func (b *bench) hide(name string) (restore func()) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.Rename(path, path+".hidden"); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		if err := os.Rename(path+".hidden", path); err != nil {
			b.t.Fatal(err)
		}
	}
}

// While the spool cannot be told what an attempt meant, nothing is sent again:
// a recipient that was served would get it twice (P6).
func TestAccountIsOwed(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &partly{refuse: explain.NewReply(450, []string{"4.2.0 later"})}
		b := newBench(t, dir, queue.Spooled, queue.Route{Name: "x", Deliverer: p, Slots: 1})
		restore := b.hide("deferred")
		b.submit("app@example.com", "first@x", "second@x")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		restore()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if p.count("first@x") != 1 || p.count("second@x") < 2 {
			t.Errorf("first was sent to %d times, second tried %d times", p.count("first@x"), p.count("second@x"))
		}
	})
}

// What was refused for good comes to failed/ even if the disk was in trouble
// at that moment, and is told once (P2).
func TestFailedIsOwed(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &partly{refuse: explain.NewReply(550, []string{"5.1.1 no such user"})}
		b := newBench(t, dir, queue.Spooled, queue.Route{Name: "x", Deliverer: p, Slots: 1})
		restore := b.hide("failed")
		b.submit("app@example.com", "first@x", "second@x")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		restore()
		time.Sleep(time.Hour)
		synctest.Wait()
		failed, _ := filepath.Glob(filepath.Join(dir, "failed", "*.json"))
		if n, _ := b.spool.Usage(); len(failed) != 1 || n != 0 || b.events("delivery.failed") != 1 {
			t.Errorf("failed/ has %v, %d wait, %d delivery.failed", failed, n, b.events("delivery.failed"))
		}
		if p.count("first@x") != 1 || p.count("second@x") != 1 {
			t.Errorf("sent to first %d times, to second %d times", p.count("first@x"), p.count("second@x"))
		}
	})
}

// partly serves the first recipient and refuses the others.
type partly struct {
	refuse *explain.Reply
	mu     sync.Mutex
	tried  map[envelope.Path]int
}

func (p *partly) count(to envelope.Path) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tried[to]
}

func (p *partly) Deliver(_ context.Context, m *envelope.Message) (*explain.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tried == nil {
		p.tried = map[envelope.Path]int{}
	}
	r := &explain.Receipt{Reply: *explain.NewReply(250, []string{"ok"})}
	for _, to := range m.To {
		p.tried[to.To]++
		if to.To != "first@x" {
			r.Refused = append(r.Refused, explain.Explain(explain.Failure{Stage: explain.StageRcpt, Recipient: to.To, Reply: p.refuse}))
		}
	}
	if len(r.Refused) == len(m.To) {
		return nil, explain.Refusals(r.Refused)
	}
	return r, nil
}

// In mode direct nobody but the app can try again, so that it hears a 4xx as
// long as one recipient is put off, and a 250 when all others are final.
func TestDirectPartly(t *testing.T) {
	for _, c := range []struct{ reply, code int }{{450, 450}, {550, 250}} {
		bubble(t, func(t *testing.T, dir string) {
			p := &partly{refuse: explain.NewReply(c.reply, []string{"x"})}
			b := newBench(t, dir, queue.Direct, queue.Route{Name: "x", Deliverer: p, Slots: 1})
			if a := b.submit("app@example.com", "first@x", "second@x"); a.Code != c.code {
				t.Errorf("second gets a %d: %+v", c.reply, a)
			}
		})
	}
}

// Messages that are too old do not wait for ever behind a held route, at
// whatever stage it refuses.
func TestGiveUpOnAHeldRoute(t *testing.T) {
	for _, stage := range []explain.Stage{explain.StageAuth, explain.StageMail} {
		bubble(t, func(t *testing.T, dir string) {
			p := &provider{outcome: caused(explain.SenderDomain, stage)}
			b := newBench(t, dir, queue.Spooled, route(p, 2))
			for range 30 {
				b.submit("app@example.com", "a@example.org")
			}
			time.Sleep(giveUpAfter + time.Hour)
			synctest.Wait()
			if n, _ := b.spool.Usage(); n != 0 || b.events("delivery.failed") != 30 {
				t.Errorf("%s: %d still wait, %d failed", stage, n, b.events("delivery.failed"))
			}
		})
	}
}

// A delivery that we break off says nothing of the route.
func TestBreakingOffIsNoTrouble(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{takes: 10 * time.Second, toDot: 10 * time.Second}
		b := newBench(t, dir, queue.Direct, route(p, 1))
		if a := b.submit("app@example.com", "a@example.org"); a.Code != 451 {
			t.Errorf("%+v", a)
		}
		p.mu.Lock()
		p.takes, p.toDot = 0, 0
		p.mu.Unlock()
		if a := b.submit("app@example.com", "a@example.org"); a.Code != 250 {
			t.Errorf("the next: %+v", a)
		}
		if n := b.events("upstream.unavailable"); n != 0 {
			t.Errorf("%d upstream.unavailable", n)
		}
	})
}

// When the listener is out of time, Submit does not wait on.
func TestSubmitEndsWithItsContext(t *testing.T) {
	for _, mode := range []queue.Mode{queue.Through, queue.Direct} {
		bubble(t, func(t *testing.T, dir string) {
			p := &provider{takes: time.Hour}
			b := newBench(t, dir, mode, route(p, 1))
			d, err := b.spool.Draft(envelope.Envelope{From: "a@b", To: []envelope.Recipient{{To: "c@d"}}}, "")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			began := time.Now()
			b.queue.Submit(ctx, d)
			if waited := time.Since(began); waited > 4*time.Second {
				t.Errorf("%s: Submit took %s", mode, waited)
			}
		})
	}
}

// A limit of connections lowers their number, without the route being in
// trouble, and the number comes back when the provider bears more again.
func TestConnectionLimitIsLearned(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{takes: time.Second}
		limit := 2
		p.set(func(*envelope.Message) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.busy > limit {
				return explain.Explain(explain.Failure{Cause: explain.LimitConnections, Stage: explain.StageGreeting, Reply: explain.NewReply(421, []string{"4.7.0 too many connections"})})
			}
			return nil
		})
		b := newBench(t, dir, queue.Spooled, route(p, 6))
		for range 40 {
			b.submit("app@example.com", "a@example.org")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// From six to two, or to one if another delivery began in the moment of the refusals.
		limited := b.events("upstream.limited")
		if delivered, _ := p.counts(); delivered != 40 || b.events("upstream.unavailable") != 0 || limited < 4 || limited > 5 {
			t.Errorf("%d delivered, log:\n%s", delivered, b.log)
		}
		p.set(nil)
		for range 8 * 60 {
			b.submit("app@example.com", "a@example.org")
			time.Sleep(10 * time.Second)
		}
		p.mu.Lock()
		p.max = 0
		p.mu.Unlock()
		for range 40 {
			b.submit("app@example.com", "a@example.org")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.max != 6 {
			t.Errorf("%d at once an hour later, want 6 again", p.max)
		}
	})
}

// A limit of the rate slows the route down until it fits.
func TestRateLimitIsLearned(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{}
		var last time.Time
		p.set(func(*envelope.Message) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if time.Since(last) < 3*time.Second {
				return explain.Explain(explain.Failure{Cause: explain.LimitRate, Stage: explain.StageMail, Reply: explain.NewReply(450, []string{"4.7.1 too fast"})})
			}
			last = time.Now()
			return nil
		})
		b := newBench(t, dir, queue.Spooled, route(p, 4))
		for range 50 {
			b.submit("app@example.com", "a@example.org")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		delivered, tried := p.counts()
		if delivered != 50 || tried > 80 {
			t.Errorf("%d of 50 delivered in %d attempts", delivered, tried)
		}
	})
}

// A configured rate lets as many go at once, and then no more than it says,
// however often the settings change.
func TestConfiguredRate(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{}
		r := route(p, 4)
		r.Messages, r.Per = 30, time.Minute
		b := newBench(t, dir, queue.Spooled, r)
		for range 100 {
			b.submit("app@example.com", "a@example.org")
		}
		for minute, want := range []int{30, 60, 90, 100} {
			synctest.Wait()
			if delivered, _ := p.counts(); delivered < want-1 || delivered > want+1 {
				t.Errorf("%d delivered after %d minutes, want %d", delivered, minute, want)
			}
			b.queue.Configure(settings(queue.Spooled, r))
			time.Sleep(time.Minute)
		}
	})
}

// A message whose file was removed by a person is no trouble.
func TestDroppedMessage(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{outcome: refused(explain.StageDot, 451, "4.3.0 later")}
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		b.submit("app@example.com", "a@example.org")
		time.Sleep(time.Second)
		synctest.Wait()
		files, _ := filepath.Glob(filepath.Join(dir, "deferred", "*"))
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, tried := p.counts(); len(files) != 2 || tried != 1 {
			t.Errorf("%d files, %d attempts", len(files), tried)
		}
	})
}
