package spool

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kurir/upstream/envelope"
)

// A Recovery tells what Open found.
type Recovery struct {
	Messages  int           // that wait
	TornBytes int64         // dropped at the end of the newest segment: what was written as the power went
	Damaged   []string      // what was set aside in bad/, and why
	Uncertain []ID          // messages whose last attempt may have succeeded: it had come to the dot, and never ended
	Elapsed   time.Duration // of all of Open
	Ephemeral string        // "tmpfs" or "overlay" if the spool does not outlive a restart of machine or container
}

// A recovering is what Open knows while it puts the pieces together.
type recovering struct {
	*Spool
	r        Recovery
	sending  map[ID]sendingMark
	holes    bool // the journal lost records, so that a file without one proves nothing
	obsolete []ID // in the journal, but deferred/ has them
	moved    []ID // of those, with a file in big/
}

type sendingMark struct {
	seg     *segment
	attempt uint32
}

// maxImage bounds what is read of a segment: the last record begins before a
// segment is full.
func (s *Spool) maxImage() int64 { return s.tune.segment + recordHead + maxPayload }

func (s *Spool) recover() (Recovery, error) {
	rec := &recovering{Spool: s, sending: map[ID]sendingMark{}}
	for _, step := range []func() error{rec.readJournal, rec.readDeferred, rec.readBig, rec.readFailed} {
		if err := step(); err != nil {
			return Recovery{}, err
		}
	}
	rec.finish()
	return rec.r, nil
}

// setAside moves something to bad/.
func (rec *recovering) setAside(path, why string) { rec.keepBad(path, why, rec.disk.rename) }

// keepBad records that something was put into bad/, or what kept it from it.
func (rec *recovering) keepBad(path, why string, put func(from, to string) error) {
	to := filepath.Join(rec.dir.bad, filepath.Base(path))
	err := put(path, to)
	if err == nil {
		err = rec.disk.syncDir(rec.dir.bad)
	}
	if err != nil {
		why += fmt.Sprintf(" (it could not be set aside: %v)", err)
		to = path
	}
	rec.r.Damaged = append(rec.r.Damaged, to+": "+why)
}

// A glance is what the index wants of a Stored; decoding no more makes a
// start with many messages quick.
type glance struct {
	ID       ID        `json:"id"`
	Received time.Time `json:"received"`
	Revived  time.Time `json:"revived"`
	Due      time.Time `json:"due"`
	Size     int64     `json:"size"`
	Envelope struct {
		From envelope.Path `json:"from"`
	} `json:"envelope"`
	Tried   int `json:"tried"`
	Sending int `json:"sending"`
}

func (g *glance) entry() *entry {
	st := Stored{Received: g.Received, Revived: g.Revived}
	e := &entry{id: g.ID, from: g.Envelope.From, size: g.Size, attempts: g.Tried,
		received: st.Since().UnixNano(), due: g.Due.UnixNano()}
	if g.Sending > g.Tried {
		e.attempt = uint32(g.Sending)
	}
	if g.Due.IsZero() {
		e.due = e.received
	}
	return e
}

// readBig holds the files of big/ against the BIG records.
func (rec *recovering) readBig() error {
	names, err := rec.tidyList(rec.dir.big)
	if err != nil {
		return err
	}
	there := map[ID]bool{}
	for id, kind := range names {
		path := eml(rec.dir.big, id)
		e := rec.index[id]
		switch {
		case kind != ".eml":
		case e != nil && e.seg != nil && e.kind == kindBig:
			there[id] = true
		case slices.Contains(rec.moved, id): // goes when its mark is flushed
		case rec.holes:
			rec.setAside(path, "the journal is damaged, and has no record of it")
		default:
			rec.disk.remove(path) // refused, or served
		}
	}
	for id, e := range rec.index {
		if e.seg == nil || e.kind != kindBig {
			continue
		}
		why := "it is missing"
		if there[id] {
			fi, err := rec.stat(eml(rec.dir.big, id))
			switch {
			case err != nil:
				return wrap("read big", err)
			case fi.size == e.size:
				continue
			}
			why = fmt.Sprintf("it has %d octets, and should have %d", fi.size, e.size)
		}
		rec.loseBig(e, why)
	}
	return nil
}

// loseBig takes a message whose content is not whole out of the queue, and
// keeps what is known of it.
func (rec *recovering) loseBig(e *entry, why string) {
	if st, err := rec.Load(e.id); err == nil {
		rec.writeMeta(rec.dir.bad, st)
	}
	path := eml(rec.dir.big, e.id)
	if _, err := rec.stat(path); err == nil {
		rec.setAside(path, why)
	} else {
		rec.r.Damaged = append(rec.r.Damaged, path+": "+why)
	}
	rec.obsolete = append(rec.obsolete, e.id)
	rec.forget(e)
}

// readFailed only cleans up, and learns which IDs are taken.
func (rec *recovering) readFailed() error {
	_, err := rec.tidyList(rec.dir.failed)
	return err
}

// tidyList is list, and learns which IDs are taken, and removes what was not
// written to its end.
func (rec *recovering) tidyList(dir string) (iter.Seq2[ID, string], error) {
	names, err := rec.list(dir)
	for id, kind := range names {
		rec.last = max(rec.last, id)
		if strings.HasSuffix(kind, ".tmp") {
			rec.disk.remove(filepath.Join(dir, id.String()+kind))
		}
	}
	return names, err
}

// finish opens the new segment, tells it what is obsolete in the older ones,
// and removes those that hold nothing. What fails here is tried again later.
func (rec *recovering) finish() {
	s := rec.Spool
	// An ID that was given out and left no trace is not to be met again, even
	// if the clock was set back.
	s.last += ID(rand.Uint32())
	if fi, err := s.stat(s.reservePath()); err == nil {
		s.reserve = fi.size >= s.tune.reserve
	}
	for id, m := range rec.sending {
		if e := s.index[id]; e != nil && int(m.attempt) > e.attempts {
			e.mark, e.attempt = m.seg, m.attempt
			m.seg.marks++
		}
	}
	for id, e := range s.index {
		if e.attempt > 0 {
			rec.r.Uncertain = append(rec.r.Uncertain, id)
		}
	}
	slices.Sort(rec.r.Uncertain)
	rec.r.Messages = len(s.index)

	s.mu.Lock()
	s.journal.carry = rec.obsolete
	_, err := s.writable() // flushes the marks that it is made with
	s.mu.Unlock()
	if err == nil {
		for _, id := range rec.moved {
			s.disk.remove(eml(s.dir.big, id))
		}
	}
	s.mu.Lock()
	s.roomOnDisk(0, time.Now()) // makes the reserve
	s.unlockSettle()
}
