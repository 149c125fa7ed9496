package spool

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listJournal gives the segments that there are, oldest first.
func (rec *recovering) listJournal() ([]*segment, error) {
	names, err := rec.disk.list(rec.dir.journal)
	if err != nil {
		return nil, wrap("list the journal", err)
	}
	var segments []*segment
	for _, name := range names {
		base, ok := strings.CutSuffix(name, ".seg")
		seq, err := strconv.ParseUint(base, 16, 64)
		if !ok || err != nil || len(base) != 16 {
			continue
		}
		segments = append(segments, &segment{seq: seq, path: filepath.Join(rec.dir.journal, name)})
	}
	slices.SortFunc(segments, func(a, b *segment) int { return cmp.Compare(a.seq, b.seq) })
	return segments, nil
}

func (rec *recovering) readJournal() error {
	segments, err := rec.listJournal()
	if err != nil {
		return err
	}
	var img []byte
	for i, seg := range segments {
		if img, err = rec.readSegment(seg, img, i == len(segments)-1); err != nil {
			return err
		}
		rec.journal.next = seg.seq + 1
	}
	rec.journal.segments = segments
	return nil
}

// readSegment takes in one segment. Only the newest may have a torn end.
func (rec *recovering) readSegment(seg *segment, img []byte, newest bool) ([]byte, error) {
	fi, err := rec.stat(seg.path)
	if err != nil {
		return img, wrap("read the journal", err)
	}
	size := min(fi.size, rec.maxImage())
	if int64(cap(img)) < size {
		img = make([]byte, size)
	}
	img = img[:size]
	f, err := rec.disk.open(seg.path, os.O_RDWR)
	if err != nil {
		return img, wrap("read the journal", err)
	}
	defer f.Close()
	unread := readAll(f, img)
	found := scan(img, seg.seq, func(off int64, h *head, payload []byte) { rec.take(seg, off, h, payload) })
	seg.size = found.end

	// Older segments were flushed whole before the next one was begun. In the
	// newest, what was not flushed may be missing anywhere.
	torn := func(from int64) bool { return newest && unread == 0 && from >= found.flushed }
	var faults []string
	var holes []span
	var gone, lost int64
	for _, gap := range append(found.gaps, span{found.end, size}) {
		if torn(gap.from) {
			gone += gap.to - gap.from
			holes = append(holes, gap)
		} else {
			lost += gap.to - gap.from
		}
	}
	unborn := !found.any && len(bytes.TrimLeft(img[min(size, segmentHead):], "\x00")) == 0 // it was made and never used
	switch {
	case unread > 0:
		faults = append(faults, fmt.Sprintf("%d octets could not be read", unread))
	case lost > 0 && !unborn:
		faults = append(faults, fmt.Sprintf("%d octets are damaged", lost))
	}
	if !found.head && !unborn && !torn(0) {
		faults = append(faults, "its head is damaged")
	}
	if fi.size > size {
		faults = append(faults, "it is larger than any segment")
	}
	if len(faults) > 0 {
		rec.holes = true
		// A copy is for a person to look at. What can be read stays in use.
		rec.keepBad(seg.path, strings.Join(faults, ", "), func(from, to string) error {
			if _, err := rec.stat(to); !isMissing(err) || rec.disk.link(from, to) == nil {
				return nil
			}
			return rec.writeFile(to, bytes.NewReader(img))
		})
		return img, nil
	}
	if gone > 0 || !found.head {
		if !unborn {
			rec.r.TornBytes += gone
		}
		if err := mend(f, img, seg, holes); err != nil && !full(err) {
			return img, wrap("mend the journal", err)
		}
	}
	return img, nil
}

// mend makes a torn segment whole, for it will not be the newest next time.
func mend(f file, img []byte, seg *segment, holes []span) error {
	if _, err := f.WriteAt(segmentHeader(seg.seq), 0); err != nil {
		return err
	}
	for _, gap := range holes {
		if gap.to <= seg.size {
			if _, err := f.WriteAt(voids(img, seg.seq, gap), gap.from); err != nil {
				return err
			}
		}
	}
	seg.size = max(seg.size, segmentHead)
	if err := f.truncate(seg.size); err != nil {
		return err
	}
	return f.datasync()
}

// pageSize is the unit in which a disk that fails is asked.
const pageSize = 4096

// readAll fills img, and tells how many octets could not be read: they are
// zero. A page that fails is asked for twice.
func readAll(f file, img []byte) (unread int) {
	if n, err := f.ReadAt(img, 0); n == len(img) && (err == nil || err == io.EOF) {
		return 0
	}
	for off := 0; off < len(img); off += pageSize {
		page := img[off:min(off+pageSize, len(img))]
		n, err := f.ReadAt(page, int64(off))
		if n < len(page) && err != io.EOF {
			n, _ = f.ReadAt(page, int64(off))
		}
		clear(page[n:])
		unread += len(page) - n
	}
	return unread
}

// take brings one record of the journal into the index.
func (rec *recovering) take(seg *segment, off int64, h *head, payload []byte) {
	rec.last = max(rec.last, h.id)
	switch h.kind {
	case kindPut, kindBig:
		env, rest := envelopeOf(payload)
		var g glance
		if json.Unmarshal(env, &g) != nil || g.ID != h.id {
			return // whole, yet not ours: written by no version that VERSION allows
		}
		if h.kind == kindPut && g.Size != int64(len(rest)) {
			return
		}
		if size, _, ok := readBigTail(rest); h.kind == kindBig && (!ok || size != g.Size) {
			return
		}
		if old := rec.index[h.id]; old != nil {
			rec.forget(old) // compaction copied it, and did not come to removing the old segment
		}
		e := g.entry()
		e.record = record{seg: seg, off: off, length: recordHead + h.length, env: uint32(len(env)), kind: h.kind}
		e.claim()
		rec.add(e)
	case kindDone:
		if e := rec.index[h.id]; e != nil {
			rec.forget(e)
		}
	case kindSending:
		if len(payload) == 4 {
			rec.sending[h.id] = sendingMark{seg, binary.LittleEndian.Uint32(payload)}
		}
	}
}
