package listener

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"kurir/upstream/explain"
)

// What copyContent returns besides errors of its writer. After errStalled,
// errLost, errDismissed and errBroken nothing more is read from the connection.
var (
	errTooLarge  = errors.New("the message is too large")
	errStalled   = errors.New("the client sent nothing for too long")
	errLost      = errors.New("the client went away")
	errBroken    = errors.New("the client broke the protocol") // and has its reply
	errDismissed = errors.New("the place is needed for another client")
	errAborted   = errors.New("the client gave the message up") // with BDAT; its next command is answered for it
)

// patience is how much of a message that is refused already is read, only to
// be thrown away: most clients read no reply before they have sent all.
const patience = 1 << 30

var crlf = []byte("\r\n")

// copyContent writes the content of the message that go-smtp has just given
// way to, to w: lines end in CRLF, the last one too, nothing is dot-stuffed.
// nil means that the client has ended it. When w fails, or more than limit
// octets come (0 is no limit), the rest is still read.
func (c *conn) copyContent(w io.Writer, limit int64) error {
	n := &canonical{w: w, limit: limit, fresh: true}
	c.tail = c.tail[:0]
	c.remember(c.buf[c.r:c.w])
	var err error
	if c.mode == modeChunks {
		err = c.copyChunks(n)
	} else {
		err = c.copyDot(n)
	}
	c.mode, c.chunk = modeCommands, chunk{}
	c.mu.Lock()
	c.bringing, c.refused = false, false
	c.mu.Unlock()
	if err == nil || errors.Is(err, errAborted) {
		c.feed = feedEnd
	} else {
		c.dead = true // whatever comes next is not to be taken for a command
	}
	if err == nil {
		err = n.err
	}
	return err
}

// copyDot reads up to CRLF "." CRLF. A dot at the start of a line, that is
// after CRLF, is taken away (RFC 5321, section 4.5.2) unless LF or CR alone
// follows it: who sends that does not stuff dots.
func (c *conn) copyDot(n *canonical) error {
	for {
		used, done := n.dotted(c.buf[c.r:c.w])
		c.r += used
		if done {
			return nil
		}
		if err := c.moreOf(n); err != nil {
			return err
		}
	}
}

// copyChunks serves BDAT commands up to the one that says LAST.
func (c *conn) copyChunks(n *canonical) error {
	for {
		if n.limit > 0 && n.err == nil && n.size+c.chunk.left > n.limit {
			n.err = errTooLarge // and need not come first
		}
		for c.chunk.left > 0 {
			if c.r == c.w {
				if err := c.moreOf(n); err != nil {
					return err
				}
			}
			part := c.buf[c.r:min(int64(c.w), int64(c.r)+c.chunk.left)]
			n.text(part)
			c.r += len(part)
			c.chunk.left -= int64(len(part))
		}
		if c.chunk.last {
			n.finish()
			return nil
		}
		c.reply(250, explain.EnhancedCode{2, 0, 0}, "Chunk received")
		if err := c.nextChunk(n); err != nil {
			return err
		}
	}
}

// nextChunk reads commands between chunks up to the next BDAT.
func (c *conn) nextChunk(n *canonical) error {
	for {
		line, err := c.contentLine(n)
		if err != nil {
			return err
		}
		verb, arg, _ := strings.Cut(strings.Trim(string(line), " \t\r"), " ")
		switch strings.ToUpper(verb) {
		case "BDAT":
			var ok bool
			if c.chunk, ok = parseChunk(arg); !ok {
				c.badChunk()
				return c.broken()
			}
			return nil
		case "RSET", "QUIT", "HELO", "EHLO":
			c.pushed = verb + " " + arg
			c.swallow = true // the reply to the message; the command gets its own
			return errAborted
		case "NOOP":
			c.reply(250, explain.EnhancedCode{2, 0, 0}, "OK")
		default:
			c.reply(503, explain.EnhancedCode{5, 5, 1}, "Only BDAT and RSET may come inside a message")
		}
	}
}

func (c *conn) contentLine(n *canonical) ([]byte, error) {
	for {
		if i := bytes.IndexByte(c.buf[c.r:c.w], '\n'); i >= 0 {
			line := c.buf[c.r : c.r+i]
			c.r += i + 1
			return line, nil
		}
		switch {
		case c.w-c.r > maxCommand:
			c.tooLong()
			return nil, c.broken()
		case c.errors > maxErrors:
			c.tooMany()
			return nil, c.broken()
		}
		if err := c.moreOf(n); err != nil {
			return nil, err
		}
	}
}

// broken ends a message whose client has been told why, and the session.
func (c *conn) broken() error {
	c.swallow = true
	return errBroken
}

// moreOf is more, with what it means inside a message.
func (c *conn) moreOf(n *canonical) error {
	if n.wasted > patience {
		return n.err
	}
	c.mu.Lock()
	c.refused = n.err != nil
	c.mu.Unlock()
	switch err := c.more(); {
	case err == nil:
		return nil
	case errors.Is(err, errDismissed):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		if n := c.notice.Load(); n != nil && n.urgent {
			return errDismissed
		}
		return errStalled
	default:
		return fmt.Errorf("%w: %w", errLost, err)
	}
}

// skipChunk reads over a chunk whose BDAT has been refused.
func (c *conn) skipChunk() bool {
	for c.chunkSkip > 0 {
		if c.r == c.w {
			if err := c.more(); err != nil {
				c.failed(err)
				return false
			}
		}
		n := min(int64(c.w-c.r), c.chunkSkip)
		c.r += int(n)
		c.chunkSkip -= n
	}
	return true
}

// loneDot tells whether a client that has stalled inside a message has
// probably ended it, but not with CRLF "." CRLF.
func (c *conn) loneDot() bool {
	t := bytes.TrimRight(c.tail, "\r\n")
	return len(t) < len(c.tail) && len(t) > 1 && t[len(t)-1] == '.' && (t[len(t)-2] == '\n' || t[len(t)-2] == '\r')
}

// A canonical gives content canonical line ends. LF alone, CR alone and any
// number of CRs before LF become CRLF; no octet else is touched. It writes
// long stretches as they lie, so that it costs little more than two searches.
type canonical struct {
	w     io.Writer
	limit int64
	size  int64 // octets so far
	err   error // the first of w, or errTooLarge: from then on nothing is written

	wasted int64 // octets since then

	fresh bool // at the start, or what came last was a literal CRLF
	crs   int  // CRs that came last: what they mean depends on what follows
	whole bool // what was written ends in a line end
}

func (n *canonical) put(b []byte) {
	if len(b) == 0 {
		return
	}
	if n.err != nil {
		n.wasted += int64(len(b))
		return
	}
	n.size += int64(len(b))
	n.whole = b[len(b)-1] == '\n'
	if n.limit > 0 && n.size > n.limit {
		n.err = errTooLarge
		return
	}
	_, n.err = n.w.Write(b)
}

// dotted takes content as DATA brings it and returns how much of b it has
// used: all but a few octets whose meaning depends on what follows.
func (n *canonical) dotted(b []byte) (used int, done bool) {
	all := len(b)
	for len(b) > 0 {
		switch {
		case n.fresh && b[0] == '.':
			if len(b) == 1 || len(b) == 2 && b[1] == '\r' {
				return all - len(b), false
			}
			switch {
			case b[1] == '\r' && b[2] == '\n':
				return all - len(b) + 3, true
			case b[1] == '\r' || b[1] == '\n':
				n.text(b[:1])
			default:
				n.fresh = false
			}
			b = b[1:]
		case n.crs > 0 && b[0] == '\n': // the rest of a CRLF
			n.text(b[:1])
			b = b[1:]
		default:
			i := bytes.Index(b, []byte("\r\n."))
			if i < 0 {
				n.text(b)
				return all, false
			}
			n.text(b[:i+2])
			b = b[i+2:]
		}
	}
	return all, false
}

// text takes content that has no dots to take away.
func (n *canonical) text(b []byte) {
	if len(b) == 0 {
		return
	}
	i := 0 // b[:i] is done with
	if n.crs > 0 {
		i = n.run(b, 0)
	}
	clean := i // b[clean:i] is as it should be and not written yet
	lf := -1   // where the next LF is; len(b) when there is none
	for i < len(b) {
		n.fresh = false
		if lf < i {
			if lf = bytes.IndexByte(b[i:], '\n'); lf < 0 {
				lf = len(b)
			} else {
				lf += i
			}
		}
		switch cr := bytes.IndexByte(b[i:lf], '\r'); {
		case cr < 0 && lf == len(b): // the middle of a line
			i = lf
		case cr < 0: // LF alone
			n.put(b[clean:lf])
			n.put(crlf)
			i = lf + 1
			clean = i
		case i+cr == lf-1 && lf < len(b): // a line as it should be
			i = lf + 1
			n.fresh = true
		default:
			n.put(b[clean : i+cr])
			i = n.run(b, i+cr)
			clean = i
		}
	}
	n.put(b[clean:])
}

// run takes the CRs at b[i:] and what decides about them, if it is there.
func (n *canonical) run(b []byte, i int) int {
	for i < len(b) && b[i] == '\r' {
		n.crs++
		i++
	}
	switch {
	case i == len(b):
		n.fresh = false
	case b[i] == '\n':
		n.put(crlf)
		n.crs, n.fresh = 0, true
		i++
	default:
		n.bareCRs()
	}
	return i
}

func (n *canonical) bareCRs() {
	for ; n.crs > 0; n.crs-- {
		n.put(crlf)
	}
	n.fresh = false
}

// finish ends content that was not ended by a line of its own.
func (n *canonical) finish() {
	n.bareCRs()
	if n.size > 0 && !n.whole {
		n.put(crlf)
	}
}
