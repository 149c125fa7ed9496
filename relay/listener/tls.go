package listener

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"kurir/upstream/explain"
)

// handshakeTime bounds a TLS handshake, if Settings.IdleTimeout does not.
const handshakeTime = 30 * time.Second

// startTLS serves STARTTLS (RFC 3207).
func (c *conn) startTLS(arg []byte) string {
	switch {
	case c.server.set().TLS == nil:
		c.reply(502, explain.EnhancedCode{5, 5, 1}, "No encryption is offered here: switch TLS off in the app")
		return ""
	case c.secure != nil:
		c.reply(503, explain.EnhancedCode{5, 5, 1}, "TLS has been started")
		return ""
	case len(arg) > 0:
		c.reply(501, explain.EnhancedCode{5, 5, 4}, "STARTTLS has no parameters")
		return ""
	}
	c.reply(220, explain.EnhancedCode{2, 0, 0}, "Start TLS")
	c.r, c.w = 0, 0 // what came before the handshake may be anybody's (RFC 3207, section 6)
	if err := c.flush(); err != nil || !c.handshake() {
		c.dead = true
		return ""
	}
	c.esmtp, c.signedIn = false, false
	c.swallow = true // whatever was begun in the clear is forgotten
	return "RSET\r\n"
}

// handshake makes the connection one over TLS, or tells the log why not. The
// client counts as idle meanwhile.
func (c *conn) handshake() bool {
	secure := tls.Server(c.Conn, c.server.set().TLS)
	c.mu.Lock()
	if c.notice.Load() != nil {
		c.mu.Unlock()
		return false
	}
	c.waiting, c.since = true, time.Now()
	c.Conn.SetDeadline(c.since.Add(min(handshakeTime, c.server.set().IdleTimeout)))
	c.mu.Unlock()

	err := secure.Handshake()

	c.mu.Lock()
	c.waiting = false
	c.mu.Unlock()
	if err != nil {
		c.server.handshakeFailed(c, err)
		return false
	}
	c.Conn.SetDeadline(time.Time{})
	c.secure = secure
	c.in = c.input(secure)
	return true
}

// handshakeFailed tells of a client whose handshake failed, unless it just went.
func (s *Server) handshakeFailed(c *conn, err error) {
	var header tls.RecordHeaderError
	switch {
	case c.notice.Load() != nil: // we ended it
	case errors.As(err, &header), errors.Is(err, os.ErrDeadlineExceeded):
		s.turnAway(c, refuse(0, explain.EnhancedCode{}, explain.ProtocolWrongPort, "here_plain"))
	case strings.Contains(err.Error(), "certificate"): // an alert has no type of its own
		s.turnAway(c, refuse(0, explain.EnhancedCode{}, explain.TLSCertificateUntrusted, "here", faulty(err)))
	case errors.Is(err, io.EOF):
		s.log.lost(c.client, err)
	default:
		s.turnAway(c, refuse(0, explain.EnhancedCode{}, explain.TLSVersion, "here", faulty(err)))
	}
}
