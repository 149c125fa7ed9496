package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"kurir/upstream/envelope"
)

// A Draft is a message that is being received. Small content stays in memory
// until Commit, large content is streamed to a file, so that memory does not
// grow with the message (P10). One goroutine writes; any number may read what
// Message gives, once all is written.
type Draft struct {
	// MessageID is the Message-ID field, which the log and Stored tell. The
	// owner sets it before Commit.
	MessageID string

	// Subject is the Subject field, for the log; it is not stored apart.
	Subject string

	// Sending is the attempt that has come to its dot without an end that is
	// known, 0 if there is none: a Commit is then a Spool.Sending as well.
	Sending int

	s        *Spool
	id       ID
	received time.Time
	client   string
	env      envelope.Envelope
	size     int64
	eightBit bool
	sum      uint32 // of the content in f
	state    draftState

	mu      sync.Mutex // guards what readers share with the writer
	users   int        // the owner and each open reader
	buf     *buffer    // all content, or what of it is not yet in f
	f       file
	flushed int64 // octets of content in f
}

type draftState int

const (
	drafting draftState = iota
	failed
	committed
	closed
)

// A buffer has room before the content, so that envelope and content go into
// the journal in one write and without a copy.
type buffer struct{ b []byte }

const bufferRoom = 1024

// What drafts may have in memory together before new ones get little, and
// how much that is: a thousand clients that stop in the middle of a message
// must not fill it (P10).
const (
	maxBuffered = 16 << 20
	littleBuf   = 16 << 10
)

// An encoder makes envelope blocks without a new buffer for each.
type encoder struct {
	bytes.Buffer
	*json.Encoder
}

// Draft begins a message for the client, an address or a name for the log,
// and gives it its ID. It fails as Space does. The caller owns the draft and
// closes it.
func (s *Spool) Draft(env envelope.Envelope, client string) (*Draft, error) {
	now := time.Now()
	s.mu.Lock()
	err := s.room(0)
	if err == nil {
		s.last = nextID(s.last, now)
	}
	id := s.last
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	buf, _ := s.buffers.Get().(*buffer)
	if buf == nil {
		buf = &buffer{make([]byte, bufferRoom, 4*bufferRoom)}
	}
	buf.b = buf.b[:bufferRoom]
	s.buffered.Add(int64(cap(buf.b)))
	return &Draft{s: s, id: id, received: now, client: client, env: env, users: 1, buf: buf}, nil
}

// ID is the name of the message, also for the reply to the client.
func (d *Draft) ID() ID { return d.id }

// Received is when the draft began.
func (d *Draft) Received() time.Time { return d.received }

// Client is what Draft was given.
func (d *Draft) Client() string { return d.client }

// Size is how many octets of content were written.
func (d *Draft) Size() int64 { return d.size }

// Envelope is the draft's own; it may be changed until Commit.
func (d *Draft) Envelope() *envelope.Envelope { return &d.env }

// Stored is what Commit keeps, or has kept, beside the content.
func (d *Draft) Stored() *Stored {
	return &Stored{
		ID: d.id, MessageID: d.MessageID, Received: d.received, Client: d.client,
		Envelope: d.env, Size: d.size, EightBit: d.eightBit, Sending: d.Sending,
	}
}

// Write adds content as it will be sent: lines end in CRLF, nothing is
// dot-stuffed. An error wraps ErrFull when there is no room; after any error
// the draft is only good for Close.
func (d *Draft) Write(p []byte) (int, error) {
	if d.state != drafting {
		return 0, wrap("write to a draft", os.ErrClosed)
	}
	if d.s.max.Load() > 0 {
		d.s.mu.Lock()
		err := d.s.roomBySize(int64(len(p)))
		d.s.mu.Unlock()
		if err != nil {
			d.state = failed
			return 0, err
		}
	}
	if err := d.take(p); err != nil {
		d.state = failed
		return 0, d.trouble(err)
	}
	d.s.streaming.Add(int64(len(p)))
	d.size += int64(len(p))
	d.eightBit = d.eightBit || hasEightBit(p)
	return len(p), nil
}

// trouble notes what the disk refused, and names the operation.
func (d *Draft) trouble(err error) error {
	err = wrap("write content", err)
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.stop(err)
	return err
}

func (d *Draft) take(p []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	inline := d.s.tune.inline
	if d.s.buffered.Load() > maxBuffered {
		inline = min(inline, littleBuf)
	}
	if len(d.buf.b)-bufferRoom+len(p) <= inline {
		d.hold(p)
		return nil
	}
	if d.f == nil {
		f, err := d.s.disk.open(d.tmp(), os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return err
		}
		d.f = f
	}
	if err := d.spill(); err != nil {
		return err
	}
	if len(p) <= inline {
		d.hold(p)
		return nil
	}
	return d.stream(p)
}

// hold puts content into the buffer. The caller holds mu.
func (d *Draft) hold(p []byte) {
	before := cap(d.buf.b)
	d.buf.b = append(d.buf.b, p...)
	d.s.buffered.Add(int64(cap(d.buf.b) - before))
}

// spill moves the buffer into the file. The caller holds mu.
func (d *Draft) spill() error {
	err := d.stream(d.buf.b[bufferRoom:])
	d.buf.b = d.buf.b[:bufferRoom]
	return err
}

func (d *Draft) stream(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := d.f.WriteAt(p, d.flushed); err != nil {
		return err
	}
	d.flushed += int64(len(p))
	d.sum = checksum(d.sum, p)
	return nil
}

func (d *Draft) path() string { return eml(d.s.dir.big, d.id) }
func (d *Draft) tmp() string  { return d.path() + ".tmp" }

// hasEightBit looks at eight octets at a time: all content passes here.
func hasEightBit(p []byte) bool {
	for len(p) >= 8 {
		if binary.LittleEndian.Uint64(p)&0x8080808080808080 != 0 {
			return true
		}
		p = p[8:]
	}
	return slices.ContainsFunc(p, func(c byte) bool { return c >= 0x80 })
}

// Message gives the message for delivery, before or after Commit. It has a
// copy of the envelope; its Open may be called until Close, and what it
// returned stays readable until it is closed itself.
func (d *Draft) Message() *envelope.Message {
	m := &envelope.Message{Envelope: d.env, ID: d.id.String(), Size: d.size, EightBit: d.eightBit, Open: d.open}
	m.To = slices.Clone(d.env.To)
	return m
}

func (d *Draft) open() (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users == 0 || d.buf == nil {
		return nil, wrap("read a draft", os.ErrClosed)
	}
	d.users++
	r := &draftReader{d: d, Reader: bytes.NewReader(d.buf.b[bufferRoom:])}
	if d.f != nil {
		r.Reader = io.MultiReader(io.NewSectionReader(d.f, 0, d.flushed), r.Reader)
	}
	return r, nil
}

type draftReader struct {
	io.Reader
	d    *Draft
	once sync.Once
}

func (r *draftReader) Close() error {
	r.once.Do(r.d.release)
	return nil
}

// release ends a use of buffer and file. The last one gives them back.
func (d *Draft) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users--; d.users > 0 {
		return
	}
	size := int64(cap(d.buf.b))
	if had := d.s.buffered.Add(-size); size <= littleBuf || had <= maxBuffered/2 {
		d.s.buffers.Put(d.buf)
	}
	d.buf = nil
	if d.f != nil {
		d.f.Close()
	}
}

// Close gives back what the draft holds, and removes what was streamed unless
// it is committed. The stored message is not affected. Readers that are still
// open keep what they need.
func (d *Draft) Close() error {
	if d.state == closed {
		return nil
	}
	if d.state != committed {
		d.s.streaming.Add(-d.size)
		if d.f != nil {
			d.s.disk.remove(d.tmp()) // recovery does it if this fails
		}
	}
	d.state = closed
	d.release()
	return nil
}
