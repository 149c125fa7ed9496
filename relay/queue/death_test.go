package queue_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// A deaf spool takes a message and dies before it can be told what became of
// the delivery that was under way meanwhile.
type deaf struct{ *spool.Spool }

var errDied = errors.New("it died")

func (deaf) Defer(*spool.Stored) error { return errDied }
func (deaf) Fail(*spool.Stored) error  { return errDied }
func (deaf) Done(spool.ID) error       { return errDied }

// A death between the moment a message is stored and the moment its outcome is
// kept must not send it again without a word, nor to whom it was delivered
// (promise P6).
func TestDeathAfterTheCommit(t *testing.T) {
	t.Run("uncertain", func(t *testing.T) {
		bubble(t, func(t *testing.T, dir string) {
			p := &provider{}
			p.set(caused(explain.DeliveryUncertain, explain.StageDot))
			b := newBenchOn(t, dir, func(s *spool.Spool) queue.Spool { return deaf{s} }, queue.Through, route(p, 1))
			b.submit("app@example.com", "a@example.org")
			b.stop()
			p.set(nil)
			b = newBench(t, dir, queue.Through, route(p, 1))
			time.Sleep(time.Hour)
			synctest.Wait()
			if delivered, _ := p.counts(); delivered != 1 || b.events("delivery.uncertain") != 1 {
				t.Errorf("%d delivered, told %d times that this may be once more, want 1 and 1", delivered, b.events("delivery.uncertain"))
			}
		})
	})
	t.Run("the wait ended behind the dot", func(t *testing.T) {
		bubble(t, func(t *testing.T, dir string) {
			p := &provider{takes: 6 * time.Second, toDot: time.Second}
			b := newBenchOn(t, dir, func(s *spool.Spool) queue.Spool { return deaf{s} }, queue.Through, route(p, 1))
			b.submit("app@example.com", "a@example.org")
			b.stop()
			b = newBench(t, dir, queue.Through, route(p, 1))
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := b.events("delivery.uncertain"); n != 1 {
				t.Errorf("told %d times that it may arrive twice, want 1", n)
			}
		})
	})
	t.Run("delivered to one of two", func(t *testing.T) {
		bubble(t, func(t *testing.T, dir string) {
			p := &partly{refuse: explain.NewReply(450, []string{"4.2.1 later"})}
			routes := queue.Route{Name: "x", Deliverer: p, Slots: 1}
			b := newBenchOn(t, dir, func(s *spool.Spool) queue.Spool { return deaf{s} }, queue.Through, routes)
			b.submit("app@example.com", "first@x", "second@x")
			b.stop()
			newBench(t, dir, queue.Through, routes)
			time.Sleep(time.Hour)
			synctest.Wait()
			if p.count("first@x") != 1 || p.count("second@x") < 2 {
				t.Errorf("sent to first %d times, to second %d times", p.count("first@x"), p.count("second@x"))
			}
		})
	})
}
