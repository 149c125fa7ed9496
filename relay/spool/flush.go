package spool

import (
	"cmp"
	"fmt"
)

// A batch is those who wait for one flush. Its leader is who made it.
type batch struct {
	seg     *segment
	puts    []*entry // to be published when the flush has succeeded
	prev    *batch
	refused error         // why records could not be written,
	dropped int64         // and the offset from which they are not there
	done    chan struct{} // closed when err is set, and the next batch may flush
	err     error
}

// takeBack writes and flushes the DONE marks that are owed, as far as the disk
// lets it. The caller holds mu.
func (s *Spool) takeBack() {
	if len(s.journal.carry) == 0 {
		return
	}
	seg, err := s.writable()
	if err != nil || len(s.journal.carry) == 0 {
		return
	}
	s.payCarry()
	if seg.failed == nil {
		if err := seg.datasync(); err != nil {
			s.fail(seg, err)
		}
	}
}

// fail gives a segment up for writing: a second flush of the same descriptor
// would succeed without having written what the first one lost. Marks that no
// flush has covered are owed to the next segment. The caller holds mu.
func (s *Spool) fail(seg *segment, err error) {
	if seg.failed != nil {
		return
	}
	seg.failed = err
	s.journal.carry = append(s.journal.carry, seg.undone...)
	seg.undone = nil
	if s.journal.active == seg {
		s.dropStaged(seg, err)
		s.journal.active = nil
		s.release(seg)
	}
}

// unlockWait makes a message, or nil for nobody, wait for the next flush of
// seg, which has its record, and returns when that has ended. There is no
// goroutine for it: the first to wait flushes for all, once the flush before
// has ended, and takes in everyone who comes until then. The caller holds mu,
// which is released.
func (s *Spool) unlockWait(seg *segment, e *entry) error {
	j := &s.journal
	b := j.open
	leads := b == nil || b.seg != seg
	if leads {
		b = &batch{seg: seg, prev: j.last, done: make(chan struct{})}
		j.open, j.last = b, b
		seg.users++ // its file is open, as it is the active one
	}
	if e != nil {
		b.puts = append(b.puts, e)
	}
	s.payCarry()
	s.mu.Unlock()
	if !leads {
		<-b.done
		return b.err
	}
	if b.prev != nil {
		<-b.prev.done
		b.prev = nil
	}
	s.mu.Lock()
	if s.journal.open == b {
		if err := s.writeStaged(b.seg); err != nil {
			s.dropStaged(b.seg, err)
		}
		s.journal.open = nil
	}
	if b.err = b.refused; b.err == nil {
		b.err = s.flush(b.seg)
	}
	for _, e := range b.puts {
		if b.err == nil {
			s.add(e)
			continue
		}
		e.leave()
		if b.refused == nil || e.off < b.dropped {
			s.journal.carry = append(s.journal.carry, e.id)
		}
	}
	if b.err != nil {
		// Records may be on the disk all the same: take them back before
		// anyone is told that the messages were refused.
		s.takeBack()
	}
	s.release(b.seg)
	s.mu.Unlock()
	b.puts = nil
	close(b.done)
	return b.err
}

// flush makes durable what is written to the segment. The caller holds mu,
// which is released in between.
func (s *Spool) flush(seg *segment) error {
	undone, err := seg.undone, seg.failed
	seg.undone = nil
	upTo := seg.size
	if s.journal.active == seg {
		upTo -= int64(len(s.journal.staged))
	}
	if err == nil {
		s.mu.Unlock()
		err = seg.datasync()
		s.mu.Lock()
		err = cmp.Or(err, seg.failed)
	}
	if err != nil {
		s.journal.carry = append(s.journal.carry, undone...)
		s.fail(seg, err)
		return wrap("flush the journal", err)
	}
	seg.flushed = max(seg.flushed, upTo)
	if s.journal.active != seg {
		seg.undone = nil // it was flushed when it became full
	}
	return nil
}

// unlockFlush flushes all that is written so far, and writes what is owed. The
// caller holds mu, which is released.
func (s *Spool) unlockFlush() error {
	j := &s.journal
	var err error
	if len(j.carry) > 0 && !s.closed {
		if _, err = s.writable(); err == nil {
			s.payCarry()
		}
	}
	if len(j.carry) > 0 && err == nil {
		err = fmt.Errorf("spool: %d marks could not be written", len(j.carry))
	}
	seg := j.active
	if seg == nil || seg.flushed == seg.size {
		s.mu.Unlock()
		return err
	}
	return cmp.Or(s.unlockWait(seg, nil), err)
}
