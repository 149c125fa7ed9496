package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	spaceAge  = 100 * time.Millisecond // how long an answer of the file system is believed
	spareTime = time.Second            // between two tries of what failed
	minInodes = 64                     // that intake leaves for moving and marking
)

// trouble is what the disk last refused, and when.
type trouble struct {
	err error
	at  time.Time
}

// Space tells whether a message of size octets (0 if it is not known) could
// be taken now: nil, an error that wraps ErrFull, or the error that the disk
// gave to the last write, which is then tried again once a second.
func (s *Spool) Space(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room(size)
}

// room is Space. The caller holds mu.
func (s *Spool) room(size int64) error {
	if s.closed {
		return wrap("space", os.ErrClosed)
	}
	now := time.Now()
	if now.Sub(s.stopped.at) < spareTime {
		return s.stopped.err
	}
	if err := s.roomBySize(max(size, 1)); err != nil {
		return err
	}
	if err := s.roomOnDisk(size, now); err != nil {
		return err
	}
	if s.journal.active == nil {
		if _, err := s.writable(); err != nil {
			return err
		}
	}
	return nil
}

// roomBySize holds size more octets against MaxSize. The caller holds mu.
func (s *Spool) roomBySize(size int64) error {
	if limit := s.max.Load(); limit > 0 && s.used+s.streaming.Load()+size > limit {
		return fmt.Errorf("spool: %w: it may hold %d octets", ErrFull, limit)
	}
	return nil
}

func (s *Spool) roomOnDisk(size int64, now time.Time) error {
	if s.checked.IsZero() || now.Sub(s.checked) >= spaceAge {
		sp, err := s.disk.space(s.dir.root)
		if err != nil {
			return wrap("ask for free space", err)
		}
		s.avail, s.checked = sp, now
		if !s.reserve && sp.free >= 2*s.tune.reserve+s.tune.margin {
			s.makeReserve()
		}
	}
	need := s.tune.margin + size
	if !s.reserve {
		need += s.tune.reserve
	}
	if s.avail.free < need {
		return fmt.Errorf("spool: %w: %d octets free on the disk, %d needed", ErrFull, max(s.avail.free, 0), need)
	}
	if s.avail.inodes > 0 && s.avail.freeInodes < minInodes {
		return fmt.Errorf("spool: %w: only %d inodes free on the disk", ErrFull, s.avail.freeInodes)
	}
	return nil
}

// stop keeps intake from trying again at once what failed just now. The caller holds mu.
func (s *Spool) stop(err error) {
	s.stopped = trouble{err, time.Now()}
	s.checked = time.Time{}
}

func (s *Spool) reservePath() string { return filepath.Join(s.dir.root, "RESERVE") }

// makeReserve takes space out of everyone's reach, so that a disk that
// others fill can still be emptied by us: that needs marks. The caller holds mu.
func (s *Spool) makeReserve() {
	path := s.reservePath()
	f, err := s.disk.open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return
	}
	err = f.allocate(s.tune.reserve)
	if err = errors.Join(err, f.Close()); err != nil {
		s.disk.remove(path)
		return
	}
	s.reserve = true
	s.avail.free -= s.tune.reserve
}

// freeReserve tells whether there was a reserve, which is now free space. The caller holds mu.
func (s *Spool) freeReserve() bool {
	if !s.reserve || s.disk.remove(s.reservePath()) != nil {
		return false
	}
	s.reserve = false
	s.checked = time.Time{}
	return true
}
