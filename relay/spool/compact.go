package spool

import (
	"encoding/binary"
	"time"
)

// minSegments may stay without being compacted, however little they hold.
const minSegments = 4

// add takes a message into the index. The caller holds mu.
func (s *Spool) add(e *entry) {
	s.index[e.id] = e
	s.used += e.size
}

// forget takes a message out of the index and lets go of its record. The
// caller holds mu.
func (s *Spool) forget(e *entry) {
	delete(s.index, e.id)
	s.used -= e.size
	e.unmark()
	e.leave()
	e.record = record{}
}

// unmark notes that the attempt has been concluded. The caller holds mu.
func (e *entry) unmark() {
	if e.mark != nil {
		e.mark.marks--
	}
	e.mark, e.attempt = nil, 0
}

// unlockSettle releases mu, and does what has become due: removing segments
// that hold nothing any more, and emptying one that holds back others. It
// falls to those who deliver, not to those who take in mail.
func (s *Spool) unlockSettle() {
	j := &s.journal
	if j.settling || s.closed || len(j.segments) == 0 || !s.removable() && !s.compactable() {
		s.mu.Unlock()
		return
	}
	j.settling = true
	if s.compactable() {
		seg := j.segments[0]
		if s.compact(seg) != nil {
			j.pause = time.Now()
		}
	}
	for s.removable() {
		seg := j.segments[0]
		seg.close()
		s.mu.Unlock()
		// One at a time and flushed, so that no power cut can bring back a
		// segment whose DONE marks are in one that is gone.
		err := s.disk.remove(seg.path)
		if err == nil || isMissing(err) {
			err = s.disk.syncDir(s.dir.journal)
		}
		s.mu.Lock()
		if err != nil {
			j.pause = time.Now()
			break
		}
		j.segments = j.segments[1:]
		s.checked = time.Time{}
	}
	j.settling = false
	s.mu.Unlock()
}

// removable tells whether the oldest segment can go. Only the oldest can: a
// newer one may hold the DONE marks of its messages. The caller holds mu.
func (s *Spool) removable() bool {
	j := &s.journal
	if len(j.segments) == 0 || time.Since(j.pause) < spareTime {
		return false
	}
	seg := j.segments[0]
	return seg != j.active && seg.live == 0 && seg.marks == 0 && seg.users == 0
}

// compactable tells whether the oldest segment is worth emptying: little in
// it still waits, or the whole journal is mostly dead behind it. The caller
// holds mu.
func (s *Spool) compactable() bool {
	j := &s.journal
	if len(j.segments) <= minSegments || s.removable() || time.Since(j.pause) < spareTime {
		return false
	}
	oldest := j.segments[0]
	if oldest == j.active || oldest.users > 0 {
		return false
	}
	if oldest.bytes*4 < oldest.size {
		return true
	}
	var all, live int64
	for _, seg := range j.segments {
		all += seg.size
		live += seg.bytes
	}
	return all > 4*live
}

// compact copies what still waits in a segment to the end of the journal and
// flushes it. Only then do the messages belong to their new place, so that at
// no moment the disk has fewer than one of each. The caller holds mu, which is
// released in between.
func (s *Spool) compact(old *segment) error {
	if err := s.hold(old); err != nil {
		return err
	}
	defer s.release(old)
	var records, marks []*entry
	for _, e := range s.index {
		if e.seg == old {
			records = append(records, e)
		}
		if e.mark == old {
			marks = append(marks, e)
		}
	}
	s.mu.Unlock()

	copies := make([]record, len(records))
	var err error
	for i, e := range records {
		if copies[i], err = s.copyRecord(old, e); err != nil {
			break
		}
	}

	s.mu.Lock()
	if err == nil {
		err = s.unlockFlush()
		s.mu.Lock()
	}
	for i, e := range records {
		c := copies[i]
		if err == nil && c.seg != nil && c.seg.failed == nil && s.index[e.id] == e && e.seg == old {
			e.record, c = c, e.record
		}
		c.leave()
	}
	for _, e := range marks {
		if err == nil && e.mark == old {
			err = s.remark(e, e.attempt)
		}
	}
	return err
}

// copyRecord appends a copy of the record of e, if it is still in old. The
// record it gives has no segment if there was nothing to copy.
func (s *Spool) copyRecord(old *segment, e *entry) (record, error) {
	s.mu.Lock()
	r := e.record
	s.mu.Unlock()
	if r.seg != old {
		return record{}, nil
	}
	b := make([]byte, r.length)
	if _, err := old.f.ReadAt(b, r.off); err != nil {
		return record{}, err
	}
	if h := readHead(b, old.seq, r.off); h == nil || checksum(0, b[recordHead:]) != h.sum {
		return record{}, errDamaged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index[e.id] != e || e.seg != old {
		return record{}, nil // its DONE mark must stay behind its last copy
	}
	seg, off, err := s.appendNow(b)
	if err != nil {
		return record{}, err
	}
	r.seg, r.off = seg, off
	r.claim()
	return r, nil
}

// remark writes a Sending mark of e, which takes the place of the last one.
// The caller holds mu.
func (s *Spool) remark(e *entry, attempt uint32) error {
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], attempt)
	seg, err := s.mark(kindSending, e.id, n[:])
	if err != nil {
		return err
	}
	e.unmark()
	e.mark, e.attempt = seg, attempt
	seg.marks++
	return nil
}
