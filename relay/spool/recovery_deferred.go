package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
)

// readDeferred takes in deferred/. A message that is there whole is there for
// good: what the journal says of it is older.
func (rec *recovering) readDeferred() error {
	names, err := rec.tidyList(rec.dir.deferred)
	if err != nil {
		return err
	}
	metas, contents, served := map[ID]bool{}, map[ID]bool{}, map[ID]bool{}
	for id, kind := range names {
		switch kind {
		case ".json":
			metas[id] = true
		case ".eml":
			contents[id] = true
		case ".done":
			served[id] = true
		}
	}
	for id := range served { // Done did not come to its end
		if err := rec.disk.remove(meta(rec.dir.deferred, id)); err != nil && !isMissing(err) {
			return wrap("remove "+id.String(), err)
		}
		delete(metas, id)
		delete(contents, id)
		rec.supersede(id)
		if err := rec.removeDeferred(id); err != nil {
			return err
		}
	}
	for _, found := range rec.readMetas(metas) {
		rec.takeDeferred(found.id, found.entry, found.err)
		delete(contents, found.id)
	}
	for id := range contents { // without a json file
		if rec.index[id] != nil || rec.hasFailed(id) { // Defer or Revive did not come to its end
			rec.disk.remove(eml(rec.dir.deferred, id))
		} else {
			rec.setAside(eml(rec.dir.deferred, id), "its json file, which says to whom it goes, is missing")
		}
	}
	return nil
}

func (rec *recovering) takeDeferred(id ID, e *entry, fault error) {
	old := rec.index[id]
	switch {
	case fault == nil:
		rec.supersede(id)
		rec.add(e)
	case old != nil && isMissing(fault): // Defer did not come to its end
		rec.disk.remove(meta(rec.dir.deferred, id))
	default:
		rec.setAside(meta(rec.dir.deferred, id), fault.Error())
		if _, err := rec.stat(eml(rec.dir.deferred, id)); err == nil {
			rec.setAside(eml(rec.dir.deferred, id), "it belongs to the json file of that name")
		}
	}
}

// supersede drops what the journal has of a message.
func (rec *recovering) supersede(id ID) {
	e := rec.index[id]
	if e == nil {
		return
	}
	if e.kind == kindBig {
		rec.moved = append(rec.moved, id)
	}
	rec.obsolete = append(rec.obsolete, id)
	rec.forget(e)
}

type foundMeta struct {
	id    ID
	entry *entry
	err   error
}

// readMetas reads json files on all processors: after an outage there may be
// very many.
func (rec *recovering) readMetas(ids map[ID]bool) []foundMeta {
	sorted := slices.Sorted(maps.Keys(ids))
	found := make([]foundMeta, len(sorted))
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(found); i += workers {
				e, err := rec.readMetaEntry(sorted[i])
				found[i] = foundMeta{sorted[i], e, err}
			}
		})
	}
	wg.Wait()
	return found
}

func (rec *recovering) readMetaEntry(id ID) (*entry, error) {
	b, err := rec.readFile(meta(rec.dir.deferred, id), maxMeta)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %v", err)
	}
	var g glance
	if err := json.Unmarshal(b, &g); err != nil {
		return nil, fmt.Errorf("it is not valid: %w", err)
	}
	if g.ID != id || g.Size < 0 {
		return nil, errors.New("it is about another message")
	}
	if err := rec.checkContent(eml(rec.dir.deferred, id), g.Size); err != nil {
		return nil, err
	}
	return g.entry(), nil
}

// hasFailed tells whether failed/ has a message whole.
func (rec *recovering) hasFailed(id ID) bool {
	st, err := rec.LoadFailed(id)
	return err == nil && rec.checkContent(eml(rec.dir.failed, id), st.Size) == nil
}
