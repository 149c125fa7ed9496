package spool_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/envelope"
)

// A person looks while nothing runs, or beside the relay: what waits and what
// has failed is seen wherever it lies, and no file is touched.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	s, _ := openIn(t, dir)
	put := func(size int) spool.ID {
		t.Helper()
		d, err := s.Draft(envelope.Envelope{From: "a@example.com", To: []envelope.Recipient{{To: "b@example.org"}}}, "")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := d.Write(text(size)); err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		return d.ID()
	}
	small, large, deferred, failed, done := put(100), put(300<<10), put(100), put(100), put(100)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	st, err := s.Load(deferred)
	must(err)
	st.Tried, st.Due = 3, time.Now().Add(time.Hour)
	must(s.Defer(st))
	st, err = s.Load(failed)
	must(err)
	must(s.Fail(st))
	must(s.Done(failed))
	must(s.Done(done))

	look := func() {
		t.Helper()
		before := filesIn(t, dir)
		v, err := spool.Look(dir)
		must(err)
		defer v.Close()
		var waiting []spool.ID
		for _, e := range v.Waiting() {
			waiting = append(waiting, e.ID)
			if st, err := v.Load(e.ID); err != nil || st.Envelope.From != "a@example.com" || (e.ID == deferred) != (st.Tried == 3) {
				t.Errorf("%s: %+v, %v", e.ID, st, err)
			}
		}
		if len(waiting) != 3 || waiting[0] != small || waiting[1] != large || waiting[2] != deferred {
			t.Errorf("%v wait", waiting)
		}
		for id, err := range v.Failed() {
			if _, e := v.LoadFailed(id); id != failed || err != nil || e != nil {
				t.Errorf("%s failed: %v, %v", id, err, e)
			}
		}
		if after := filesIn(t, dir); !maps.Equal(before, after) {
			t.Errorf("files were changed: %v, now %v", before, after)
		}
	}
	look() // beside the process that has it
	must(s.Close())
	look()
	if _, err := spool.Look(t.TempDir()); err == nil {
		t.Error("a spool in an empty directory")
	}
}

type fileState struct {
	size     int64
	modified time.Time
}

func filesIn(t *testing.T, dir string) map[string]fileState {
	t.Helper()
	all := map[string]fileState{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			all[path] = fileState{info.Size(), info.ModTime()}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
