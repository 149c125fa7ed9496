package spool

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"syscall"

	"kurir/upstream/envelope"
)

// fail ends a message for the recipients that still wait, as a queue does.
func (w *world) fail(id ID) {
	st, err := w.s.Load(id)
	if err != nil {
		return
	}
	st.Tried++
	if w.s.Fail(st) == nil {
		w.letters[id].failed = len(st.Envelope.To)
		w.done(id)
	}
}

// revivals puts messages of each kind into failed/, alone and beside those
// that wait, and revives them. It gives their IDs.
func (w *world) revivals() []ID {
	alone, large, partly := w.commit(120), w.commit(900), w.commit(130)
	for _, id := range []ID{alone, large} {
		w.fail(id)
	}
	w.refuse(partly)
	w.postpone(partly)
	again := w.commit(140)
	w.postpone(again)
	w.fail(again)
	w.sync()
	ids := []ID{alone, large, partly, again}
	for _, id := range ids {
		_, _ = w.s.Revive(id)
		w.sync()
	}
	return ids
}

// everywhere tells for whom a message is kept, waiting or failed, and checks
// its content there.
func (w *world) everywhere(s *Spool, id ID) map[envelope.Path]bool {
	to := map[envelope.Path]bool{}
	add := func(st *Stored) {
		for _, r := range st.Envelope.To {
			to[r.To] = true
		}
	}
	if m, st, err := s.Message(id); err == nil {
		add(st)
		if b, err := readContent(m); err != nil || !bytes.Equal(b, w.letters[id].content) {
			w.t.Errorf("%s waits with another content: %v", id, err)
		}
	}
	if st, err := s.LoadFailed(id); err == nil {
		if b, err := s.readFile(eml(s.dir.failed, id), 1<<20); err == nil && bytes.Equal(b, w.letters[id].content) {
			add(st)
		}
	}
	return to
}

// kept checks that each message is there for everyone that it is owed to, and
// that it can be revived as soon as the disk works, whatever has happened.
func (w *world) kept(s *Spool) {
	for id, l := range w.letters {
		if !l.acked || l.failed == 0 {
			continue
		}
		before := w.everywhere(s, id)
		if len(before) < l.failed {
			w.t.Errorf("%s was kept for %d recipients, and is there for %d", id, l.failed, len(before))
		}
		if _, err := s.Revive(id); err != nil && !errors.Is(err, ErrNotFound) {
			w.t.Errorf("%s cannot be revived: %v", id, err)
		}
		if _, err := s.LoadFailed(id); !errors.Is(err, ErrNotFound) {
			w.t.Errorf("%s is in failed/ still: %v", id, err)
		}
		if st, err := s.Load(id); err != nil || len(st.Envelope.To) != len(before) {
			w.t.Errorf("%s does not wait for %d recipients: %v", id, len(before), err)
		}
	}
}

// TestRevivePowerCut cuts the power after each call to the disk while failed
// messages are made to wait again. Each is still there afterwards, failed or
// waiting, whole and for all its recipients (P2).
func TestRevivePowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 1; ; n++ {
			d := newFaultDisk()
			d.cutAfter = n
			s, _, err := open(Options{Dir: "/spool"}, d, smallTuning())
			w := newWorld(t, s)
			if err == nil {
				w.revivals()
				s.Close()
			}
			for _, pick := range []func(int) int{cutNothingKept, cutAllKept, cutSomeKept(rand.New(rand.NewPCG(1, uint64(n))))} {
				s, r, err := open(Options{Dir: "/spool"}, d.cut(pick), smallTuning())
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Damaged) > 0 {
					t.Errorf("called damaged: %q", r.Damaged)
				}
				w.kept(s)
				s.Close()
			}
			if t.Failed() {
				t.Fatalf("cut after call %d", n)
			}
			if d.calls <= n {
				return
			}
		}
	})
}

// TestReviveDiskFails fails each of those calls. Nothing is lost, in this
// process and after a restart, and what could not be revived can be later.
func TestReviveDiskFails(t *testing.T) {
	for _, fault := range []error{syscall.EIO, fullErrors[0]} {
		for _, runs := range []int{1, 5} {
			synctest.Test(t, func(t *testing.T) {
				for n := 1; ; n++ {
					d := newFaultDisk()
					d.failAt, d.failOn, d.failWith = n, runs, fault
					s, _, err := open(Options{Dir: "/spool"}, d, smallTuning())
					if err != nil {
						continue
					}
					w := newWorld(t, s)
					w.pace = 2 * spareTime
					w.revivals()
					if d.calls < n {
						return
					}
					d.failAt = 0
					for _, pick := range []func(int) int{cutNothingKept, cutAllKept} {
						s, _, err := open(Options{Dir: "/spool"}, d.cut(pick), smallTuning())
						if err != nil {
							t.Fatal(err)
						}
						w.kept(s)
						s.Close()
					}
					w.sync()
					w.kept(s)
					w.sync()
					for id, l := range w.letters {
						if l.failed > 0 && len(w.everywhere(s, id)) < l.failed {
							t.Errorf("%s was lost by a later Sync", id)
						}
					}
					s.Close()
					if t.Failed() {
						t.Fatalf("call %d: %v", n, d.failed)
					}
				}
			})
		}
	}
}

// A person who dropped a failed message does not meet it again, and one who
// names a message that is not there is told so.
func TestRemoveFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFaultDisk()
		s, _, err := open(Options{Dir: "/spool"}, d, smallTuning())
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, s)
		id := w.commit(900)
		if err := s.RemoveFailed(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("a message that only waits: %v", err)
		}
		w.fail(id)
		n := 0
		for failed, err := range s.Failed() {
			if n++; failed != id || err != nil {
				t.Errorf("failed are %s, %v", failed, err)
			}
		}
		if n != 1 {
			t.Errorf("%d failed", n)
		}
		if err := s.RemoveFailed(id); err != nil {
			t.Error(err)
		}
		s.Close()
		s, r, err := open(Options{Dir: "/spool"}, d.cut(cutNothingKept), smallTuning())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Revive(id); !errors.Is(err, ErrNotFound) || r.Messages != 0 {
			t.Errorf("after a power cut: %v, %+v", err, r)
		}
	})
}
