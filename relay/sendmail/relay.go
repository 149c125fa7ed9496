package sendmail

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	"kurir/upstream/envelope"
)

const (
	dialTime  = 5 * time.Second
	replyTime = 5 * time.Minute // RFC 5321, section 4.5.3.2
	quitTime  = 5 * time.Second
)

// dialRelay connects to the first address where something answers. Those with
// TLS are for the network, and not for us.
func dialRelay(addrs []string) (net.Conn, error) {
	var errs []error
	for _, network := range []string{"unix", "tcp"} {
		for _, addr := range addrs {
			path, isUnix := strings.CutPrefix(addr, "unix:")
			if isUnix != (network == "unix") || strings.Contains(addr, "://") {
				continue
			}
			conn, err := net.DialTimeout(network, path, dialTime)
			if err == nil {
				return patientConn{conn}, nil
			}
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil, errors.New("listen.smtp has no address that takes mail without TLS")
	}
	return nil, errors.Join(errs...)
}

// A patientConn waits so long for each step, and not longer.
type patientConn struct{ net.Conn }

func (c patientConn) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(replyTime))
	return c.Conn.Read(p)
}

func (c patientConn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(replyTime))
	return c.Conn.Write(p)
}

// A rebuff is what the relay said instead of yes, and to what.
type rebuff struct {
	what      string
	recipient bool // it was a recipient
	code      int
	text      string // with the enhanced status codes
}

func (r *rebuff) Error() string {
	return fmt.Sprintf("Kurir refused %s:\n%d %s", r.what, r.code, strings.ReplaceAll(r.text, "\n", fmt.Sprintf("\n%d ", r.code)))
}

// permanent tells whether the same would be refused again.
func (r *rebuff) permanent() bool { return r.code/100 == 5 }

// exitCode is the one of sysexits.h that says the same.
func (r *rebuff) exitCode() int {
	enhanced, _, _ := strings.Cut(r.text, " ")
	class, subject, _ := strings.Cut(enhanced, ".")
	switch {
	case class != "5":
	case strings.HasPrefix(subject, "1.") && r.what == sender:
		return ExitData
	case strings.HasPrefix(subject, "1."):
		return ExitNoUser
	case strings.HasPrefix(subject, "7."):
		return ExitNoPermission
	case subject == "3.4", strings.HasPrefix(subject, "6."):
		return ExitData
	}
	if r.recipient && (r.code == 550 || r.code == 553) {
		return ExitNoUser
	}
	return ExitUnavailable
}

// A dialogue is an SMTP session with the relay.
type dialogue struct {
	conn    net.Conn
	text    *textproto.Conn
	trace   io.Writer // gets all but the content
	offered map[string]bool
}

const sender = "the sender"

// greet begins a session. Of an error nothing needs to be closed but conn.
func greet(conn net.Conn, trace io.Writer) (*dialogue, error) {
	d := &dialogue{conn: conn, text: textproto.NewConn(conn), trace: trace, offered: map[string]bool{}}
	if _, err := d.reply(220, "the connection"); err != nil {
		return nil, err
	}
	hello, err := d.command(250, "the connection", "EHLO localhost")
	for line := range strings.Lines(hello) {
		keyword, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		d.offered[strings.ToUpper(keyword)] = true
	}
	return d, err
}

func (d *dialogue) command(want int, what, line string) (string, error) {
	fmt.Fprintln(d.trace, ">>>", line)
	if err := d.text.PrintfLine("%s", line); err != nil {
		return "", err
	}
	return d.reply(want, what)
}

func (d *dialogue) reply(want int, what string) (string, error) {
	code, text, err := d.text.ReadResponse(want)
	var said *textproto.Error
	if err == nil || errors.As(err, &said) {
		for line := range strings.Lines(text) {
			fmt.Fprintln(d.trace, code, strings.TrimRight(line, "\n"))
		}
	}
	if said != nil {
		return "", &rebuff{what: what, code: said.Code, text: said.Msg}
	}
	return text, err
}

// A letter is a message as sendmail hands it in.
type letter struct {
	env      envelope.Envelope
	size     int64
	eightBit bool
	open     func() io.Reader // the content, with line ends of any kind
}

// send hands a letter in. The relay may want some of the recipients in
// another transaction (RFC 5321, section 4.5.3.1.10): these are left. After
// an error it has taken nothing.
func (d *dialogue) send(l letter) (left []envelope.Recipient, err error) {
	offers := func(keyword string) bool { return d.offered[keyword] }
	if _, err := d.command(250, sender, l.env.MailCommand(offers, l.size, l.eightBit)); err != nil {
		return nil, err
	}
	for i, to := range l.env.To {
		_, err := d.command(25, "the recipient "+to.To.String(), to.RcptCommand(offers))
		var no *rebuff
		switch {
		case err == nil:
			continue
		case !errors.As(err, &no):
			return nil, err
		case i > 0 && no.code == 452:
			left = l.env.To[i:]
		default:
			no.recipient = true
			_, _ = d.command(250, "", "RSET")
			return nil, no
		}
		break
	}
	if _, err := d.command(354, "the message", "DATA"); err != nil {
		return nil, err
	}
	w := d.text.DotWriter()
	if _, err := io.Copy(w, l.open()); err != nil {
		return nil, err
	}
	fmt.Fprintln(d.trace, ">>> .")
	if err := w.Close(); err != nil {
		return nil, err
	}
	_, err = d.reply(250, "the message")
	return left, err
}

// quit ends the session; what was sent is sent, whatever comes of it.
func (d *dialogue) quit() {
	stop := time.AfterFunc(quitTime, func() { _ = d.conn.Close() })
	defer stop.Stop()
	_, _ = d.command(221, "", "QUIT")
}
