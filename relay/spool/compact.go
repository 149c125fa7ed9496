package spool

import (
	"encoding/binary"
	"time"
)

// minSegments may stay without being compacted, however little they hold.
const minSegments = 4

// forget takes a message out of the index and lets go of its record. The
// caller holds mu.
func (s *Spool) forget(e *entry) {
	delete(s.index, e.id)
	s.used -= e.size
	s.unmark(e)
	s.leave(e)
}

// leave ends the claim of a message on its segment. The caller holds mu.
func (s *Spool) leave(e *entry) {
	if e.seg != nil {
		e.seg.live--
		e.seg.bytes -= int64(e.length)
	}
	e.record = record{}
}

// unmark notes that the attempt has been concluded. The caller holds mu.
func (s *Spool) unmark(e *entry) {
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
		s.mu.Unlock()
		if !s.compact(seg) {
			s.mu.Lock()
			j.pause = time.Now()
			s.mu.Unlock()
		}
		s.mu.Lock()
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
// flushes it, and tells whether it did. Only then do the messages belong to
// their new place, so that at no moment the disk has fewer than one of each.
func (s *Spool) compact(old *segment) bool {
	s.mu.Lock()
	if err := s.hold(old); err != nil {
		s.mu.Unlock()
		return false
	}
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

	var copies []record
	ok := true
	for i, e := range records {
		c, err := s.copyRecord(old, e)
		if err != nil {
			records, ok = records[:i], false
			break
		}
		copies = append(copies, c)
	}

	s.mu.Lock()
	if ok {
		ok = s.unlockFlush() == nil
		s.mu.Lock()
	}
	for i, e := range records {
		c := copies[i]
		switch {
		case c.seg == nil:
		case ok && c.seg.failed == nil && s.index[e.id] == e && e.seg == old:
			s.leave(e)
			e.record = c
		default:
			c.seg.live--
			c.seg.bytes -= int64(c.length)
		}
	}
	for _, e := range marks {
		if ok && e.mark == old {
			ok = s.remark(e) == nil
		}
	}
	s.release(old)
	s.mu.Unlock()
	return ok
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
	seg.live++
	seg.bytes += int64(r.length)
	return r, nil
}

// remark writes the Sending mark of e once more. The caller holds mu.
func (s *Spool) remark(e *entry) error {
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], e.attempt)
	seg, err := s.mark(kindSending, e.id, n[:])
	if err != nil {
		return err
	}
	if e.mark != nil {
		e.mark.marks--
	}
	e.mark = seg
	seg.marks++
	return nil
}
