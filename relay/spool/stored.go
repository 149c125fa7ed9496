package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"kurir/upstream/envelope"
)

// Stored is all that is kept of a message but its content: the <id>.json of
// deferred/ and failed/, and the envelope block of the journal.
type Stored struct {
	ID         ID                `json:"id"`
	MessageID  string            `json:"message_id,omitempty"` // the Message-ID field
	Received   time.Time         `json:"received"`
	Revived    time.Time         `json:"revived,omitzero"` // by a person, after it had failed
	Client     string            `json:"client,omitempty"`
	Envelope   envelope.Envelope `json:"envelope"` // To are the recipients still to be served
	Size       int64             `json:"size"`     // octets of the content, with CRLF line ends
	EightBit   bool              `json:"eight_bit,omitempty"`
	Due        time.Time         `json:"due,omitzero"`         // not before that; zero until the first Defer
	Tried      int               `json:"tried,omitempty"`      // attempts that were concluded
	Unnotified []envelope.Path   `json:"unnotified,omitempty"` // of a failed message: recipients whose failure the sender has still to be told of
	Late       bool              `json:"late,omitempty"`       // the sender was notified of the delay
	Sending    int               `json:"sending,omitempty"`    // the attempt that had come to its dot when the message was stored; see Draft.Sending
	Attempts   []Attempt         `json:"attempts,omitempty"`   // what is remembered of them
}

// Since is what the age of the message counts from: when it came, or when a
// person had it sent again.
func (st *Stored) Since() time.Time {
	if st.Revived.After(st.Received) {
		return st.Revived
	}
	return st.Received
}

// An Attempt is one try to deliver, and what came of it.
type Attempt struct {
	Time        time.Time       `json:"time"`
	Recipients  []envelope.Path `json:"recipients,omitempty"` // whom it is about, if not all
	Candidate   string          `json:"candidate,omitempty"`
	Stage       string          `json:"stage,omitempty"`
	Cause       string          `json:"cause,omitempty"`
	Code        int             `json:"code,omitempty"` // of the reply
	Enhanced    string          `json:"enhanced,omitempty"`
	Reply       string          `json:"reply,omitempty"` // the server's words, verbatim
	Explanation string          `json:"explanation,omitempty"`
	Fix         string          `json:"fix,omitempty"`
}

// keptAttempts bounds the record of a message that is tried for days.
const keptAttempts = 50

// Remember adds attempts to those before. Of many, the first tell how it began
// and the last how it stands; the others are forgotten.
func Remember(before, now []Attempt) []Attempt {
	all := append(slices.Clone(before), now...)
	if surplus := len(all) - keptAttempts; surplus > 0 {
		all = slices.Delete(all, keptAttempts/2, keptAttempts/2+surplus)
	}
	return all
}

// maxMeta bounds a json file: what is larger was not written by us.
const maxMeta = 32 << 20

// find gives a copy of the entry, and holds its segment if it has one. The
// caller releases it.
func (s *Spool) find(id ID) (entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index[id]
	if e == nil {
		return entry{}, fmt.Errorf("spool: %s: %w", id, ErrNotFound)
	}
	if e.seg != nil {
		if err := s.hold(e.seg); err != nil {
			return entry{}, wrap("open a segment", err)
		}
	}
	return *e, nil
}

func (s *Spool) unhold(seg *segment) {
	s.mu.Lock()
	s.release(seg)
	s.unlockSettle()
}

// Load reads what is stored of a waiting message. It fails with ErrNotFound
// if none with that ID waits.
func (s *Spool) Load(id ID) (*Stored, error) {
	l, err := s.load(id, 0)
	return l.Stored, err
}

// Message reads what a delivery needs. Open of the message fails with
// ErrNotFound once the message is gone; its reader reports damage instead of
// the end, so that damaged content is never sent whole.
func (s *Spool) Message(id ID) (*envelope.Message, *Stored, error) {
	l, err := s.load(id, readAhead)
	if err != nil {
		return nil, nil, err
	}
	return l.message(func() (io.ReadCloser, error) { return s.open(id, l) }), l.Stored, nil
}

func (st *Stored) message(open func() (io.ReadCloser, error)) *envelope.Message {
	return &envelope.Message{Envelope: st.Envelope, ID: st.ID.String(), Size: st.Size, EightBit: st.EightBit, Open: open}
}

// readAhead is the largest record that is read whole for a delivery.
const readAhead = 64 << 10

// A loaded message is what a record says of it, and how its content is checked
// while it is read: it continues the checksum begin and has to arrive at end.
type loaded struct {
	*Stored
	begin, end uint32
	content    []byte // nil if it was not read ahead
}

// load reads the record of a message, with the content if the record is no
// longer than ahead.
func (s *Spool) load(id ID, ahead int64) (l loaded, err error) {
	e, err := s.find(id)
	if err != nil {
		return loaded{}, err
	}
	defer func() {
		if err != nil {
			l, err = loaded{}, wrap("read "+id.String(), err)
		}
	}()
	if e.seg == nil {
		l.Stored, err = s.readMeta(meta(s.dir.deferred, id), id)
		return l, err
	}
	defer s.unhold(e.seg)
	n := int64(recordHead + 4 + e.env)
	switch {
	case e.kind == kindBig:
		n += bigTail
	case int64(e.length) <= ahead:
		n = int64(e.length)
	}
	b := make([]byte, n)
	if _, err := e.seg.f.ReadAt(b, e.off); err != nil {
		return l, err
	}
	h := readHead(b, e.seg.seq, e.off)
	if h == nil || h.id != id {
		return l, errDamaged
	}
	switch env := b[:recordHead+4+e.env]; {
	case e.kind == kindPut:
		l.begin, l.end = checksum(0, env[recordHead:]), h.sum
		if len(b) > len(env) {
			l.content = b[len(env):]
		}
	case checksum(0, b[recordHead:]) != h.sum:
		return l, errDamaged
	default:
		_, l.end, _ = readBigTail(b[len(env):])
	}
	l.Stored = &Stored{}
	return l, json.Unmarshal(b[recordHead+4:][:e.env], l.Stored)
}

// readMeta reads a json file and checks that it is about id.
func (s *Spool) readMeta(path string, id ID) (*Stored, error) {
	b, err := s.readFile(path, maxMeta)
	if err != nil {
		return nil, err
	}
	st := &Stored{}
	if err := json.Unmarshal(b, st); err != nil {
		return nil, err
	}
	if st.ID != id || st.Size < 0 {
		return nil, errors.New("it is about another message")
	}
	return st, nil
}

// open finds the content where it is now: it may have moved since the caller
// looked.
func (s *Spool) open(id ID, l loaded) (io.ReadCloser, error) {
	e, err := s.find(id)
	if err != nil {
		return nil, err
	}
	r := &contentReader{left: e.size, sum: l.begin, want: l.end, check: e.seg != nil}
	switch {
	case e.seg != nil && l.content != nil:
		s.unhold(e.seg)
		r.r, r.close = bytes.NewReader(l.content), func() error { return nil }
		return r, nil
	case e.seg != nil && e.kind == kindPut:
		r.r = io.NewSectionReader(e.seg.f, e.off+recordHead+4+int64(e.env), e.size)
		r.close = func() error { s.unhold(e.seg); return nil }
		return r, nil
	}
	dir := s.dir.deferred
	if e.seg != nil {
		s.unhold(e.seg)
		dir = s.dir.big
	}
	f, err := s.disk.open(eml(dir, id), os.O_RDONLY)
	if err != nil {
		return nil, wrap("read "+id.String(), err)
	}
	r.r, r.close = io.NewSectionReader(f, 0, e.size), f.Close
	return r, nil
}

// A contentReader gives the content of a stored message, and says at its end
// whether that was all and undamaged.
type contentReader struct {
	r         io.Reader
	left      int64
	sum, want uint32
	check     bool
	once      sync.Once
	close     func() error
}

func fileReader(f file, size int64) *contentReader {
	return &contentReader{r: io.NewSectionReader(f, 0, size), left: size, close: f.Close}
}

func (r *contentReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.left -= int64(n)
	if r.check {
		r.sum = checksum(r.sum, p[:n])
	}
	switch {
	case err == io.EOF && r.left > 0:
		err = io.ErrUnexpectedEOF
	case r.left == 0 && r.check && r.sum != r.want:
		err = errDamaged
	}
	if err != nil && err != io.EOF {
		err = wrap("read content", err)
	}
	return n, err
}

func (r *contentReader) Close() (err error) {
	r.once.Do(func() { err = r.close() })
	return err
}
