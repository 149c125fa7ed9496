package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"syscall"

	"kurir/upstream/envelope"
)

// smallTuning makes segments roll, compact and go within a few messages.
func smallTuning() tuning {
	return tuning{inline: 300, segment: 2000, reserve: 400, margin: 400, marks: 5}
}

// A letter is what the test knows of a message.
type letter struct {
	content []byte
	acked   bool // Commit returned nil
	refused bool // Commit returned an error while the disk was there
	ended   bool // Done was called
	flushed bool // and what marks it has been flushed since
	failed  int  // recipients for whom Fail returned nil
	moved   bool // a Defer may have moved it
	sending bool // the last Sending mark has not been concluded
	to      int  // recipients, by the last change that is durable
	maybe   int  // recipients after a Defer that did not return nil
}

// A world drives a spool, and remembers what it was promised.
type world struct {
	t       *testing.T
	s       *Spool
	letters map[ID]*letter
	order   []ID
	rand    *rand.Rand
	pace    time.Duration // between operations, so that what failed is tried again
}

func newWorld(t *testing.T, s *Spool) *world {
	return &world{t: t, s: s, letters: map[ID]*letter{}, rand: rand.New(rand.NewPCG(1, 2))}
}

func (w *world) commit(size int) ID {
	time.Sleep(w.pace)
	d, err := w.s.Draft(envelope.Envelope{From: "a@example.com",
		To: []envelope.Recipient{{To: "b@example.org"}, {To: "c@example.org"}}}, "127.0.0.1")
	if err != nil {
		return 0
	}
	defer d.Close()
	content := make([]byte, size)
	for i := range content {
		content[i] = byte('a' + w.rand.IntN(26))
	}
	l := &letter{content: content, to: 2}
	w.letters[d.ID()] = l
	w.order = append(w.order, d.ID())
	for p := content; len(p) > 0; { // in pieces, as a session reads them
		n := min(len(p), 170)
		if _, err := d.Write(p[:n]); err != nil {
			l.refused = true
			return 0
		}
		p = p[n:]
	}
	if err := d.Commit(); err != nil {
		l.refused = !errors.Is(err, errPower)
		return 0
	}
	l.acked = true
	for _, l := range w.letters {
		if l.ended && !l.moved { // removals in deferred/ wait for Sync
			l.flushed = true
		}
	}
	return d.ID()
}

// flushed notes that all has been flushed.
func (w *world) flushed() {
	for _, l := range w.letters {
		if l.ended {
			l.flushed = true
		}
	}
}

func (w *world) sending(id ID) {
	time.Sleep(w.pace)
	if st, err := w.s.Load(id); err == nil && w.s.Sending(id, st.Tried+1) == nil {
		w.letters[id].sending = true
	}
}

func (w *world) done(id ID) {
	time.Sleep(w.pace)
	if l := w.letters[id]; l != nil && !l.ended {
		l.ended = true
		if err := w.s.Done(id); errors.Is(err, ErrNotFound) {
			w.t.Errorf("%s: Done: %v", id, err)
		}
	}
}

func (w *world) postpone(id ID) {
	time.Sleep(w.pace)
	st, err := w.s.Load(id)
	if err != nil {
		return
	}
	st.Due = st.Received.Add(time.Hour)
	st.Tried++
	st.Attempts = append(st.Attempts, Attempt{Time: st.Received, Cause: "greylisted"})
	st.Envelope.To = st.Envelope.To[len(st.Envelope.To)-1:]
	l := w.letters[id]
	l.maybe, l.moved = 1, true
	if err := w.s.Defer(st); err == nil {
		l.to, l.sending = 1, false
	}
}

func (w *world) refuse(id ID) {
	time.Sleep(w.pace)
	st, err := w.s.Load(id)
	if err != nil {
		return
	}
	st.Tried++
	st.Attempts = append(st.Attempts, Attempt{Time: st.Received, Cause: "recipient.unknown", Recipients: []envelope.Path{"b@example.org"}})
	st.Envelope.To = st.Envelope.To[:1]
	l := w.letters[id]
	if w.s.Fail(st) == nil && (l.failed == 0 || st.Envelope.To[0].To == "c@example.org") {
		l.failed++
	}
}

func (w *world) sync() {
	time.Sleep(w.pace)
	if w.s.Sync() == nil {
		w.flushed()
	}
}

// live is every operation, in every place that a message can be in.
func (w *world) live() {
	var small, large []ID
	for range 4 {
		small = append(small, w.commit(120))
	}
	for range 4 {
		large = append(large, w.commit(900))
	}
	w.sending(small[0])
	w.done(small[0])
	w.sending(large[0])
	w.done(large[0])
	w.postpone(small[1])
	w.postpone(large[1])
	w.sending(small[1])
	w.postpone(small[1])
	w.refuse(small[2])
	w.refuse(small[2])
	w.done(small[2])
	w.refuse(large[2])
	w.postpone(large[2])
	w.refuse(large[2])
	w.done(large[2])
	w.done(small[1])
	w.sync()
	w.sending(small[3])
	for range 30 { // so that segments are compacted and removed
		w.done(w.commit(200))
	}
	w.commit(250)
	w.sync()
}

func (w *world) check(s *Spool, r Recovery) {
	t := w.t
	waiting := s.Waiting()
	if r.Messages != len(waiting) {
		t.Errorf("Recovery.Messages is %d, %d wait", r.Messages, len(waiting))
	}
	found := map[ID]bool{}
	for _, e := range waiting {
		found[e.ID] = true
		l := w.letters[e.ID]
		if l == nil {
			t.Errorf("%s waits, and nobody put it there", e.ID)
			continue
		}
		if l.ended && l.flushed {
			t.Errorf("%s was done, and waits again", e.ID)
		}
		m, st, err := s.Message(e.ID)
		if err != nil {
			t.Errorf("%s: %v", e.ID, err)
			continue
		}
		if n := len(st.Envelope.To); n != l.to && n != l.maybe {
			t.Errorf("%s has %d recipients, want %d", e.ID, n, l.to)
		}
		if got, err := readContent(m); err != nil || !bytes.Equal(got, l.content) {
			t.Errorf("%s: content of %d octets is wrong (%d octets, %v)", e.ID, len(l.content), len(got), err)
		}
	}
	for id, l := range w.letters {
		if l.acked && !l.ended && !found[id] {
			t.Errorf("%s was acknowledged, and is lost", id)
		}
		if l.failed > 0 {
			if st, err := s.readMeta(meta(s.dir.failed, id), id); err != nil || len(st.Envelope.To) < l.failed {
				t.Errorf("%s was kept as failed, and is not there: %v", id, err)
			} else if b, err := s.readFile(eml(s.dir.failed, id), 1<<20); err != nil || !bytes.Equal(b, l.content) {
				t.Errorf("%s was kept as failed, and has another content", id)
			}
		}
	}
	if d := s.journal.idle; len(d) > maxIdle {
		t.Errorf("%d idle segments", len(d))
	}
}

func readContent(m *envelope.Message) ([]byte, error) {
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestPowerCut cuts the power after each call to the disk, with nothing,
// everything, or something kept of what was not flushed, and once more during
// the recovery. Every acknowledged message must be there, whole (P1, P2); no
// message comes back after its mark was flushed; nothing is called damaged.
func TestPowerCut(t *testing.T) {
	type variant struct {
		name string
		pick func(n int) func(int) int
	}
	variants := []variant{
		{"nothing kept", func(int) func(int) int { return cutNothingKept }},
		{"all kept", func(int) func(int) int { return cutAllKept }},
	}
	for seed := range uint64(4) {
		variants = append(variants, variant{fmt.Sprint("some kept ", seed), func(n int) func(int) int {
			return cutSomeKept(rand.New(rand.NewPCG(seed, uint64(n))))
		}})
	}
	synctest.Test(t, func(t *testing.T) {
		for n := 1; ; n++ {
			d := newFaultDisk()
			d.cutAfter = n
			s, _, err := open(Options{Dir: "/spool"}, d, smallTuning())
			w := newWorld(t, s)
			if err == nil {
				w.live()
				s.Close()
			}
			for _, v := range variants {
				after := d.cut(v.pick(n))
				after.cutAfter = 1 + n%40 // the power goes again during recovery
				if s, _, err := open(Options{Dir: "/spool"}, after, smallTuning()); err == nil {
					s.Close()
				}
				after = after.cut(v.pick(n + 1))
				s, r, err := open(Options{Dir: "/spool"}, after, smallTuning())
				if err != nil {
					t.Fatalf("cut after call %d, %s: %v", n, v.name, err)
				}
				w.check(s, r)
				if len(r.Damaged) > 0 {
					t.Errorf("called damaged: %q", r.Damaged)
				}
				if v.name == "all kept" {
					w.checkUncertain(r)
				}
				next := newWorld(t, s)
				if next.commit(100) == 0 || next.commit(500) == 0 {
					t.Errorf("no message can be put after recovery")
				}
				maps.Copy(next.letters, w.letters)
				if s, r, err = open(Options{Dir: "/spool"}, after.cut(cutNothingKept), smallTuning()); err != nil {
					t.Fatal(err)
				}
				next.check(s, r)
				s.Close()
				if t.Failed() {
					t.Fatalf("cut after call %d, %s", n, v.name)
				}
			}
			if d.calls <= n {
				t.Logf("%d calls, each followed by a power cut", n)
				return
			}
		}
	})
}

// checkUncertain holds after a kill, where every mark that was written is there.
func (w *world) checkUncertain(r Recovery) {
	for id, l := range w.letters {
		if l.acked && !l.ended && l.sending && l.maybe != 1 && !slices.Contains(r.Uncertain, id) {
			w.t.Errorf("%s came to the dot, and is not called uncertain", id)
		}
		if l.ended && l.flushed && slices.Contains(r.Uncertain, id) {
			w.t.Errorf("%s is done, and called uncertain", id)
		}
	}
}

// TestDiskFails fails each call to the disk, alone and together with the next
// ones. What was acknowledged must be there after a restart; what was refused
// must not be; and the spool must take mail again as soon as the disk does.
func TestDiskFails(t *testing.T) {
	for _, c := range []struct {
		err  error
		runs int
	}{{syscall.EIO, 1}, {fullErrors[0], 1}, {syscall.EIO, 4}, {fullErrors[0], 7}} {
		t.Run(fmt.Sprint(c.err, c.runs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for n := 1; ; n++ {
					d := newFaultDisk()
					d.failAt, d.failOn, d.failWith = n, c.runs, c.err
					s, _, err := open(Options{Dir: "/spool"}, d, smallTuning())
					w := newWorld(t, s)
					w.pace = 2 * spareTime
					if err == nil {
						w.live()
						taken := false
						for range c.runs + 1 { // the fault may only come now
							taken = w.commit(100) != 0 || taken
						}
						if !taken {
							t.Errorf("the disk works again, and no mail is taken")
						}
						s.Close()
					}
					for _, pick := range []func(int) int{cutNothingKept, cutAllKept} {
						after := d.cut(pick)
						s, r, err := open(Options{Dir: "/spool"}, after, smallTuning())
						if err != nil {
							t.Fatalf("call %d (%v): %v", n, d.failed, err)
						}
						w.check(s, r)
						for _, e := range s.Waiting() {
							if w.letters[e.ID].refused {
								t.Errorf("%s was refused, and waits", e.ID)
							}
						}
						s.Close()
					}
					if t.Failed() {
						t.Fatalf("failed at call %d: %v", n, d.failed)
					}
					if d.calls < n {
						t.Logf("%d calls, each failed", n)
						return
					}
				}
			})
		})
	}
}

// TestRecoveryFails fails each call of a recovery. Open either says so, and
// then a second one finds everything, or it finds everything at once.
func TestRecoveryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFaultDisk()
		d.cutAfter = 150
		s, _, err := open(Options{Dir: "/spool"}, d, smallTuning())
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, s)
		w.live()
		for _, fault := range []error{syscall.EIO, fullErrors[0]} {
			for n := 1; ; n++ {
				after := d.cut(cutAllKept)
				after.failAt, after.failWith = n, fault
				s, r, err := open(Options{Dir: "/spool"}, after, smallTuning())
				if err != nil {
					if s, r, err = open(Options{Dir: "/spool"}, after, smallTuning()); err != nil {
						t.Fatal(err)
					}
				}
				after.failAt = 0
				w.check(s, r)
				s.Close()
				if t.Failed() {
					t.Fatalf("call %d: %v", n, after.failed)
				}
				if after.calls < n {
					break
				}
			}
		}
	})
}

// TestFullDisk fills a small disk and drains it, five times: nothing is lost,
// everything can be marked, and intake comes back without help (P2, P4).
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFaultDisk()
		d.capacity = 20_000
		s, _, err := open(Options{Dir: "/spool"}, d, smallTuning())
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, s)
		for round := range 5 {
			var ids []ID
			for {
				id := w.commit(150 + 350*(len(ids)%2))
				if id == 0 {
					break
				}
				ids = append(ids, id)
			}
			if len(ids) < 10 {
				t.Fatalf("round %d took only %d messages", round, len(ids))
			}
			if err := s.Space(1); !errors.Is(err, ErrFull) {
				t.Errorf("round %d: Space says %v, want ErrFull", round, err)
			}
			for i, id := range ids {
				if m, _, err := s.Message(id); err != nil {
					t.Error(err)
				} else if b, err := readContent(m); err != nil || !bytes.Equal(b, w.letters[id].content) {
					t.Errorf("%s: %v", id, err)
				}
				if i%4 == 3 {
					w.postpone(id) // which may fail for want of room
				}
				if err := s.Done(id); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(2 * spareTime)
		}
		s.Close()
		if s, r, err := open(Options{Dir: "/spool"}, d, smallTuning()); err != nil || r.Messages != 0 || !s.reserve {
			t.Errorf("left: %+v, %v", r, err)
		}
	})
}

// TestFlushFailsForAll fails one call while eight sessions commit at once:
// who shared the failed flush is refused and does not come back, the others
// are safe.
func TestFlushFailsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 1; n < 80; n++ {
			d := newFaultDisk()
			s, _, err := open(Options{Dir: "/spool"}, d, smallTuning())
			if err != nil {
				t.Fatal(err)
			}
			d.failAt, d.failWith = d.calls+n, syscall.EIO
			var mu sync.Mutex
			acked := map[ID]bool{}
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 6 {
						time.Sleep(2 * spareTime)
						dr, err := s.Draft(envelope.Envelope{From: "a@example.com"}, "")
						if err != nil {
							continue
						}
						dr.Write([]byte("isi surat\r\n"))
						err = dr.Commit()
						mu.Lock()
						acked[dr.ID()] = err == nil
						mu.Unlock()
						dr.Close()
					}
				})
			}
			all.Wait()
			for _, pick := range []func(int) int{cutNothingKept, cutAllKept} {
				s, r, err := open(Options{Dir: "/spool"}, d.cut(pick), smallTuning())
				if err != nil {
					t.Fatal(err)
				}
				left := 0
				for _, e := range s.Waiting() {
					if !acked[e.ID] {
						t.Errorf("call %d (%v): %s was refused, and waits", n, d.failed, e.ID)
					}
					left++
				}
				for _, ok := range acked {
					if ok {
						left--
					}
				}
				if left != 0 {
					t.Errorf("call %d (%v): %d messages too many, %+v", n, d.failed, left, r)
				}
				s.Close()
			}
			s.Close()
		}
	})
}
