package spool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// oneSegment is as it comes, but for a reserve that memory would have to hold.
func oneSegment() tuning {
	t := defaultTuning()
	t.reserve = 0
	return t
}

// journalImage gives a journal of one segment, a few messages and marks, and
// what it was made of.
func journalImage(t *testing.T) (d *faultDisk, path string, img []byte, w *world) {
	d = newFaultDisk()
	s, _, err := open(Options{Dir: "/spool"}, d, oneSegment())
	if err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, s)
	for i := range 4 {
		w.commit(50 + 30*i)
	}
	w.sending(w.order[1])
	w.done(w.order[1])
	w.commit(20)
	path = s.journal.active.path
	s.Close()
	dir, name := d.dirOf(path)
	return d, path, dir.now[name].now, w
}

// reopen gives what is recovered from the segment's image alone.
func reopen(t testing.TB, path string, img []byte, more ...[]byte) (*Spool, Recovery) {
	d := newFaultDisk()
	for _, dir := range append(newDirs("/spool").subdirs(), "/spool") {
		d.mkdir(dir)
	}
	dir, name := d.dirOf(path)
	dir.set(name, &faultInode{now: bytes.Clone(img), durable: bytes.Clone(img)})
	for i, b := range more {
		dir.set(fmt.Sprintf("%016x.seg", 100+i), &faultInode{now: bytes.Clone(b), durable: bytes.Clone(b)})
	}
	s, r, err := open(Options{Dir: "/spool"}, d, oneSegment())
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// TestDamage flips a bit in each octet of a segment, cuts it at each, zeroes
// and overwrites parts: whatever is recovered must be a message that was put,
// octet by octet, and a flipped bit costs one record at most.
func TestDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, path, img, w := journalImage(t)
		next := segmentHeader(100)
		check := func(what string, s *Spool, least int) {
			n := 0
			for _, e := range s.Waiting() {
				l := w.letters[e.ID]
				m, st, err := s.Message(e.ID)
				if l == nil || err != nil || len(st.Envelope.To) != 2 || st.Envelope.From != "a@example.com" {
					t.Fatalf("%s: %s is not as it was put: %v", what, e.ID, err)
				}
				if got, err := readContent(m); err != nil || !bytes.Equal(got, l.content) {
					t.Fatalf("%s: %s has another content: %v", what, e.ID, err)
				}
				if !l.ended {
					n++
				}
			}
			if n < least {
				t.Fatalf("%s: %d messages are left, want %d", what, n, least)
			}
			s.Close()
		}
		r := rand.New(rand.NewPCG(3, 4))
		for off := range img {
			bad := bytes.Clone(img)
			bad[off] ^= 1 << r.IntN(8)
			s, rec := reopen(t, path, bad)
			check(fmt.Sprint("flip in newest at ", off), s, 3)
			if len(rec.Damaged) == 0 && rec.TornBytes == 0 && off >= segmentHead {
				t.Fatalf("flip at %d: nothing is reported", off)
			}
			s, rec = reopen(t, path, bad, next)
			check(fmt.Sprint("flip at ", off), s, 3)
			if len(rec.Damaged) != 1 {
				t.Fatalf("flip at %d of an old segment: reported %q", off, rec.Damaged)
			}
			s, _ = reopen(t, path, img[:off])
			check(fmt.Sprint("cut at ", off), s, 0)
			zero := bytes.Clone(img)
			clear(zero[off:min(off+64, len(zero))])
			s, _ = reopen(t, path, zero)
			check(fmt.Sprint("zeros at ", off), s, 2)
			shift := append(bytes.Clone(img[:off]), img[r.IntN(off+1):]...)
			s, _ = reopen(t, path, shift)
			check(fmt.Sprint("another part at ", off), s, 0)
		}
	})
}

// FuzzJournal recovers from arbitrary segments: no panic, no allocation out of
// proportion, and whatever waits can be read.
func FuzzJournal(f *testing.F) {
	f.Add([]byte{})
	f.Add(segmentHeader(0))
	rec := make([]byte, recordHead+10)
	prepare(rec, kindPut, 77)
	place(rec, 0, segmentHead, 0)
	f.Add(append(segmentHeader(0), rec...))
	put := append(make([]byte, recordHead), "\x7b\x00\x00\x00"+
		`{"id":"00000000000jd","received":"2026-01-02T03:04:05Z","envelope":{"from":"a@example.com","to":[{"to":"b@c.d"}]},"size":4}   `+"ab\r\n"...)
	prepare(put, kindPut, 0x24d)
	place(put, 0, segmentHead, 0)
	f.Add(append(segmentHeader(0), put...))
	big := append(make([]byte, recordHead), "\x00\x00\x00\x00123456789012"...)
	prepare(big, kindBig, 9)
	place(big, 0, segmentHead, 0)
	f.Add(append(segmentHeader(0), big...))
	f.Fuzz(func(t *testing.T, img []byte) {
		// What a fuzzer would not find: checksums that agree.
		for off := segmentHead; off+recordHead <= len(img); {
			if string(img[off:][:4]) == recordMagic {
				h := img[off:]
				n := int(h[32]) | int(h[33])<<8
				if recordHead+n <= len(h) {
					copy(h[36:], []byte{0, 0, 0, 0})
					id := ID(h[8])
					prepare(h[:recordHead+n], h[4], id)
					place(h[:recordHead+n], 0, int64(off), 0)
					off += recordHead + n
					continue
				}
			}
			off++
		}
		s, r := reopen(t, "/spool/journal/0000000000000000.seg", img)
		for _, e := range s.Waiting() {
			m, _, err := s.Message(e.ID)
			if err != nil {
				continue // the envelope may be JSON of another shape
			}
			if b, err := readContent(m); err != nil || int64(len(b)) != e.Size {
				t.Errorf("%s: %d of %d octets, %v", e.ID, len(b), e.Size, err)
			}
		}
		if r.TornBytes > int64(len(img)) {
			t.Errorf("torn: %d of %d octets", r.TornBytes, len(img))
		}
		s.Close()
	})
}
