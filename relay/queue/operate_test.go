package queue_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

func idOf(t *testing.T, a queue.Answer) spool.ID {
	t.Helper()
	id, err := spool.ParseID(strings.TrimPrefix(a.Text, "queued as "))
	if err != nil {
		t.Fatalf("%q: %v", a.Text, err)
	}
	return id
}

// Once a cause is mended a person has failed mail sent again, and it is then
// tried for as long as any other, however old it is.
func TestRetryOfAFailedMessage(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{}
		p.set(refused(explain.StageMail, 550, "5.7.1 Sender address rejected: not owned by user"))
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		id := idOf(t, b.submit("app@example.com", "a@example.org"))
		time.Sleep(2 * giveUpAfter)
		if n := b.events("delivery.failed"); n != 1 {
			t.Fatalf("%d delivery.failed, want 1", n)
		}
		p.set(refused(explain.StageRcpt, 451, "4.3.0 Try again later"))
		if err := each(b.queue.Retry, id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		b.stop()
		b = newBench(t, dir, queue.Spooled, route(p, 1))
		time.Sleep(time.Hour)
		p.set(nil)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if delivered, _ := p.counts(); delivered != 1 {
			t.Errorf("%d delivered, want 1", delivered)
		}
		if err := each(b.queue.Retry, id); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("it can be sent again: %v", err)
		}
	})
}

// A dropped message is gone from the queue and from the disk, a waiting one and
// a failed one.
func TestDrop(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		p := &provider{}
		p.set(caused(explain.ConnectRefused, explain.StageConnect))
		b := newBench(t, dir, queue.Spooled, route(p, 1))
		id := idOf(t, b.submit("app@example.com", "a@example.org"))
		synctest.Wait()
		if err := each(b.queue.Drop, id); err != nil {
			t.Error(err)
		}
		if err := each(b.queue.Drop, id); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("dropped twice: %v", err)
		}
		p.set(nil)
		b.queue.Flush()
		time.Sleep(time.Hour)
		synctest.Wait()
		if delivered, _ := p.counts(); delivered != 0 {
			t.Errorf("%d delivered, want none", delivered)
		}
		if n, _ := b.spool.Usage(); n != 0 {
			t.Errorf("%d messages in the spool", n)
		}
	})
}

// each does to one message what is done to many.
func each(do func([]spool.ID, func(spool.ID, error)), id spool.ID) (err error) {
	do([]spool.ID{id}, func(_ spool.ID, e error) { err = e })
	return err
}
