package queue_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/relay/dsn"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A postbox takes notifications and does with other mail what the test says.
type postbox struct {
	mu    sync.Mutex
	other func(m *envelope.Message) (*explain.Receipt, error)
	taken []string // notifications, each with its forward-path before it
}

func (p *postbox) Deliver(_ context.Context, m *envelope.Message) (*explain.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.From != "" {
		return p.other(m)
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	p.taken = append(p.taken, string(m.To[0].To)+"\n"+string(text))
	return ok(), nil
}

func (p *postbox) notifications() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.taken...)
}

func ok() *explain.Receipt {
	return &explain.Receipt{Reply: *explain.NewReply(250, []string{"2.0.0 OK"})}
}

func noSuchUser(m *envelope.Message) (*explain.Receipt, error) {
	f := explain.Failure{Stage: explain.StageRcpt, Recipient: m.To[0].To, Reply: explain.NewReply(550, []string{"5.1.1 No such user"})}
	return nil, explain.Refusals{explain.Explain(f)}
}

func (b *bench) send(from envelope.Path, to ...envelope.Recipient) {
	b.t.Helper()
	d, err := b.spool.Draft(envelope.Envelope{From: from, To: to}, "127.0.0.1")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := d.Write([]byte("Subject: your invoice\r\n\r\nsecret words\r\n")); err != nil {
		b.t.Fatal(err)
	}
	b.queue.Submit(b.t.Context(), d)
}

// Whoever sent what failed for good hears of it once, with the explanation and
// without the content, as RFC 3461 and the configuration say; a notification
// that cannot be delivered causes no other.
func TestNotifications(t *testing.T) {
	taken := func(*envelope.Message) (*explain.Receipt, error) { return ok(), nil }
	late := func(m *envelope.Message) (*explain.Receipt, error) {
		return nil, explain.Explain(explain.Failure{Stage: explain.StageDot, Reply: explain.NewReply(451, []string{"4.3.0 later"})})
	}
	for _, c := range []struct {
		name   string
		policy dsn.Policy
		other  func(m *envelope.Message) (*explain.Receipt, error)
		from   envelope.Path
		notify string
		want   []string // in the only notification; none means that there is none
	}{
		{"failed", dsn.Sender, noSuchUser, "app@example.com", "", []string{"app@example.com\n", "Action: failed", "There is no mailbox for you@example.org.", "550 5.1.1 No such user", "Subject: your invoice"}},
		{"never", dsn.Sender, noSuchUser, "app@example.com", "NEVER", nil},
		{"only success", dsn.Sender, noSuchUser, "app@example.com", "SUCCESS", nil},
		{"nobody", dsn.Nobody, noSuchUser, "app@example.com", "", nil},
		{"operator", "ops@example.com", noSuchUser, "app@example.com", "NEVER", []string{"ops@example.com\n", "Action: failed"}},
		{"given up", dsn.Sender, late, "app@example.com", "", []string{"Action: failed", "451 4.3.0 later"}},
		{"delivered", dsn.Sender, taken, "app@example.com", "", nil},
		{"relayed", dsn.Sender, taken, "app@example.com", "SUCCESS", []string{"Action: relayed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range []queue.Mode{queue.Spooled, queue.Through} {
				bubble(t, func(t *testing.T, dir string) {
					p := &postbox{other: c.other}
					b := newBench(t, dir, mode, queue.Route{Name: "x", Deliverer: p, Slots: 2})
					s := settings(mode, queue.Route{Name: "x", Deliverer: p, Slots: 2})
					s.Notify, s.Hostname = c.policy, "relay.example"
					b.queue.Configure(s)
					b.send(c.from, envelope.Recipient{To: "you@example.org", Notify: c.notify})
					time.Sleep(2 * giveUpAfter)
					synctest.Wait()
					got := p.notifications()
					if mode == queue.Through && c.name != "given up" && c.name != "relayed" {
						c.want = nil // the app heard it in the reply
					}
					if want := min(len(c.want), 1); len(got) != want {
						t.Fatalf("%s: %d notifications, want %d: %q", mode, len(got), want, got)
					}
					for _, w := range c.want {
						if !strings.Contains(got[0], w) {
							t.Errorf("%s: %q is not in %s", mode, w, got[0])
						}
					}
					if len(got) > 0 && strings.Contains(got[0], "secret words") {
						t.Errorf("%s: the content is in it: %s", mode, got[0])
					}
				})
			}
		})
	}
}

// Who asked for it hears once that a message is late.
func TestNotifiedOfADelay(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &postbox{other: func(m *envelope.Message) (*explain.Receipt, error) {
			return nil, explain.Explain(explain.Failure{Stage: explain.StageDot, Reply: explain.NewReply(451, []string{"4.3.0 later"})})
		}}
		b := newBench(t, dir, queue.Spooled)
		s := settings(queue.Spooled, queue.Route{Name: "x", Deliverer: p, Slots: 2})
		s.Notify = dsn.Sender
		b.queue.Configure(s)
		b.send("app@example.com", envelope.Recipient{To: "you@example.org", Notify: "DELAY"})
		b.send("app@example.com", envelope.Recipient{To: "other@example.org"})
		time.Sleep(giveUpAfter - time.Hour)
		synctest.Wait()
		got := p.notifications()
		if len(got) != 1 || !strings.Contains(got[0], "Action: delayed") || !strings.Contains(got[0], "Will-Retry-Until:") {
			t.Errorf("%q", got)
		}
	})
}

// A thousand messages that fail alike are told of a few times, with how many
// there were.
func TestNotificationsAreLimited(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &postbox{other: noSuchUser}
		b := newBench(t, dir, queue.Spooled)
		s := settings(queue.Spooled, queue.Route{Name: "x", Deliverer: p, Slots: 1})
		s.Notify = dsn.Sender
		b.queue.Configure(s)
		for range 50 {
			b.send("app@example.com", envelope.Recipient{To: "you@example.org"})
		}
		time.Sleep(2 * time.Hour)
		b.send("app@example.com", envelope.Recipient{To: "you@example.org"})
		time.Sleep(time.Minute)
		synctest.Wait()
		got := p.notifications()
		if len(got) != 6 || !strings.Contains(got[5], "45") {
			t.Errorf("%d notifications, the last: %q", len(got), got[len(got)-1])
		}
	})
}

// An undeliverable notification is not told of, and lies in failed/.
func TestNotificationOfNotification(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{}
		p.set(refused(explain.StageRcpt, 550, "5.1.1 No such user"))
		b := newBench(t, dir, queue.Spooled)
		s := settings(queue.Spooled, route(p, 1))
		s.Notify = dsn.Sender
		b.queue.Configure(s)
		b.send("app@example.com", envelope.Recipient{To: "you@example.org"})
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, tried := p.counts(); tried != 2 || b.events("delivery.failed") != 2 {
			t.Errorf("%d attempts, %d failed, want the message and its notification", tried, b.events("delivery.failed"))
		}
	})
}

// A crowded spool has no room for what is new.
type crowded struct {
	*spool.Spool
	full atomic.Bool
}

func (c *crowded) Draft(env envelope.Envelope, client string) (*spool.Draft, error) {
	if c.full.Load() {
		return nil, errors.Join(spool.ErrFull)
	}
	return c.Spool.Draft(env, client)
}

// A failed message knows of its notification until that is safe (promise P2),
// over a restart too, and whom it was delivered to does not get it again.
func TestNotificationIsOwed(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(t *testing.T, dir string) {
			var served int
			p := &postbox{other: func(m *envelope.Message) (*explain.Receipt, error) {
				served++
				r := ok()
				for _, to := range m.To[1:] {
					r.Refused = append(r.Refused, explain.Explain(explain.Failure{
						Stage: explain.StageRcpt, Recipient: to.To, Reply: explain.NewReply(550, []string{"5.1.1 No such user"}),
					}))
				}
				return r, nil
			}}
			c := &crowded{}
			s := settings(queue.Spooled, queue.Route{Name: "x", Deliverer: p, Slots: 1})
			s.Notify = dsn.Sender
			open := func() *bench {
				b := newBenchOn(t, dir, func(s *spool.Spool) queue.Spool { c.Spool = s; return c }, queue.Spooled)
				b.queue.Configure(s)
				return b
			}
			b := open()
			c.full.Store(true)
			b.send("app@example.com", envelope.Recipient{To: "me@example.org"}, envelope.Recipient{To: "you@example.org"})
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if n, _ := b.spool.Usage(); n != 0 || len(p.notifications()) != 0 {
				t.Errorf("%d messages wait, notifications: %q", n, p.notifications())
			}
			c.full.Store(false)
			if restart {
				b.stop()
				b = open()
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			got := p.notifications()
			if len(got) != 1 || !strings.Contains(got[0], "There is no mailbox for you@example.org.") || !strings.Contains(got[0], "Subject: your invoice") {
				t.Errorf("notifications: %q", got)
			}
			if served != 1 {
				t.Errorf("sent %d times", served)
			}
			b.stop()
			open()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if len(p.notifications()) != 1 {
				t.Errorf("notified again after a restart: %q", p.notifications())
			}
		})
	}
}
