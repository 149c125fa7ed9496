package sandbox

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"kurir/upstream/explain"
)

// maxLine bounds a command; an initial response of AUTH may need 12288
// octets (RFC 4954, section 4).
const maxLine = 16 << 10

// patience is the least that RFC 5321, section 4.5.3.2.7 wants of a server.
const patience = 5 * time.Minute

// errEnd ends a session without a word more; errQuit ends it as agreed.
var (
	errEnd  = errors.New("the session ends here")
	errQuit = errors.New("the client said QUIT")
)

// A session is one connection.
type session struct {
	ctx  context.Context
	srv  *Server
	port *port
	raw  net.Conn // below TLS
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer

	secure *tls.ConnectionState // nil in the clear
	client string               // the name in EHLO or HELO; "" before it
	offer  []string             // what EHLO offered
	authed bool
	trans  *transaction // nil outside of one
}

func newSession(ctx context.Context, srv *Server, p *port, conn net.Conn) *session {
	s := &session{ctx: ctx, srv: srv, port: p, raw: conn}
	s.speakOver(conn)
	return s
}

func (s *session) speakOver(conn net.Conn) {
	s.conn = conn
	s.r = bufio.NewReaderSize(conn, maxLine)
	s.w = bufio.NewWriter(conn)
}

func (s *session) run() {
	b := s.port.current()
	if b.Protocol == HTTP {
		s.answerLikeWeb()
		return
	}
	defer s.forget()
	encrypted := s.port.mode == explain.Implicit
	if b.Protocol == TLS || b.Protocol == Plain {
		encrypted = b.Protocol == TLS
	}
	if encrypted && s.handshake() != nil {
		return
	}
	err := s.greet()
	for err == nil {
		var line string
		if line, err = s.readLine(); err == nil {
			err = s.command(line)
		}
	}
	s.w.Flush()
	if errors.Is(err, errQuit) {
		s.conn.Close() // with the farewell of TLS, unlike the end that others get
	}
}

// answerLikeWeb lets the client speak first only where it would: with TLS
// from the first byte.
func (s *session) answerLikeWeb() {
	if s.port.mode == explain.Implicit {
		s.r.Peek(1)
	}
	io.WriteString(s.raw, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	if c, ok := s.raw.(*net.TCPConn); ok {
		c.CloseWrite()
	}
	io.Copy(io.Discard, s.r) // closing with octets unread would take the answer back
}

func (s *session) handshake() error {
	if act := s.at(explain.StageTLS); act != (Act{}) {
		if err := s.say(act, ""); err != nil || act.prevents() {
			return errEnd
		}
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	b := s.port.current()
	config := s.srv.tls.Clone()
	config.Certificates = []tls.Certificate{s.srv.certs[b.Certificate]}
	config.MaxVersion = b.MaxTLS
	if b.MaxTLS != 0 && b.MaxTLS < tls.VersionTLS12 {
		config.MinVersion = tls.VersionTLS10
	}
	// A resumed session shows no certificate, so a bad one would go unseen.
	config.SessionTicketsDisabled = b.Certificate != Good
	conn := tls.Server(s.raw, config)
	if err := conn.HandshakeContext(s.ctx); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	state := conn.ConnectionState()
	s.srv.count(func(st *Stats) {
		st.Handshakes++
		if state.DidResume {
			st.Resumptions++
		}
	})
	s.secure = &state
	s.client, s.offer, s.authed = "", nil, false // RFC 3207, section 4.2
	s.forget()
	s.speakOver(conn)
	return nil
}

func (s *session) greet() error {
	act := s.at(explain.StageGreeting)
	if err := s.say(act, "220 "+s.srv.opts.Hostname+" ESMTP Kurir sandbox"); err != nil {
		return err
	}
	if act.prevents() {
		return errEnd
	}
	return nil
}

// at is what the behaviour wants at a stage, as it is now.
func (s *session) at(stage explain.Stage) Act {
	return s.port.current().Script[stage]
}

// say gives a reply, the honest one or what the act has instead. An error
// ends the session.
func (s *session) say(act Act, honest string) error {
	if act.Delay > 0 {
		s.w.Flush()
		timer := time.NewTimer(act.Delay)
		defer timer.Stop()
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-timer.C:
		}
	}
	switch act.End {
	case HangUp, HangUpNow:
		return errEnd
	case Silence:
		s.w.Flush()
		s.conn.SetReadDeadline(time.Time{})
		io.Copy(io.Discard, s.r)
		return errEnd
	}
	text := cmp.Or(act.Reply, honest)
	if text != "" {
		s.w.WriteString(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
	}
	s.w.WriteString(act.Inject)
	if act.End == HangAfter || strings.HasPrefix(text, "421") {
		return errEnd
	}
	return nil
}

func (s *session) reply(text string) error { return s.say(Act{}, text) }

// readLine reads a command. Replies are held back while further commands
// are here already, as RFC 2920, section 3.2 wants.
func (s *session) readLine() (string, error) {
	if s.r.Buffered() == 0 {
		if err := s.w.Flush(); err != nil {
			return "", err
		}
	}
	s.conn.SetReadDeadline(time.Now().Add(cmp.Or(s.port.current().Idle, patience)))
	line, err := s.r.ReadSlice('\n')
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", s.reply("421 4.4.2 " + s.srv.opts.Hostname + " has waited long enough, closing connection")
	case errors.Is(err, bufio.ErrBufferFull):
		s.reply("500 5.5.2 The line is too long")
		return "", errEnd
	case err != nil:
		return "", err
	case len(line) < 2 || line[len(line)-2] != '\r':
		s.reply("500 5.5.2 A line has to end in CR LF")
		return "", errEnd
	}
	return string(line[:len(line)-2]), nil
}

func (s *session) command(line string) error {
	verb, args, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	if s.r.Buffered() > 0 && verb != "BDAT" && !s.mayPipeline(verb) {
		s.reply("503 5.5.0 Nothing may be pipelined behind " + verb + " here")
		return errEnd
	}
	switch verb {
	case "EHLO", "HELO":
		return s.hello(verb, args)
	case "STARTTLS":
		return s.starttls(args)
	case "AUTH":
		return s.auth(args)
	case "MAIL":
		return s.mail(args)
	case "RCPT":
		return s.rcpt(args)
	case "DATA":
		return s.data(args)
	case "BDAT":
		return s.bdat(args)
	case "RSET":
		s.forget()
		return s.reply("250 2.0.0 OK")
	case "NOOP":
		return s.reply("250 2.0.0 OK")
	case "VRFY":
		return s.reply("252 2.0.0 Send some mail, and see")
	case "QUIT":
		s.reply("221 2.0.0 Bye")
		return errQuit
	}
	return s.reply("500 5.5.1 Unknown command")
}

// mayPipeline is the rule of RFC 2920, section 3.1, and of the offer.
func (s *session) mayPipeline(verb string) bool {
	return s.offers("PIPELINING") &&
		!slices.Contains([]string{"EHLO", "HELO", "STARTTLS", "AUTH", "DATA", "VRFY", "QUIT", "NOOP"}, verb)
}

func (s *session) offers(keyword string) bool {
	return slices.ContainsFunc(s.offer, func(line string) bool {
		first, _, _ := strings.Cut(line, " ")
		return first == keyword
	})
}

func (s *session) hello(verb, name string) error {
	if name == "" || strings.ContainsAny(name, " \t") {
		return s.reply("501 5.5.4 " + verb + " wants one name")
	}
	act := s.at(explain.StageEHLO)
	if act.prevents() {
		return s.say(act, "")
	}
	s.forget()
	s.client, s.offer = name, nil
	if verb == "HELO" {
		return s.say(act, "250 "+s.srv.opts.Hostname)
	}
	b := s.port.current()
	all := []string{"PIPELINING", "8BITMIME", fmt.Sprintf("SIZE %d", s.srv.opts.Size),
		"ENHANCEDSTATUSCODES", "CHUNKING", "DSN", "SMTPUTF8"}
	if s.secure == nil {
		all = append(all, "STARTTLS")
	} else if mechanisms := b.mechanisms(); len(mechanisms) > 0 {
		all = append(all, "AUTH "+strings.Join(mechanisms, " "))
	}
	for _, line := range all {
		if keyword, _, _ := strings.Cut(line, " "); !b.without(keyword) {
			s.offer = append(s.offer, line)
		}
	}
	lines := append([]string{s.srv.opts.Hostname + " greets " + name}, s.offer...)
	last := len(lines) - 1
	for i := range lines[:last] {
		lines[i] = "250-" + lines[i]
	}
	lines[last] = "250 " + lines[last]
	return s.say(act, strings.Join(lines, "\n"))
}

func (s *session) starttls(args string) error {
	switch {
	case s.secure != nil:
		return s.reply("503 5.5.1 TLS is on already")
	case !s.offers("STARTTLS"):
		return s.reply("502 5.5.1 STARTTLS is not offered")
	case args != "":
		return s.reply("501 5.5.4 STARTTLS has no parameters")
	}
	act := s.at(explain.StageSTARTTLS)
	if err := s.say(act, "220 2.0.0 Ready for TLS"); err != nil || act.prevents() {
		return err
	}
	return s.handshake()
}
