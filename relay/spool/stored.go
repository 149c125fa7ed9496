package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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

// maxMeta bounds a json file: what is larger was not written by us.
const maxMeta = 16 << 20

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
	st, _, err := s.load(id)
	return st, err
}

// Message reads what a delivery needs. Open of the message fails with
// ErrNotFound once the message is gone; its reader reports damage instead of
// the end, so that damaged content is never sent whole.
func (s *Spool) Message(id ID) (*envelope.Message, *Stored, error) {
	st, sums, err := s.load(id)
	if err != nil {
		return nil, nil, err
	}
	return &envelope.Message{
		Envelope: st.Envelope,
		ID:       id.String(),
		Size:     st.Size,
		EightBit: st.EightBit,
		Open:     func() (io.ReadCloser, error) { return s.open(id, sums) },
	}, st, nil
}

// sums are how content in the journal is checked while it is read: it
// continues a checksum, and has to arrive at another.
type sums struct{ begin, end uint32 }

func (s *Spool) load(id ID) (*Stored, sums, error) {
	e, err := s.find(id)
	if err != nil {
		return nil, sums{}, err
	}
	if e.seg == nil {
		st, err := s.readMeta(meta(s.dir.deferred, id), id)
		return st, sums{}, wrap("read "+id.String(), err)
	}
	defer s.unhold(e.seg)
	b := make([]byte, recordHead+4+int(e.env)+bigTail)
	if e.kind == kindPut {
		b = b[:len(b)-bigTail]
	}
	if _, err := e.seg.f.ReadAt(b, e.off); err != nil {
		return nil, sums{}, wrap("read "+id.String(), err)
	}
	h := readHead(b, e.seg.seq, e.off)
	if h == nil || h.id != id {
		return nil, sums{}, wrap("read "+id.String(), errDamaged)
	}
	c := sums{checksum(0, b[recordHead:]), h.sum}
	if e.kind == kindBig {
		if c.begin != c.end {
			return nil, sums{}, wrap("read "+id.String(), errDamaged)
		}
		_, end, _ := readBigTail(b[len(b)-bigTail:])
		c = sums{0, end}
	}
	st := &Stored{}
	if err := json.Unmarshal(b[recordHead+4:][:e.env], st); err != nil {
		return nil, sums{}, wrap("read "+id.String(), err)
	}
	return st, c, nil
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
func (s *Spool) open(id ID, c sums) (io.ReadCloser, error) {
	e, err := s.find(id)
	if err != nil {
		return nil, err
	}
	r := &contentReader{left: e.size, sum: c.begin, want: c.end, check: e.seg != nil}
	if e.seg != nil && e.kind == kindPut {
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
