package spool

import (
	"iter"
	"os"
)

// A View reads a spool that no process uses, or that another one does, and
// changes nothing in it. It is what was there when Look was called: a message
// that the other process has moved or removed since may not be found.
type View struct{ s *Spool }

// Look makes a view of the spool in dir. It fails with a *VersionError, or the
// error of the disk. The caller closes the view.
func Look(dir string) (*View, error) {
	s := &Spool{dir: newDirs(dir), disk: osDisk{}, tune: defaultTuning(), index: make(map[ID]*entry)}
	rec := &recovering{Spool: s, sending: map[ID]sendingMark{}}
	for _, step := range []func() error{s.checkVersion, rec.lookJournal, rec.lookDeferred} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &View{s}, nil
}

// lookJournal takes in what can be read of the journal, and mends nothing.
func (rec *recovering) lookJournal() error {
	segments, err := rec.listJournal()
	if err != nil {
		return err
	}
	for _, seg := range segments {
		f, err := rec.disk.open(seg.path, os.O_RDONLY)
		if isMissing(err) {
			continue // all in it is done by now
		}
		if err != nil {
			return wrap("read the journal", err)
		}
		fi, err := rec.stat(seg.path)
		img := make([]byte, min(fi.size, rec.maxImage()))
		readAll(f, img)
		f.Close()
		if isMissing(err) {
			continue
		}
		scan(img, seg.seq, func(off int64, h *head, payload []byte) { rec.take(seg, off, h, payload) })
	}
	return nil
}

// lookDeferred takes in deferred/; what is not whole is left out.
func (rec *recovering) lookDeferred() error {
	names, err := rec.list(rec.dir.deferred)
	if err != nil {
		return err
	}
	metas := map[ID]bool{}
	for id, kind := range names {
		if kind == ".json" {
			metas[id] = true
		}
	}
	for _, found := range rec.readMetas(metas) {
		if found.err == nil {
			rec.supersede(found.id)
			rec.add(found.entry)
		}
	}
	return nil
}

// Waiting is Spool.Waiting.
func (v *View) Waiting() []Entry { return v.s.Waiting() }

// Usage is Spool.Usage.
func (v *View) Usage() (messages int, bytes int64) { return v.s.Usage() }

// Load is Spool.Load.
func (v *View) Load(id ID) (*Stored, error) { return v.s.Load(id) }

// Failed is Spool.Failed.
func (v *View) Failed() iter.Seq2[ID, error] { return v.s.Failed() }

// LoadFailed is Spool.LoadFailed.
func (v *View) LoadFailed(id ID) (*Stored, error) { return v.s.LoadFailed(id) }

// Close closes the files that the view has open.
func (v *View) Close() {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	for _, seg := range v.s.journal.idle {
		seg.close()
	}
}
