package upstreamtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"kurir/upstream/sandbox"
)

// errOver ends a dialogue that went as far as it should.
var errOver = errors.New("the dialogue is over")

// A player is the server's side of one connection.
type player struct {
	srv  *Server
	d    *dialogue
	raw  net.Conn // below TLS
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
}

func newPlayer(srv *Server, d *dialogue, conn net.Conn) *player {
	p := &player{srv: srv, d: d, raw: conn}
	p.speakOver(conn)
	return p
}

func (p *player) speakOver(conn net.Conn) {
	p.conn, p.r, p.w = conn, bufio.NewReader(conn), bufio.NewWriter(conn)
}

// play goes through the lines and reports the first that the client did not
// keep to.
func (p *player) play() {
	for _, st := range p.d.steps {
		err := p.step(st)
		switch {
		case err == nil:
			continue
		case errors.Is(err, errOver):
		case p.d.optional && isGone(err):
		default:
			p.srv.errorf(st.line, "%v", err)
		}
		return
	}
	p.farewell()
}

// A gone is a client that left, or a test that closed the server meanwhile.
type gone struct{ err error }

func (g gone) Error() string { return "the client left: " + g.err.Error() }

func isGone(err error) bool {
	_, ok := errors.AsType[gone](err)
	return ok
}

func (p *player) step(st step) error {
	switch st.kind {
	case say:
		p.w.WriteString(st.text + "\r\n")
		return nil
	case doBytes:
		p.w.WriteString(st.text)
		return nil
	}
	// What is said in a row goes out in one piece, at the latest here; a
	// client that is gone by now is noticed when it is read from.
	p.w.Flush()
	switch st.kind {
	case doTLS:
		return p.handshake()
	case doClose:
		return errOver
	case doSilence:
		defer p.closeAtEnd()()
		io.Copy(io.Discard, p.r)
		return errOver
	case expectBody:
		return p.readBody()
	case expectClose:
		if line, err := p.readLine(); err == nil {
			return fmt.Errorf("client says %q, want it to leave", line)
		}
		return errOver
	}
	return p.expect(st.text)
}

func (p *player) handshake() error {
	if p.r.Buffered() > 0 {
		return errors.New("the client speaks on before the handshake")
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{p.srv.certs[p.d.certificate]},
		MinVersion:   tls.VersionTLS10,
		MaxVersion:   p.d.version,
	}
	conn := tls.Server(p.raw, config)
	p.setDeadline()
	err := conn.Handshake()
	mustFail := p.d.certificate != sandbox.Good || p.d.version != 0 && p.d.version < tls.VersionTLS12
	switch {
	case mustFail && err == nil:
		return errors.New("the client accepts TLS that it should refuse")
	case mustFail:
		return errOver
	case err != nil:
		return gone{fmt.Errorf("in the handshake: %w", err)}
	}
	p.speakOver(conn)
	return nil
}

// setDeadline allows for patience, or for the grace at the end.
func (p *player) setDeadline() {
	p.raw.SetReadDeadline(time.Now().Add(patience))
	if p.srv.ended.Err() != nil { // asked after setting: Close may have come between
		p.raw.SetReadDeadline(time.Now().Add(grace))
	}
}

// closeAtEnd lets Close end the connection at once: nothing more is wanted
// of the client. Call what it returns when that is no longer so.
func (p *player) closeAtEnd() func() bool {
	return context.AfterFunc(p.srv.ended, func() { p.raw.Close() })
}

func (p *player) readLine() (string, error) {
	p.setDeadline()
	line, err := p.r.ReadString('\n')
	if err != nil {
		if line != "" {
			return "", fmt.Errorf("client says %q and no more: %w", line, err)
		}
		return "", gone{err}
	}
	if !strings.HasSuffix(line, "\r\n") {
		return "", fmt.Errorf("client says %q, without CR", line)
	}
	return strings.TrimSuffix(line, "\r\n"), nil
}

func (p *player) expect(pattern string) error {
	line, err := p.readLine()
	if err != nil {
		if isGone(err) {
			err = fmt.Errorf("want %q: %w", pattern, err)
		}
		return err
	}
	if !matches(pattern, line) {
		if line == "QUIT" && p.d.optional {
			p.bye()
			return errOver
		}
		return fmt.Errorf("client says %q, want %q", line, pattern)
	}
	if args, ok := strings.CutPrefix(strings.ToUpper(line), "BDAT "); ok {
		count, _, _ := strings.Cut(args, " ")
		n, err := strconv.ParseUint(count, 10, 63)
		if err != nil {
			return fmt.Errorf("client says %q, which has no size", line)
		}
		if _, err := io.CopyN(io.Discard, p.r, int64(n)); err != nil {
			return gone{err}
		}
	}
	return nil
}

func (p *player) readBody() error {
	for {
		line, err := p.readLine()
		if err != nil || line == "." {
			return err
		}
	}
}

// farewell is after the last line: QUIT and leaving are both polite, and so
// is staying until the test is over.
func (p *player) farewell() {
	p.w.Flush()
	defer p.closeAtEnd()()
	line, err := p.readLine()
	switch {
	case isGone(err):
	case err != nil:
		p.srv.errorf(p.lastLine(), "after the end: %v", err)
	case line == "QUIT":
		p.bye()
	default:
		p.srv.errorf(p.lastLine(), "after the end the client says %q", line)
	}
}

func (p *player) bye() {
	p.w.WriteString("221 2.0.0 Bye\r\n")
	p.w.Flush()
	p.conn.Close()
}

func (p *player) lastLine() int { return p.d.steps[len(p.d.steps)-1].line }

// matches compares with a pattern in which * stands for anything.
func matches(pattern, s string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for i := 0; i <= len(s); i++ {
		if matches(rest, s[i:]) {
			return true
		}
	}
	return false
}
