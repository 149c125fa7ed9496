package spool

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kurir/upstream/envelope"
)

// Sending marks that attempt number attempt (the first is 1) is about to end
// the content with its dot: from here the outcome may be unknowable. The mark
// is written but not flushed, so it survives our death but not a power cut. It
// stands until Done, or a Defer whose Tried reaches that number; a message
// that recovery finds with it is in Recovery.Uncertain.
func (s *Spool) Sending(id ID, attempt int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index[id]
	if e == nil {
		return fmt.Errorf("spool: %s: %w", id, ErrNotFound)
	}
	return s.remark(e, uint32(attempt))
}

// Done ends a message whose every recipient is served, or whose notification
// is safe (P2). Its mark is written at once and flushed with the next Commit,
// so that after a power cut it may wait again. When there is an error the
// message is out of the queue of this process all the same, and the mark is
// written when writing works again.
func (s *Spool) Done(id ID) error {
	s.mu.Lock()
	e := s.index[id]
	if e == nil {
		s.mu.Unlock()
		return fmt.Errorf("spool: %s: %w", id, ErrNotFound)
	}
	r := e.record
	s.forget(e)
	switch {
	case r.seg == nil:
		s.dirtyDir = true
		s.unlockSettle()
		return s.removeDeferred(id)
	case e.stray:
		s.dirtyDir = true
		s.mu.Unlock()
		err := s.removeDeferred(id)
		if err == nil { // before the mark that would leave content without a message
			err = wrap("flush the directory", s.disk.syncDir(s.dir.deferred))
		}
		s.mu.Lock()
		return errors.Join(err, s.unlockMarkDone(id, r.kind, false))
	}
	return s.unlockMarkDone(id, r.kind, false)
}

// unlockMarkDone ends a message in the journal, whose record was of that kind.
// Some marks may wait for their flush, unless it is to be flushed now. The
// caller holds mu, which is released.
func (s *Spool) unlockMarkDone(id ID, kind byte, now bool) error {
	seg, err := s.mark(kindDone, id, nil)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	if now || kind == kindBig || len(seg.undone) >= s.tune.marks {
		// The file of a BIG record goes after its mark is safe: a record
		// without a file always means damage.
		if err := s.unlockWait(seg, nil); err != nil {
			return err
		}
		if kind == kindBig {
			err = wrap("remove "+id.String(), s.disk.remove(eml(s.dir.big, id)))
		}
		s.mu.Lock()
	}
	s.unlockSettle()
	return err
}

// removeDeferred removes a message from deferred/. It first loses the name by
// which it would be read again, so that what a power cut leaves of it is known
// for what it is. What fails is tried again by the next Sync.
func (s *Spool) removeDeferred(id ID) error {
	served := filepath.Join(s.dir.deferred, id.String()+".done")
	err := s.disk.rename(meta(s.dir.deferred, id), served)
	for _, path := range []string{eml(s.dir.deferred, id), served} {
		if err == nil || isMissing(err) {
			err = s.disk.remove(path)
		}
	}
	if err == nil || isMissing(err) {
		return nil
	}
	s.mu.Lock()
	s.stuck = append(s.stuck, id)
	s.mu.Unlock()
	return wrap("remove "+id.String(), err)
}

// Defer keeps a message for later: st.Envelope.To are those still to be
// served, st.Tried and st.Attempts what has been tried, st.Due when to try again. The
// message then lies in deferred/ as <id>.eml and <id>.json. It is durable on
// return; after an error the message waits as it was before.
func (s *Spool) Defer(st *Stored) error {
	e, err := s.find(st.ID)
	if err != nil {
		return err
	}
	if e.seg != nil {
		defer s.unhold(e.seg)
		err = s.storeContent(s.dir.deferred, &e)
	}
	if err == nil {
		err = s.keepMeta(s.dir.deferred, st)
	}
	if err != nil {
		s.undefer(&e)
		return wrap("defer "+st.ID.String(), err)
	}
	s.deferred(st, &e)
	return nil
}

// undefer takes back what a Defer has done that failed. The files may outlive
// that, and would then be taken for the message: Done has to look for them.
func (s *Spool) undefer(was *entry) {
	if was.seg == nil {
		return // its older json file still stands, or the newer one already
	}
	s.disk.remove(meta(s.dir.deferred, was.id))
	s.disk.remove(eml(s.dir.deferred, was.id))
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.index[was.id]; e != nil {
		e.stray = true
	}
}

// deferred makes the files in deferred/ the place of the message. From here
// nothing can go wrong: where a message is in both places, recovery takes
// deferred/.
func (s *Spool) deferred(st *Stored, was *entry) {
	s.mu.Lock()
	e := s.index[st.ID]
	if e == nil {
		s.mu.Unlock()
		return
	}
	e.attempts, e.stray = st.Tried, false
	if !st.Due.IsZero() {
		e.due = st.Due.UnixNano()
	}
	if int(e.attempt) <= e.attempts {
		e.unmark()
	}
	if was.seg == nil {
		s.unlockSettle()
		return
	}
	e.leave()
	e.record = record{}
	_ = s.unlockMarkDone(st.ID, was.kind, true) // recovery does it if this fails
}

// storeContent puts the content of a message in the journal or in big/ into
// dir as well, if it is not there.
func (s *Spool) storeContent(dir string, e *entry) error {
	to := eml(dir, e.id)
	if fi, err := s.disk.stat(to); err == nil && fi.size == e.size {
		return nil
	}
	from := ""
	switch {
	case e.seg == nil:
		from = eml(s.dir.deferred, e.id)
	case e.kind == kindBig:
		from = eml(s.dir.big, e.id)
	}
	if from != "" {
		if err := s.disk.link(from, to); err == nil {
			return nil // large content is not copied where the file system can share it
		}
	}
	m, _, err := s.Message(e.id)
	if err != nil {
		return err
	}
	r, err := m.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	return s.writeFile(to, r)
}

func (s *Spool) writeMeta(dir string, st *Stored) error {
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	return s.writeFile(meta(dir, st.ID), bytes.NewReader(append(b, '\n')))
}

// keepMeta makes the json file durable, and all that was put there before it.
func (s *Spool) keepMeta(dir string, st *Stored) error {
	if err := s.writeMeta(dir, st); err != nil {
		return err
	}
	return s.disk.syncDir(dir)
}

// Fail keeps a message in failed/, for those recipients that st names, until
// it expires or a person takes it. It also keeps st.Unnotified, until Notified. What is there already for other recipients
// is kept too. It is durable on return. The waiting message is not touched:
// Done or Defer follows.
func (s *Spool) Fail(st *Stored) error {
	e, err := s.find(st.ID)
	if err != nil {
		return err
	}
	if e.seg != nil {
		defer s.unhold(e.seg)
	}
	op := "keep " + st.ID.String() + " as failed"
	all := *st
	before, err := s.readMeta(meta(s.dir.failed, st.ID), st.ID)
	switch {
	case err == nil:
		all = merge(before, st)
	case !isMissing(err):
		return wrap(op, err)
	}
	if err := s.storeContent(s.dir.failed, &e); err != nil {
		return wrap(op, err)
	}
	return wrap(op, s.keepMeta(s.dir.failed, &all))
}

// merge adds the recipients and attempts of b to those of a.
func merge(a, b *Stored) Stored {
	m := *b
	m.Envelope.To = slices.Clone(a.Envelope.To)
	for _, r := range b.Envelope.To {
		if !slices.ContainsFunc(m.Envelope.To, func(have envelope.Recipient) bool { return have.To == r.To }) {
			m.Envelope.To = append(m.Envelope.To, r)
		}
	}
	for _, to := range a.Unnotified {
		if !slices.Contains(m.Unnotified, to) {
			m.Unnotified = append(m.Unnotified, to)
		}
	}
	m.Tried = max(a.Tried, b.Tried)
	attempts := slices.Clone(a.Attempts)
	for _, t := range b.Attempts {
		same := func(have Attempt) bool {
			return have.Time.Equal(t.Time) && have.Cause == t.Cause && slices.Equal(have.Recipients, t.Recipients)
		}
		if !slices.ContainsFunc(attempts, same) {
			attempts = append(attempts, t)
		}
	}
	slices.SortStableFunc(attempts, func(x, y Attempt) int { return x.Time.Compare(y.Time) })
	m.Attempts = Remember(attempts, nil)
	return m
}

// Expire removes what has been in failed/ for longer than keep, and tells how
// many messages that were. It goes on after an error, and gives the first.
func (s *Spool) Expire(keep time.Duration) (removed int, err error) {
	names, err := s.list(s.dir.failed)
	if err != nil {
		return 0, err
	}
	before := time.Now().Add(-keep)
	old := func(path string) bool {
		fi, e := s.disk.stat(path)
		if e != nil && !isMissing(e) {
			err = cmp.Or(err, e)
		}
		return e == nil && fi.modified.Before(before)
	}
	gone := func(path string) bool {
		e := s.disk.remove(path)
		if e != nil && !isMissing(e) {
			err = cmp.Or(err, e)
			return false
		}
		return e == nil
	}
	for id, kind := range names {
		path := filepath.Join(s.dir.failed, id.String()+kind)
		switch {
		case !old(path):
		case kind == ".json":
			if gone(eml(s.dir.failed, id)); gone(path) {
				removed++
			}
		case kind == ".eml":
			if _, e := s.disk.stat(meta(s.dir.failed, id)); isMissing(e) {
				gone(path)
			}
		}
	}
	return removed, wrap("expire", err)
}

// list gives the names in a directory that are of messages, <id>.eml and its
// like, each cut into the ID and the rest.
func (s *Spool) list(dir string) (iter.Seq2[ID, string], error) {
	names, err := s.disk.list(dir)
	return func(yield func(ID, string) bool) {
		for _, name := range names {
			base, kind, _ := strings.Cut(name, ".")
			id, err := ParseID(base)
			if err == nil && base == id.String() && !yield(id, "."+kind) {
				return
			}
		}
	}, wrap("list "+filepath.Base(dir), err)
}
