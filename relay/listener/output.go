package listener

import (
	"bytes"
	"net"
	"strconv"
	"time"

	"kurir/upstream/explain"
)

// Write takes one line of a reply from go-smtp. It goes out with the replies
// to all commands that have come together with its own, before the next wait.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) < 4 {
		c.out = append(c.out, p...)
		return len(p), nil
	}
	last := p[3] == ' '
	switch {
	case c.swallow:
	case bytes.HasPrefix(p, []byte("354")):
		c.mode = modeDot
		if c.chunk.open {
			c.mode = modeChunks
		} else {
			c.out = append(c.out, p...)
		}
	case c.instead != "" && p[0] == '2':
		if last {
			c.out = append(c.out, c.instead...)
		}
	case !c.taking && bytes.HasPrefix(p, []byte("502")): // commands in the wrong order (RFC 5321, section 4.2.2)
		c.out = append(append(c.out, "503"...), p[3:]...)
	default:
		c.out = append(c.out, p...)
	}
	if last {
		if p[0] >= '4' && !c.swallow {
			c.errors++
		}
		if c.chunk.open && c.mode == modeCommands { // refused: its octets come all the same
			c.chunkSkip, c.chunk = c.chunk.left, chunk{}
		}
		c.swallow, c.instead = false, ""
		c.taking = c.mode != modeCommands
	}
	if len(c.out) > maxPending {
		return len(p), c.flush()
	}
	return len(p), nil
}

// reply answers a command here.
func (c *conn) reply(code int, e explain.EnhancedCode, text string) {
	if code >= 400 {
		c.errors++
	}
	c.out = appendReply(c.out, code, e, text, asciiOnly)
}

// quit answers and ends the session.
func (c *conn) quit(code int, e explain.EnhancedCode, text string) {
	c.reply(code, e, text)
	c.dead = true
}

func (c *conn) tooLong() {
	c.sendAway(refuse(500, explain.EnhancedCode{5, 5, 2}, explain.ProtocolWrongPort, "here_long", limited(strconv.Itoa(maxCommand))))
}

func (c *conn) tooMany() {
	c.sendAway(refuse(421, explain.EnhancedCode{4, 7, 0}, explain.ProtocolWrongPort, "here_errors", limited(strconv.Itoa(maxErrors))))
}

func (c *conn) sendAway(r *refusal) {
	c.quit(r.code, r.enhanced, c.server.turnAway(c, r).Title)
}

func (c *conn) end(n *notice) { c.quit(n.code, n.enhanced, n.text) }

// peer is where replies go.
func (c *conn) peer() net.Conn {
	if c.secure != nil {
		return c.secure
	}
	return c.Conn
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	c.Conn.SetWriteDeadline(time.Now().Add(c.server.set().IdleTimeout))
	_, err := c.peer().Write(c.out)
	c.out = c.out[:0]
	return err
}

// lastWords bounds the write of what is left to say when a session ends.
const lastWords = 2 * time.Second

// Close writes what is left to say and ends the connection.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.dead = true
		if len(c.out) > 0 {
			c.Conn.SetWriteDeadline(time.Now().Add(lastWords))
			c.peer().Write(c.out)
		}
		c.server.gate.leave(c) // before the client can know: its place is free when it sees the end
		err = c.peer().Close()
		c.r, c.w = 0, 0
		c.releaseBig()
		c.server.leave(c)
	})
	return err
}
