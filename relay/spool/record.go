package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// What a record says of the message whose ID it carries.
const (
	kindPut     = 1 // it is in the spool: envelope and content follow
	kindDone    = 2 // it is no longer in the journal: served, moved to deferred/, or refused
	kindBig     = 3 // it is in the spool: envelope follows, content is big/<id>.eml
	kindSending = 4 // its content is about to be ended with a dot: number of the attempt follows
	kindVoid    = 5 // nothing: recovery put it over what a power cut had left unwritten
)

const (
	segmentMagic = "KURIRSG1"
	segmentHead  = 16 // magic, sequence number

	// recordMagic has a CR without its LF. Content has canonical line ends
	// and JSON has no control characters, so no payload can hold it, and
	// nobody can post a message that reads as a record after some damage.
	recordMagic = "\rK\nJ"
	recordHead  = 44

	maxEnvelope = 4 << 20
	maxInline   = 256 << 10
	maxPayload  = 4 + maxEnvelope + maxInline
)

// A head is the fixed part of a record. The table in the package comment
// gives its place for each field.
type head struct {
	kind    byte
	id      ID
	flushed uint32 // the segment was flushed up to there when the record was written
	length  uint32 // of the payload
	sum     uint32 // CRC of the payload
}

// checksum continues a CRC-32C.
func checksum(sum uint32, p []byte) uint32 {
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), p)
}

// prepare fills the head of rec, whose payload begins at recordHead, but for
// what depends on its place in the journal.
func prepare(rec []byte, kind byte, id ID) {
	copy(rec, recordMagic)
	binary.LittleEndian.PutUint32(rec[4:], uint32(kind)) // three zero octets follow the kind
	binary.LittleEndian.PutUint64(rec[8:], uint64(id))
	binary.LittleEndian.PutUint32(rec[32:], uint32(len(rec)-recordHead))
	binary.LittleEndian.PutUint32(rec[36:], checksum(0, rec[recordHead:]))
}

// place binds a prepared record to its segment and offset: a copy of it
// elsewhere, such as an old block that a disk gave back, is no record.
func place(rec []byte, seq uint64, off, flushed int64) {
	binary.LittleEndian.PutUint64(rec[16:], seq)
	binary.LittleEndian.PutUint32(rec[24:], uint32(off))
	binary.LittleEndian.PutUint32(rec[28:], uint32(flushed))
	binary.LittleEndian.PutUint32(rec[40:], checksum(0, rec[:40]))
}

// readHead reads the head of the record at off of segment seq; nil if there is none.
func readHead(b []byte, seq uint64, off int64) *head {
	if len(b) < recordHead || string(b[:4]) != recordMagic ||
		binary.LittleEndian.Uint64(b[16:]) != seq ||
		binary.LittleEndian.Uint32(b[24:]) != uint32(off) ||
		binary.LittleEndian.Uint32(b[40:]) != checksum(0, b[:40]) {
		return nil
	}
	h := &head{
		kind:    b[4],
		id:      ID(binary.LittleEndian.Uint64(b[8:])),
		flushed: binary.LittleEndian.Uint32(b[28:]),
		length:  binary.LittleEndian.Uint32(b[32:]),
		sum:     binary.LittleEndian.Uint32(b[36:]),
	}
	if h.length > maxPayload {
		return nil
	}
	return h
}

// readRecord reads the whole record at off of the image of segment seq, and
// checks its payload; nil if there is none.
func readRecord(img []byte, seq uint64, off int64) (*head, []byte) {
	h := readHead(img[off:], seq, off)
	if h == nil || int64(h.length) > int64(len(img))-off-recordHead {
		return nil, nil
	}
	payload := img[off+recordHead:][:h.length]
	if checksum(0, payload) != h.sum {
		return nil, nil
	}
	return h, payload
}

// envelopeOf cuts a PUT or BIG payload into the envelope block and the rest.
func envelopeOf(payload []byte) (env, rest []byte) {
	if len(payload) < 4 {
		return nil, nil
	}
	n := binary.LittleEndian.Uint32(payload)
	if uint64(n) > uint64(len(payload)-4) {
		return nil, nil
	}
	return payload[4 : 4+n], payload[4+n:]
}

// bigTail is what follows the envelope of a BIG record: size and CRC of the
// content in its file.
const bigTail = 12

func putBigTail(b []byte, size int64, sum uint32) {
	binary.LittleEndian.PutUint64(b, uint64(size))
	binary.LittleEndian.PutUint32(b[8:], sum)
}

func readBigTail(b []byte) (size int64, sum uint32, ok bool) {
	if len(b) != bigTail {
		return 0, 0, false
	}
	return int64(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[8:]), true
}

// What scan found beside the records.
type scanned struct {
	head    bool   // the head of the segment is as it should be
	any     bool   // there was a record
	gaps    []span // before the last record, and no record
	end     int64  // of the last record
	flushed int64  // up to there a power cut cannot have done any harm
}

type span struct{ from, to int64 }

// scan calls visit for each whole record of a segment's image, in order. After
// damage it goes on with the next place where magic and both checksums agree.
func scan(img []byte, seq uint64, visit func(off int64, h *head, payload []byte)) scanned {
	var r scanned
	r.head = len(img) >= segmentHead && string(img[:segmentHead]) == string(segmentHeader(seq))
	r.end = min(segmentHead, int64(len(img)))
	for off := r.end; off < int64(len(img)); {
		h, payload := readRecord(img, seq, off)
		if h != nil {
			if off > r.end {
				r.gaps = append(r.gaps, span{r.end, off})
			}
			r.any = true
			r.flushed = max(r.flushed, int64(h.flushed))
			visit(off, h, payload)
			off += recordHead + int64(h.length)
			r.end = off
			continue
		}
		next := bytes.Index(img[off+1:], []byte(recordMagic))
		if next < 0 {
			break
		}
		off += 1 + int64(next)
	}
	return r
}

// segmentHeader is what a segment begins with.
func segmentHeader(seq uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte(segmentMagic), seq)
}

// voids gives records that fill what lies in gap, which is as long as the
// records that were to be there.
func voids(img []byte, seq uint64, gap span) []byte {
	b := bytes.Clone(img[gap.from:gap.to])
	for at := 0; len(b)-at >= recordHead; {
		n := min(len(b)-at, recordHead+maxPayload)
		if rest := len(b) - at - n; rest > 0 && rest < recordHead {
			n -= recordHead
		}
		clear(b[at:][:recordHead])
		prepare(b[at:][:n], kindVoid, 0)
		place(b[at:][:n], seq, gap.from+int64(at), 0)
		at += n
	}
	return b
}
