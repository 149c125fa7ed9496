package listener

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"kurir/upstream/explain"
)

// Bounds of a session.
const (
	maxCommand  = 8 << 10  // octets of a command line
	maxErrors   = 50       // refused commands since the last message taken
	smallBuffer = 4 << 10  // of a connection that waits for a command
	bigBuffer   = 32 << 10 // of one that brings a message
	maxPending  = 4 << 10  // octets of replies that wait to be written together
)

// clientUnix names who comes over a unix socket.
const clientUnix = "unix"

// A conn stands between a socket and go-smtp. To go-smtp it is a connection
// on which well-formed commands arrive one by one; the content of a message
// is fetched by the session, through copyContent.
//
// What go-smtp reads are constants that stand for what the client said (see
// command.go), and some of what it answers is replaced on the way out. Only
// the goroutine of the session uses a conn, but for drain, dismiss, idleSince
// and the end of Conn.
type conn struct {
	net.Conn
	server *Server
	addr   netip.Addr // the peer, unmapped and without zone; invalid on a unix socket
	client string     // the same for the log
	port   Port       // where it came in

	in     io.Reader // what the client says
	secure *tls.Conn // over Conn; nil without TLS

	buf  []byte // buf[r:w] has come and waits to be read
	r, w int
	big  *[bigBuffer]byte // what buf is cut from inside a message, from bigBuffers
	idle []byte           // what buf is otherwise
	full bool             // the last read filled buf: more is on its way
	tail []byte           // the last octets that came inside a message

	out     []byte // replies not written yet
	instead string // what the client gets in place of go-smtp's next 2xx reply
	swallow bool   // the client gets nothing of go-smtp's next reply
	taking  bool   // go-smtp has said 354: its next reply is the session's own
	errors  int

	feed string // what go-smtp reads next
	dead bool   // nothing more is read; go-smtp sees the end

	command   command
	esmtp     bool // it said EHLO
	signedIn  bool
	commands  int    // complete lines so far
	pushed    string // a command to be taken as if it came next
	mode      mode
	chunk     chunk // the BDAT command that is being served
	chunkSkip int64 // octets of a refused chunk still to come

	notice atomic.Pointer[notice] // why the session ends before its next command
	open   atomic.Bool            // a transaction is open

	mu       sync.Mutex
	waiting  bool // for a command, since
	since    time.Time
	bringing bool      // a message
	refused  bool      // it is read only because the client reads no reply before
	paid     time.Time // until when what it has brought is fast enough

	once sync.Once // Close
}

// mode is what the octets that come next are.
type mode int

const (
	modeCommands mode = iota
	modeDot           // content up to CRLF.CRLF
	modeChunks        // content in chunks of BDAT (RFC 3030)
)

var bigBuffers = sync.Pool{New: func() any { return new([bigBuffer]byte) }}

func newConn(nc net.Conn, s *Server, p Port) *conn {
	c := &conn{Conn: nc, server: s, client: clientUnix, port: p}
	c.in = c.input(nc)
	switch a := nc.RemoteAddr().(type) {
	case *net.TCPAddr:
		c.addr = a.AddrPort().Addr().Unmap().WithZone("")
		c.client = c.addr.String()
	case *net.UnixAddr:
	default: // nobody we know: only an allow-list of everything lets it in
		c.addr = netip.IPv4Unspecified()
		c.client = a.String()
	}
	return c
}

// input reads what comes over a connection, as its port has it.
func (c *conn) input(r io.Reader) io.Reader {
	if c.port.LegacyLineEnds {
		return &legacyLines{r: r}
	}
	return r
}

// local tells whether the client is on this host.
func (c *conn) local() bool { return !c.addr.IsValid() || c.addr.IsLoopback() }

// Read gives go-smtp one command, or the end of the session.
func (c *conn) Read(p []byte) (n int, err error) {
	defer func() { // go-smtp does not guard its reads
		if r := recover(); r != nil {
			errorLog{c.server.log}.Printf("panic reading from %s: %v\n%s", c.client, r, debug.Stack())
			c.quit(421, explain.EnhancedCode{4, 3, 0}, "Internal error, nothing was lost: come again later")
			n, err = 0, io.EOF
		}
	}()
	if c.port.ImplicitTLS && c.secure == nil && !c.handshake() {
		c.out, c.dead = nil, true // the greeting would be no TLS
	}
	for c.feed == "" {
		if c.dead {
			return 0, io.EOF
		}
		c.feed = c.next()
	}
	n = copy(p, c.feed)
	c.feed = c.feed[n:]
	return n, nil
}

// next waits for the client's next command and returns what go-smtp is to
// read for it; "" when it was answered here, or the session is over.
func (c *conn) next() string {
	if c.pushed != "" {
		line := c.pushed
		c.pushed = ""
		return c.interpret([]byte(line))
	}
	if c.chunkSkip > 0 && !c.skipChunk() {
		return ""
	}
	if n := c.notice.Load(); n != nil {
		c.end(n)
		return ""
	}
	if c.errors > maxErrors {
		c.tooMany()
		return ""
	}
	line, err := c.line()
	if err != nil {
		c.failed(err)
		return ""
	}
	c.commands++
	return c.interpret(line)
}

// What line returns besides errors of the socket.
var (
	errLongLine = errors.New("command line too long")
	errTLS      = errors.New("TLS where none is expected")
)

// line returns the next line without its end, which may be LF alone; it is
// valid until the next read. A line that has not come to its end in time or
// before the connection's end is none.
func (c *conn) line() ([]byte, error) {
	began := time.Now()
	for looked := 0; ; {
		if c.commands == 0 && c.secure == nil && c.r < c.w && c.buf[c.r] == tlsHandshake {
			return nil, errTLS
		}
		if i := bytes.IndexByte(c.buf[c.r+looked:c.w], '\n'); i >= 0 && looked+i <= maxCommand {
			line := c.buf[c.r : c.r+looked+i]
			c.r += looked + i + 1
			return line, nil
		}
		looked = c.w - c.r
		if looked > maxCommand {
			return nil, errLongLine
		}
		if err := c.await(began); err != nil {
			return nil, err
		}
	}
}

// failed ends the session for what line has returned.
func (c *conn) failed(err error) {
	n := c.notice.Load()
	switch {
	case errors.Is(err, errLongLine):
		c.tooLong()
	case errors.Is(err, errTLS):
		c.server.turnAway(c, refuse(0, explain.EnhancedCode{}, explain.ProtocolWrongPort, "here_tls"))
		c.dead = true // a reply would be no TLS
	case errors.Is(err, os.ErrDeadlineExceeded) && n != nil:
		c.end(n)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.quit(421, explain.EnhancedCode{4, 4, 2}, "No command for too long, closing")
	default: // the client has gone, as many do without QUIT
		c.dead = true
	}
}

// await fills buf while a command is waited for, since it began.
func (c *conn) await(began time.Time) error {
	c.room()
	c.mu.Lock()
	if c.notice.Load() != nil {
		c.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	c.waiting, c.since = true, began // before the flush: a client that has read its reply counts as idle
	c.Conn.SetReadDeadline(began.Add(c.server.set().IdleTimeout))
	c.mu.Unlock()

	n, err := 0, c.flush()
	if err == nil {
		n, err = c.in.Read(c.buf[c.w:])
	}

	c.mu.Lock()
	c.waiting = false
	c.mu.Unlock()
	return c.came(n, err)
}

// more fills buf inside a message. The time runs anew for each read, so that
// a slow upload is never cut while it moves (RFC 5321, section 4.5.3.2.5).
func (c *conn) more() error {
	if err := c.flush(); err != nil {
		return err
	}
	c.room()
	now := time.Now()
	c.mu.Lock()
	if n := c.notice.Load(); n != nil && n.urgent {
		c.mu.Unlock()
		return errDismissed
	}
	c.Conn.SetReadDeadline(now.Add(c.server.set().IdleTimeout))
	if !c.bringing {
		c.bringing, c.paid = true, now.Add(stallTime)
	}
	c.mu.Unlock()
	n, err := c.in.Read(c.buf[c.w:])
	c.pay(n)
	c.remember(c.buf[c.w : c.w+n])
	return c.came(n, err)
}

// came takes what a read has brought into buf; an error counts when it brought
// nothing.
func (c *conn) came(n int, err error) error {
	c.w += n
	c.full = c.w == len(c.buf)
	switch {
	case n > 0:
		return nil
	case err == nil: // no net.Conn does that for long
		return io.ErrNoProgress
	}
	return err
}

// maxTail is how much of what came last is kept, to explain a stall.
const maxTail = 8

func (c *conn) remember(b []byte) {
	c.tail = append(c.tail, b[max(0, len(b)-maxTail):]...)
	c.tail = append(c.tail[:0], c.tail[max(0, len(c.tail)-maxTail):]...)
}

// leastRoom is what legacyLines needs, which adds to what it reads.
const leastRoom = 2

// room sees to it that buf has room behind w. Big buffers are kept only while
// a message, or a long command, needs one.
func (c *conn) room() {
	if c.r == c.w {
		c.r, c.w = 0, 0
		if c.big != nil && c.mode == modeCommands {
			c.releaseBig()
		}
	}
	if c.buf == nil {
		c.idle = make([]byte, smallBuffer)
		c.buf = c.idle
	}
	if c.big == nil && (len(c.buf)-c.w < leastRoom && c.r == 0 || c.full && c.mode != modeCommands) {
		c.big, _ = bigBuffers.Get().(*[bigBuffer]byte)
		c.w = copy(c.big[:], c.buf[c.r:c.w])
		c.r, c.buf = 0, c.big[:]
	}
	if len(c.buf)-c.w < leastRoom {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
}

func (c *conn) releaseBig() {
	if c.big != nil {
		bigBuffers.Put(c.big)
		c.big, c.buf = nil, c.idle
	}
}
