package spool

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"kurir/upstream/envelope"
)

// Failed lists the messages in failed/, oldest first. The list is that of the
// moment when it is asked for; memory holds the IDs alone.
func (s *Spool) Failed() iter.Seq2[ID, error] {
	return func(yield func(ID, error) bool) {
		names, err := s.list(s.dir.failed)
		if err != nil {
			yield(0, err)
			return
		}
		var ids []ID
		for id, kind := range names {
			if kind == ".json" {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// LoadFailed reads what is stored of a failed message: its recipients are
// those that it failed for. It fails with ErrNotFound if there is none.
func (s *Spool) LoadFailed(id ID) (*Stored, error) {
	st, err := s.readMeta(meta(s.dir.failed, id), id)
	if isMissing(err) {
		err = ErrNotFound
	}
	return st, wrap("read "+id.String(), err)
}

// FailedMessage reads a failed message as Message reads a waiting one. Its
// Open fails where the content is gone.
func (s *Spool) FailedMessage(id ID) (*envelope.Message, *Stored, error) {
	st, err := s.LoadFailed(id)
	if err != nil {
		return nil, nil, err
	}
	return st.message(func() (io.ReadCloser, error) {
		f, err := s.disk.open(eml(s.dir.failed, id), os.O_RDONLY)
		if err != nil {
			return nil, wrap("read "+id.String(), err)
		}
		return fileReader(f, st.Size), nil
	}), st, nil
}

// Notified notes that nobody has to be told any more of what failed.
func (s *Spool) Notified(id ID) error {
	st, err := s.LoadFailed(id)
	if err != nil {
		return err
	}
	st.Unnotified = nil
	return wrap("note a notification", s.writeMeta(s.dir.failed, st))
}

// RemoveFailed removes a message from failed/, durably. It fails with
// ErrNotFound if it is not there.
func (s *Spool) RemoveFailed(id ID) error {
	err := s.disk.remove(meta(s.dir.failed, id))
	if isMissing(err) {
		return fmt.Errorf("spool: %s: %w", id, ErrNotFound)
	}
	if err == nil {
		err = s.disk.remove(eml(s.dir.failed, id)) // Expire does it if this fails
	}
	if err == nil || isMissing(err) {
		err = s.disk.syncDir(s.dir.failed)
	}
	return wrap("remove "+id.String(), err)
}

// Revive makes a failed message wait again, now, for the recipients that it
// failed for and those that it still waits for. It must not be called while
// the message is being delivered. On return that is durable; after an error
// the message is in failed/ as before, or ErrNotFound says that it is not.
func (s *Spool) Revive(id ID) (*Stored, error) {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	st, err := s.LoadFailed(id)
	if err != nil {
		return nil, err
	}
	st.Due = time.Now()
	st.Revived = st.Due
	st.Unnotified = nil
	waiting, err := s.Load(id)
	switch {
	case err == nil:
		all := merge(waiting, st)
		st = &all
		if err := s.Defer(st); err != nil {
			return nil, err
		}
	case s.waits(id):
		return nil, err
	default:
		if err := s.putBack(st); err != nil {
			return nil, wrap("revive "+id.String(), err)
		}
	}
	// The message waits from here. Where this fails, or the power goes, it is
	// in both places, and to revive it once more changes nothing.
	_ = s.RemoveFailed(id)
	return st, nil
}

func (s *Spool) waits(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index[id] != nil
}

// putBack makes a message wait that is in failed/ alone. What it leaves behind
// when it fails is removed by the next Sync.
func (s *Spool) putBack(st *Stored) (err error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	if err := s.removeDeferred(st.ID); err != nil { // of an earlier life, which is over
		return err
	}
	if err := s.shareContent(st); err != nil {
		return err
	}
	if err = s.keepMeta(s.dir.deferred, st); err != nil {
		_ = s.removeDeferred(st.ID)
		s.mu.Lock()
		s.dirtyDir = true
		s.mu.Unlock()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = slices.DeleteFunc(s.stuck, func(id ID) bool { return id == st.ID })
	s.add(&entry{
		id: st.ID, from: st.Envelope.From, size: st.Size, attempts: st.Tried,
		received: st.Since().UnixNano(), due: st.Due.UnixNano(),
	})
	return nil
}

// shareContent puts the content of a failed message into deferred/ as well.
func (s *Spool) shareContent(st *Stored) error {
	from, to := eml(s.dir.failed, st.ID), eml(s.dir.deferred, st.ID)
	if err := s.checkContent(from, st.Size); err != nil {
		return err
	}
	if s.disk.link(from, to) == nil {
		return nil
	}
	f, err := s.disk.open(from, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.writeFile(to, fileReader(f, st.Size))
}

// removeStuck removes from deferred/ what Done could not, unless Revive has
// made it wait again since.
func (s *Spool) removeStuck(ids []ID) (err error) {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	for _, id := range ids {
		if !s.waits(id) {
			err = cmp.Or(err, s.removeDeferred(id))
		}
	}
	return err
}
