package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A journal is the list of segments, oldest first, and the flush under way.
// Spool.mu guards it.
type journal struct {
	segments []*segment
	active   *segment // takes the records; nil until the first, and after trouble
	next     uint64   // sequence number of the next segment
	idle     []*segment
	scratch  [recordHead + 4]byte // for marks
	staged   []byte               // records of the active segment, which its size counts, yet to be written

	open *batch // that may still be joined
	last *batch

	carry    []ID // messages whose DONE could not be written or flushed
	refused  trouble
	settling bool // someone removes or compacts segments
	pause    time.Time
}

// A segment is one file of the journal.
type segment struct {
	seq     uint64
	path    string
	size    int64 // octets of whole records, and the head
	flushed int64 // octets of whole records that have been flushed
	f       file  // open while someone uses it, and a little longer
	users   int
	live    int   // records of messages that wait, or that are just being flushed
	bytes   int64 // of those
	marks   int   // waiting messages whose last Sending mark is here
	undone  []ID  // DONE marks that no flush has covered yet
	failed  error // of a write or flush, after which nothing more is tried on f

	syncing sync.Mutex // one flush at a time; taken after mu, or without it
	lost    error      // of the flush that failed; guarded by syncing
}

// datasync flushes the segment's file, unless a flush of it has failed: the
// next one would succeed without having written what that one lost.
func (seg *segment) datasync() error {
	seg.syncing.Lock()
	defer seg.syncing.Unlock()
	if seg.lost == nil {
		seg.lost = seg.f.datasync()
	}
	return seg.lost
}

// A record is the place of a PUT or BIG record.
type record struct {
	seg    *segment
	off    int64
	length uint32 // of the whole record
	env    uint32 // of its envelope block
	kind   byte
}

// claim notes that a message waits there.
func (r *record) claim() {
	r.seg.live++
	r.seg.bytes += int64(r.length)
}

// leave ends the claim of a message on its segment, if it has one. The caller
// holds mu.
func (r *record) leave() {
	if r.seg != nil {
		r.seg.live--
		r.seg.bytes -= int64(r.length)
	}
}

func (j *journal) closeFiles() {
	for _, seg := range j.segments {
		seg.close()
	}
}

// close closes the segment's file, if it is open.
func (seg *segment) close() {
	if seg.f != nil {
		seg.f.Close()
		seg.f = nil
	}
}

// hold opens the segment for one more user. The caller holds mu.
func (s *Spool) hold(seg *segment) error {
	if s.closed {
		return os.ErrClosed
	}
	if seg.f == nil {
		f, err := s.disk.open(seg.path, os.O_RDONLY)
		if err != nil {
			return err
		}
		seg.f = f
	}
	seg.users++
	return nil
}

// maxIdle is how many segments stay open with no user, for the next one.
const maxIdle = 8

// release ends a use of the segment. The caller holds mu.
func (s *Spool) release(seg *segment) {
	seg.users--
	j := &s.journal
	if seg.users > 0 || s.closed || slices.Contains(j.idle, seg) {
		return
	}
	if len(j.idle) == maxIdle {
		if old := j.idle[0]; old.users == 0 {
			old.close()
		}
		j.idle = slices.Delete(j.idle, 0, 1)
	}
	j.idle = append(j.idle, seg)
}

// writable gives the segment that takes the next record, a new one if need
// be. What failed is tried again once a second. The caller holds mu.
func (s *Spool) writable() (*segment, error) {
	j := &s.journal
	if s.closed {
		return nil, os.ErrClosed
	}
	if seg := j.active; seg != nil {
		if seg.size < s.tune.segment {
			return seg, nil
		}
		// All but the newest segment must be whole after a power cut, or
		// recovery could not tell a torn end from damage.
		if err := s.writeStaged(seg); err != nil {
			s.dropStaged(seg, err)
		}
		j.active = nil
		if err := seg.datasync(); err != nil {
			s.fail(seg, err)
		} else if seg.users == 1 {
			seg.undone = nil // else a flush under way may be the one that hears of a failure
		}
		s.release(seg)
	}
	if j.refused.err != nil && time.Since(j.refused.at) < spareTime {
		return nil, j.refused.err
	}
	seg, err := s.newSegment()
	if err != nil {
		err = wrap("begin a segment", err)
		j.refused = trouble{err, time.Now()}
		s.stop(err)
		return nil, err
	}
	j.refused = trouble{}
	j.active = seg
	j.segments = append(j.segments, seg)
	return seg, nil
}

// newSegment makes a segment that begins with the DONE marks that are owed.
// They are flushed here: they take back what a failed flush may have left.
func (s *Spool) newSegment() (*segment, error) {
	j := &s.journal
	seg := &segment{seq: j.next, path: filepath.Join(s.dir.journal, fmt.Sprintf("%016x.seg", j.next)), users: 1}
	j.next++
	f, err := s.disk.open(seg.path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	seg.f = f
	b := segmentHeader(seg.seq)
	for _, id := range j.carry {
		off := len(b)
		b = append(b, make([]byte, recordHead)...)
		prepare(b[off:], kindDone, id)
		place(b[off:], seg.seq, int64(off), 0)
	}
	_, err = f.WriteAt(b, 0)
	if err == nil && len(j.carry) > 0 {
		err = f.datasync()
	}
	if err == nil {
		err = s.disk.syncDir(s.dir.journal)
	}
	if err != nil {
		f.Close()
		s.disk.remove(seg.path)
		return nil, err
	}
	j.carry = nil
	seg.size = int64(len(b))
	return seg, nil
}

// append puts a prepared record at the end of the journal. The write itself may
// come later, in one with others: until a batch that was joined in the same
// critical section has been waited for, it may still come to nothing. After an
// error nothing of it is there. The caller holds mu.
func (s *Spool) append(rec []byte) (*segment, int64, error) {
	seg, err := s.writable()
	if err != nil {
		return nil, 0, err
	}
	off := seg.size
	place(rec, seg.seq, off, seg.flushed)
	if len(rec) <= maxStaged {
		s.journal.staged = append(s.journal.staged, rec...)
		seg.size += int64(len(rec))
		if len(s.journal.staged) >= maxStaged {
			err = s.writeStaged(seg)
		}
	} else if err = s.writeStaged(seg); err == nil {
		if err = s.writeAt(seg, rec, off); err == nil {
			seg.size += int64(len(rec))
		}
	}
	if err != nil {
		return nil, 0, s.dropStaged(seg, err)
	}
	s.avail.free -= int64(len(rec))
	return seg, off, nil
}

// maxStaged is how many octets wait for a write together. A write costs more
// than copying small records does.
const maxStaged = 64 << 10

// appendNow is append, and the write is done when it returns. The caller holds mu.
func (s *Spool) appendNow(rec []byte) (*segment, int64, error) {
	seg, off, err := s.append(rec)
	if err == nil {
		if err = s.writeStaged(seg); err != nil {
			err = s.dropStaged(seg, err)
		}
	}
	return seg, off, err
}

// writeStaged writes what is staged for the active segment. It may be tried
// again. The caller holds mu.
func (s *Spool) writeStaged(seg *segment) error {
	staged := s.journal.staged
	if len(staged) == 0 || seg != s.journal.active {
		return nil
	}
	if err := s.writeAt(seg, staged, seg.size-int64(len(staged))); err != nil {
		return err
	}
	s.journal.staged = staged[:0]
	return nil
}

// writeAt writes all of b, or leaves nothing of it. The caller holds mu.
func (s *Spool) writeAt(seg *segment, b []byte, off int64) error {
	_, err := seg.f.WriteAt(b, off)
	if err != nil {
		if e := seg.f.truncate(off); e != nil {
			s.fail(seg, e)
		}
	}
	return err
}

// dropStaged gives up what could not be written, and gives the error to all
// whose messages are among it. The caller holds mu.
func (s *Spool) dropStaged(seg *segment, err error) error {
	j := &s.journal
	err = wrap("write to the journal", err)
	s.stop(err)
	if seg == j.active {
		seg.size -= int64(len(j.staged))
		j.staged = j.staged[:0]
		if j.open != nil && j.open.seg == seg {
			j.open.refused, j.open.dropped = err, seg.size
			j.open = nil
		}
	}
	return err
}

// mark writes a DONE or SENDING mark, with the reserve if there is no other
// room, and gives the segment it is in. A DONE that cannot be written is owed.
// The caller holds mu.
func (s *Spool) mark(kind byte, id ID, payload []byte) (*segment, error) {
	rec := append(s.journal.scratch[:recordHead], payload...)
	prepare(rec, kind, id)
	seg, _, err := s.appendNow(rec)
	if full(err) && s.freeReserve() {
		s.journal.refused = trouble{}
		seg, _, err = s.appendNow(rec)
	}
	switch {
	case err != nil && kind == kindDone:
		s.journal.carry = append(s.journal.carry, id)
	case err == nil && kind == kindDone:
		seg.undone = append(seg.undone, id)
	}
	if err == nil {
		s.payCarry()
	}
	return seg, err
}

// payCarry writes the DONE marks that are owed, now that writing works again.
// The caller holds mu.
func (s *Spool) payCarry() {
	j := &s.journal
	for len(j.carry) > 0 {
		rec := j.scratch[:recordHead]
		prepare(rec, kindDone, j.carry[0])
		seg, _, err := s.appendNow(rec)
		if err != nil {
			return
		}
		if len(j.carry) > 0 { // else a new segment has just taken them all
			seg.undone = append(seg.undone, j.carry[0])
			j.carry = j.carry[1:]
		}
	}
}
