package listener

import (
	"errors"
	"io"
	"strconv"

	"github.com/emersion/go-smtp"

	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A session is one client's dialogue, called by go-smtp from one goroutine.
// What a command said stands in conn.command; go-smtp's arguments say nothing.
type session struct {
	server *Server
	conn   *conn

	env  envelope.Envelope
	utf8 charset
}

// Replies to what is taken.
const (
	replySender    = "250 2.1.0 Sender taken\r\n"
	replyRecipient = "250 2.1.5 Recipient taken\r\n"
)

// Mail begins a transaction.
func (s *session) Mail(string, *smtp.MailOptions) error {
	cmd := &s.conn.command
	if s.conn.open.Load() {
		return smtpError(503, explain.EnhancedCode{5, 5, 1}, "A message has been begun: send it, or RSET", asciiOnly)
	}
	if cmd.refusal != nil {
		return s.refuse(explain.StageMail, cmd.refusal)
	}
	if limit := s.server.opts.MaxMessageSize(); limit > 0 && cmd.size > limit {
		return s.refuse(explain.StageMail, tooLarge("here", limit))
	}
	if err := s.server.opts.Spool.Space(cmd.size); err != nil {
		return s.refuse(explain.StageMail, spoolRefusal(err))
	}
	s.env = envelope.Envelope{From: cmd.path, UTF8: !cmd.path.IsASCII(), Return: cmd.ret, ID: cmd.id}
	if cmd.utf8 {
		s.utf8 = utf8Too
	}
	s.conn.open.Store(true)
	s.conn.instead = replySender
	return nil
}

// Rcpt adds a recipient.
func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	cmd := &s.conn.command
	if cmd.refusal != nil {
		return s.refuse(explain.StageRcpt, cmd.refusal)
	}
	if len(s.env.To) >= s.server.set().MaxRecipients {
		// RFC 5321, section 4.5.3.1.10: the client sends the rest in another transaction
		return s.refuse(explain.StageRcpt, refuse(452, explain.EnhancedCode{4, 5, 3}, explain.LimitRecipients, "here",
			limited(strconv.Itoa(s.server.set().MaxRecipients))))
	}
	s.env.To = append(s.env.To, envelope.Recipient{To: cmd.path, Notify: cmd.notify, Original: cmd.original})
	s.env.UTF8 = s.env.UTF8 || !cmd.path.IsASCII()
	s.conn.instead = replyRecipient
	return nil
}

// Data takes the message and tells what has become of it.
func (s *session) Data(io.Reader) error {
	c := s.conn
	draft, w, err := s.server.begin(s.env, c.client, s.origin(), s.protocol())
	if err != nil {
		if lost := c.copyContent(closedDoor{err}, 0); lost != nil {
			err = lost
		}
		return s.contentError(err)
	}
	ours := true
	defer func() {
		if ours {
			draft.Close()
		}
	}()
	defer w.Release()
	err = c.copyContent(w, s.server.opts.MaxMessageSize())
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return s.contentError(err)
	}
	if err := c.flush(); err != nil { // the replies before this one need not wait for Submit
		s.server.log.lost(c.client, err)
	}
	ours = false
	draft.MessageID, draft.Subject = w.Header().MessageID, w.Header().Subject
	return s.answer(s.server.opts.Submit(s.server.ctx, draft))
}

// A closedDoor is where a message goes that there is no draft for.
type closedDoor struct{ err error }

func (d closedDoor) Write([]byte) (int, error) { return 0, d.err }

// answer puts what Submit said into a reply.
func (s *session) answer(a queue.Answer) error {
	if a.Code/100 == 2 {
		s.conn.errors = 0
		a.Code = 250
	}
	if a.Code != 250 && (a.Code < 400 || a.Code > 599) {
		a = queue.Answer{Code: 451, Text: "Internal error, send it again later"}
	}
	if a.Enhanced[0] != a.Code/100 {
		a.Enhanced = explain.EnhancedCode{a.Code / 100, 0, 0}
	}
	return smtpError(a.Code, a.Enhanced, a.Text, s.utf8)
}

// contentError answers for a message that did not get as far as Submit.
func (s *session) contentError(err error) error {
	switch {
	case errors.Is(err, errAborted), errors.Is(err, errBroken): // nobody reads this
		return smtpError(451, explain.EnhancedCode{4, 0, 0}, "Given up", asciiOnly)
	case errors.Is(err, errLost):
		s.server.log.lost(s.conn.client, err)
		return smtpError(451, explain.EnhancedCode{4, 4, 2}, "Connection lost", asciiOnly)
	case errors.Is(err, errDismissed):
		return s.refuse(explain.StageDot, crowded("here", s.server.set().MaxConnections))
	case errors.Is(err, errStalled):
		text := "here_stalled"
		if s.conn.loneDot() {
			text = "here_dot"
		}
		return s.refuse(explain.StageDot, refuse(451, explain.EnhancedCode{4, 4, 2}, explain.MessageMalformed, text,
			limited(s.server.set().IdleTimeout.String())))
	}
	return s.refuse(explain.StageDot, s.server.contentRefusal(err))
}

func tooLarge(text string, limit int64) *refusal {
	return refuse(552, explain.EnhancedCode{5, 3, 4}, explain.MessageTooLarge, text, limited(octets(limit)))
}

func spoolRefusal(err error) *refusal {
	if errors.Is(err, spool.ErrFull) {
		return refuse(452, explain.EnhancedCode{4, 3, 1}, explain.SpoolFull, "here")
	}
	return refuse(451, explain.EnhancedCode{4, 3, 0}, explain.ServerError, "here", faulty(err))
}

// refuse tells the log and returns the reply.
func (s *session) refuse(stage explain.Stage, r *refusal) error {
	x := s.server.refuse(stage, s.conn.client, s.env, r)
	return smtpError(r.code, r.enhanced, x.Title, s.utf8)
}

// origin is how Received names the app. The name it gave and the address it
// has are nobody's business outside; a domain there must be (RFC 5321, 4.4).
func (s *session) origin() string {
	if s.conn.local() {
		return localOrigin
	}
	return "app (local network)"
}

// protocol is the "with" of Received (RFC 3848, RFC 6531).
func (s *session) protocol() string {
	with := "SMTP"
	switch {
	case s.env.UTF8:
		with = "UTF8SMTP"
	case s.conn.esmtp:
		with = "ESMTP"
	}
	if s.conn.esmtp && s.conn.secure != nil {
		with += "S"
	}
	if s.conn.esmtp && s.conn.signedIn {
		with += "A"
	}
	return with
}

// Reset ends the transaction.
func (s *session) Reset() {
	s.env, s.utf8 = envelope.Envelope{}, asciiOnly
	s.conn.open.Store(false)
}

// Logout ends the session.
func (s *session) Logout() error { return nil }
