package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Commit makes the message durable. Once it returns nil the message survives
// a power cut, and the listener may answer for it with a 250 reply (RFC 5321,
// section 4.2.5; P1). After an error, which wraps ErrFull if there was no
// room, nothing of it remains; should the disk have kept a record that it
// said it could not flush, a mark that takes it back is written where that is
// possible, before Commit returns.
func (d *Draft) Commit() error {
	if d.state != drafting {
		return wrap("commit", os.ErrClosed)
	}
	d.state = failed
	rec, env, err := d.encode()
	if err != nil {
		return err
	}
	kind := byte(kindPut)
	if d.f != nil {
		kind = kindBig
		if err := d.storeBig(); err != nil {
			return d.trouble(err)
		}
		putBigTail(rec[len(rec)-bigTail:], d.size, d.sum)
	}
	prepare(rec, kind, d.id)
	if err := d.s.put(rec, &entry{
		id: d.id, from: d.env.From, size: d.size,
		received: d.received.UnixNano(), due: d.received.UnixNano(), attempt: uint32(d.Sending),
		record: record{length: uint32(len(rec)), env: uint32(env), kind: kind},
	}); err != nil {
		if kind == kindBig {
			d.s.disk.remove(d.path())
		}
		return err
	}
	d.state = committed
	d.s.streaming.Add(-d.size)
	return nil
}

// put appends a record and returns when it is flushed and its message waits.
func (s *Spool) put(rec []byte, e *entry) error {
	s.mu.Lock()
	seg, off, err := s.append(rec)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	e.seg, e.off = seg, off
	e.claim()
	return s.unlockWait(seg, e)
}

// storeBig makes the file of large content durable. It counts for nothing
// until the journal has its BIG record.
func (d *Draft) storeBig() error {
	d.mu.Lock()
	err := d.spill() // readers may still be at the buffer; nobody writes into it any more
	d.mu.Unlock()
	if err == nil {
		err = d.f.datasync()
	}
	if err == nil {
		err = d.s.disk.rename(d.tmp(), d.path())
	}
	if err != nil {
		return err
	}
	if err := d.s.disk.syncDir(d.s.dir.big); err != nil {
		d.s.disk.remove(d.path())
		return err
	}
	return nil
}

// encode gives the record with room for its head, and the length of the
// envelope block. Small content is in it already.
func (d *Draft) encode() (rec []byte, env int, err error) {
	enc, _ := d.s.encoders.Get().(*encoder)
	if enc == nil {
		enc = new(encoder)
		enc.Encoder = json.NewEncoder(&enc.Buffer)
		enc.SetEscapeHTML(false)
	}
	defer d.s.encoders.Put(enc)
	enc.Reset()
	err = enc.Encode(d.Stored())
	if err != nil {
		return nil, 0, fmt.Errorf("spool: encode the envelope: %w", err)
	}
	block := enc.Bytes()
	if len(block) > maxEnvelope {
		return nil, 0, errors.New("spool: the envelope is larger than 4 MB")
	}
	n := recordHead + 4 + len(block)
	switch {
	case d.f != nil:
		rec = make([]byte, n+bigTail)
	case n <= bufferRoom:
		rec = d.buf.b[bufferRoom-n:]
	default:
		rec = make([]byte, n+int(d.size))
		copy(rec[n:], d.buf.b[bufferRoom:])
	}
	binary.LittleEndian.PutUint32(rec[recordHead:], uint32(len(block)))
	copy(rec[recordHead+4:], block)
	return rec, len(block), nil
}
