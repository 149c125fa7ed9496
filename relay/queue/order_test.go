package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A password reset must not wait behind a newsletter, whether that came in
// just now or was there when the relay started.
func TestFloodDelaysNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{takes: time.Second}
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		for n := range 200 {
			b.submit(envelope.Path(fmt.Sprintf("news+%d=example.org@example.com", n)), "a@example.org") // VERP
		}
		place := func(b *bench, from envelope.Path) int {
			before, _ := p.counts()
			id := strings.TrimPrefix(b.submit(from, "a@example.org").Text, "queued as ")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			return slices.Index(p.delivered[before:], id)
		}
		if n := place(b, "reset@example.com"); n < 0 || n > 2 {
			t.Errorf("it came as number %d", n+1)
		}
		b.stop()
		b = newBench(t, dir, queue.Spooled, route(p, 1))
		if n := place(b, "reset@example.com"); n < 0 || n > 2 {
			t.Errorf("after a restart it came as number %d", n+1)
		}
	})
}

// Of one sender's mail the old comes first, and the small before the large
// that came a moment earlier.
func TestOldAndSmallFirst(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{}
		p.set(caused(explain.ConnectRefused, explain.StageConnect))
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		var ids []string
		send := func(size int) {
			d, err := b.spool.Draft(envelope.Envelope{From: "app@example.com", To: []envelope.Recipient{{To: "a@example.org"}}}, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(bytes.Repeat([]byte("0123456789abcd\r\n"), size/16)); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, d.ID().String())
			b.queue.Submit(t.Context(), d)
			time.Sleep(100 * time.Millisecond)
		}
		send(4 << 20) // worth four seconds
		send(16)
		send(16)
		time.Sleep(10 * time.Second)
		send(16)
		p.set(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if want := []string{ids[1], ids[2], ids[0], ids[3]}; !slices.Equal(p.delivered, want) {
			t.Errorf("delivered in the order %v, want %v", p.delivered, want)
		}
	})
}

// New settings take what waits along, and a new route is tried at once however
// the old one was held (after a password was mended, say).
func TestConfigure(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		wrong, right := &provider{takes: time.Second}, &provider{}
		wrong.set(caused(explain.AuthRejected, explain.StageAuth))
		b := newBench(t, dir, queue.Spooled, route(wrong, 2))
		for i := range 20 {
			b.submit(envelope.Path(fmt.Sprintf("app%d@example.com", i%3)), "a@example.org")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if states := b.queue.Routes(); states[0].Condition != "held" || states[0].Waiting != 20 {
			t.Errorf("before: %+v", states[0])
		}
		b.queue.Configure(settings(queue.Spooled, route(right, 2)))
		time.Sleep(time.Second)
		synctest.Wait()
		if delivered, _ := right.counts(); delivered != 20 {
			t.Errorf("%d delivered over the new route, want 20", delivered)
		}
		if states := b.queue.Routes(); states[0].Condition != "open" || states[0].Waiting != 0 {
			t.Errorf("after: %+v", states[0])
		}
	})
}

// What is under way while the settings change, and fails on the old route, is
// tried on the new one at once: neither the end of the old smart host nor its
// trouble says anything of that.
func TestConfigureMeanwhile(t *testing.T) {
	for name, err := range map[string]error{
		"closed":  errors.New("the smart host is being closed"),
		"refused": caused(explain.ConnectRefused, explain.StageConnect)(nil),
	} {
		for _, mode := range []queue.Mode{queue.Through, queue.Spooled} {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				bubble(t, func(t *testing.T, dir string) {
					wrong, right := &provider{takes: 10 * time.Second}, &provider{}
					wrong.set(func(*envelope.Message) error { return err })
					b := newBench(t, dir, mode, route(wrong, 2))
					b.submit("app@example.com", "a@example.org")
					time.Sleep(time.Second)
					b.queue.Configure(settings(mode, route(right, 2)))
					time.Sleep(11 * time.Second)
					synctest.Wait()
					if delivered, _ := right.counts(); delivered != 1 {
						t.Errorf("%d delivered over the new route, want 1", delivered)
					}
				})
			})
		}
	}
}

// A sender domain that the provider does not send for keeps back its own mail,
// probed by one message at a time, and nobody else's; once it is set up all of
// it goes out. Domains have no case (RFC 5321, 2.4).
func TestHeldSender(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{}
		unverified := func(m *envelope.Message) error {
			if m.From.Domain() == "Shop.example" {
				return explain.Explain(explain.Failure{Cause: explain.SenderDomain, Stage: explain.StageMail})
			}
			return nil
		}
		p.set(unverified)
		b := newBench(t, dir, queue.Through, route(p, 2))
		for range 10 {
			b.submit("a@Shop.example", "a@example.org")
		}
		_, before := p.counts()
		for range 10 {
			if a := b.submit("b@news.example", "a@example.org"); !strings.HasPrefix(a.Text, "sent") {
				t.Fatalf("other mail waits: %+v", a)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		delivered, tried := p.counts()
		if probes := tried - before - 10; delivered != 10 || probes < 4 || probes > 10 {
			t.Errorf("%d delivered, %d probes in an hour", delivered, probes)
		}
		if n := b.events("upstream.held"); n != 1 {
			t.Errorf("held %d times", n)
		}
		p.set(nil)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		b.submit("a@Shop.example", "a@example.org") // it is over: this is no news
		if delivered, _ := p.counts(); delivered != 21 || b.events("upstream.recovered") != 1 {
			t.Errorf("%d delivered, recovered %d times", delivered, b.events("upstream.recovered"))
		}
	})
}

// A machine without a clock of its own starts in some year, and hears later
// which one it is. No message waits for years because of that, and none is
// given up that was hardly tried.
func TestClockIsSet(t *testing.T) {
	leave := func(t *testing.T, dir string) {
		s, _, err := spool.Open(spool.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for tried := range 2 {
			d, err := s.Draft(envelope.Envelope{From: "app@example.com", To: []envelope.Recipient{{To: "a@example.org"}}}, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Commit(); err != nil {
				t.Fatal(err)
			}
			st := d.Stored()
			d.Close()
			if st.Tried, st.Due = tried, time.Now().Add(time.Minute); tried > 0 {
				if err := s.Defer(st); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	run := func(t *testing.T, dir string, lasting time.Duration, outcome func(*envelope.Message) error) (delivered, givenUp int) {
		p := &provider{}
		p.set(outcome)
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		time.Sleep(lasting)
		synctest.Wait()
		delivered, _ = p.counts()
		return delivered, b.events("delivery.failed")
	}
	t.Run("back", func(t *testing.T) {
		dir := t.TempDir()
		leave(t, dir) // today; the bubble begins in the year 2000
		synctest.Test(t, func(t *testing.T) {
			if n, _ := run(t, dir, time.Hour, nil); n != 2 {
				t.Errorf("%d of 2 are delivered", n)
			}
		})
	})
	for lasting, givenUp := range map[time.Duration]int{50 * time.Minute: 0, 2 * time.Hour: 2} {
		t.Run(fmt.Sprintf("forward, and down for %s", lasting), func(t *testing.T) {
			bubble(t, func(t *testing.T, dir string) {
				leave(t, dir)
				time.Sleep(26 * 365 * 24 * time.Hour)
				down := caused(explain.ConnectTimeout, explain.StageConnect)
				if _, n := run(t, dir, lasting, down); n != givenUp {
					t.Errorf("%d of 2 are given up, want %d", n, givenUp)
				}
			})
		})
	}
}

// A provider that bears four connections bears no more of them because Kurir
// was configured anew; each configuration may try one at once, as the old ones
// may hang.
func TestConfigureKeepsToTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &slow{}
		b := newBench(t, dir, queue.Spooled, queue.Route{Name: "x", Deliverer: p, Slots: 4})
		for range 40 {
			b.submit("app@example.com", "a@example.org")
		}
		for range 5 {
			time.Sleep(time.Second)
			b.queue.Configure(settings(queue.Spooled, queue.Route{Name: "x", Deliverer: p, Slots: 4}))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.delivered != 40 || p.most > 4+5 {
			t.Errorf("%d of 40 delivered, %d at once", p.delivered, p.most)
		}
	})
}

// A slow provider takes a minute for each message.
type slow struct {
	mu                   sync.Mutex
	now, most, delivered int
}

func (c *slow) Deliver(context.Context, *envelope.Message) (*explain.Receipt, error) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	time.Sleep(time.Minute)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
	c.delivered++
	return &explain.Receipt{}, nil
}
