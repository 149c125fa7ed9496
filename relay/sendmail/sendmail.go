// Package sendmail is what programs expect of /usr/sbin/sendmail: arguments and
// a message on standard input become an envelope and content that a relay takes.
// It is on the app's side: it speaks SMTP with a relay as any app does, needs no
// right and no configuration of its own, and works for every user.
//
// Relay.Send returns nil only when the relay has said 250 to the message, or,
// while none runs, when the message is durable in the drop directory (package
// drop). Otherwise its Error has an exit code of sysexits.h.
//
// Read Parse (options.go), then Send and letter here, then what a letter is made
// of: content.go, header.go, addresses.go; relay.go hands it in.
package sendmail

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"

	"kurir/relay/drop"
	"kurir/upstream/envelope"
)

// Exit codes, which are those of sysexits.h.
const (
	ExitData         = 65
	ExitNoUser       = 67
	ExitUnavailable  = 69
	ExitTemporary    = 75
	ExitNoPermission = 77
)

// An Error is why a message is not sent, with the exit code that says so.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// A Relay is where messages are handed in.
type Relay struct {
	SMTP           []string // its addresses, as listen.smtp has them
	Drop           string   // its drop directory
	MaxMessageSize int64    // in octets; 0 = not known
}

// What a message may have that is left for a relay of unknown limits, and how
// many recipients: as many as every relay takes (RFC 5321, section 4.5.3.1.8).
const (
	leftSize       = 50_000_000
	leftRecipients = 100
)

// Send hands the message on stdin in, or leaves it for later. The session goes
// to stdout if that is wanted. Its error is an *Error.
func (to Relay) Send(o *Options, stdin io.Reader, stdout io.Writer) error {
	input, err := readContent(stdin, o.wholeInput)
	defer input.close()
	if errors.Is(err, errContentTooLarge) {
		return &Error{ExitData, err}
	}
	if err != nil {
		return &Error{ExitTemporary, err}
	}
	l, err := newLetter(o, input)
	if err != nil {
		return &Error{ExitData, err}
	}
	trace := io.Discard
	if o.verbose {
		trace = stdout
	}
	return to.post(l, trace)
}

// Speak lets the caller speak SMTP with the relay itself. Its error is an
// *Error; the caller has been told 421 when no relay answers.
func (to Relay) Speak(stdin io.Reader, stdout io.Writer) error {
	conn, err := dialRelay(to.SMTP)
	if err != nil {
		fmt.Fprint(stdout, "421 4.3.2 Kurir does not run here, try again later\r\n")
		return &Error{ExitTemporary, err}
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, stdin)
		if half, ok := conn.(patientConn).Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(stdout, conn); err != nil {
		return &Error{ExitTemporary, err}
	}
	return nil
}

// newLetter makes a letter of what the caller said and wrote.
func newLetter(o *Options, input *content) (letter, error) {
	h, err := readHeader(input.from(0))
	if err != nil {
		return letter{}, err
	}
	to, err := addresses(o.to...)
	if err != nil {
		return letter{}, err
	}
	if o.fromHeader {
		found, err := h.recipients()
		if err != nil {
			return letter{}, err
		}
		to = append(to, found...)
		h.hideBlind()
	}
	env := envelope.Envelope{Return: o.ret, ID: o.envid}
	seen := map[envelope.Path]bool{"": true}
	for _, s := range to {
		path, err := mailbox(s)
		if err != nil {
			return letter{}, err
		}
		if !seen[path] {
			env.To = append(env.To, envelope.Recipient{To: path, Notify: o.notify})
			env.UTF8 = env.UTF8 || !path.IsASCII()
		}
		seen[path] = true
	}
	if len(env.To) == 0 && o.fromHeader {
		return letter{}, errors.New("there are no recipients: the message has no address in To, Cc or Bcc")
	}
	if len(env.To) == 0 {
		return letter{}, errors.New("there are no recipients: name them, or say -t to take them from the message")
	}
	caller := whoCalls()
	env.From = caller.path
	if o.hasFrom {
		if env.From, err = mailbox(o.from); err != nil {
			return letter{}, err
		}
	}
	env.UTF8 = env.UTF8 || !env.From.IsASCII()
	if !h.has("from") {
		h.add("From: " + caller.fromField(o.name, env.From))
	}
	head, body := h.bytes(), h.length
	return letter{
		env: env, size: int64(len(head)) + input.size - body, eightBit: input.eightBit,
		open: func() io.Reader { return io.MultiReader(strings.NewReader(string(head)), input.from(body)) },
	}, nil
}

// A caller is the user who runs us.
type caller struct {
	path envelope.Path
	name string // in full
}

func whoCalls() caller {
	uid := strconv.Itoa(os.Getuid())
	c := caller{}
	login := "uid" + uid // in a container users often have no name
	if u, err := user.LookupId(uid); err == nil {
		login, c.name = u.Username, strings.ReplaceAll(u.Name, "&", u.Username)
	}
	host, _ := os.Hostname()
	for _, domain := range []string{host, "localhost"} {
		if path, err := envelope.ParsePath(login + "@" + domain); err == nil {
			c.path = path
			break
		}
	}
	return c
}

// fromField is what From says when the message does not: the name that was
// given, that of $NAME, or that of the user.
func (c caller) fromField(name string, from envelope.Path) string {
	from = cmp.Or(from, c.path)
	name = strings.TrimSpace(strings.Map(dropControls, cmp.Or(name, os.Getenv("NAME"), c.name)))
	if name == "" {
		return string(from)
	}
	if encoded := mime.QEncoding.Encode("utf-8", name); encoded != name {
		name = encoded
	} else if strings.ContainsAny(name, "()<>[]:;@\\,.\"") {
		name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	return name + " " + from.String()
}

// post hands a letter in, or leaves it where the relay will find it. trace is
// told how it went.
func (to Relay) post(l letter, trace io.Writer) (err error) {
	all := len(l.env.To)
	l.env.To, err = to.hand(l, trace)
	var no *rebuff
	code := ExitTemporary
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no) && no.permanent():
		code = no.exitCode()
	default:
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			err = fmt.Errorf("no relay answers: %w", err)
		}
		if l.env.To, err = to.leave(l, err, trace); err == nil {
			return nil
		}
	}
	if sent := all - len(l.env.To); sent > 0 {
		return &Error{code, fmt.Errorf("%d of %d recipients get the message, the others do not: %w", sent, all, err)}
	}
	return &Error{code, fmt.Errorf("the message is not sent: %w", err)}
}

// hand hands a letter in, and tells who is left when that does not work.
func (to Relay) hand(l letter, trace io.Writer) (left []envelope.Recipient, err error) {
	conn, err := dialRelay(to.SMTP)
	if err != nil {
		return l.env.To, err
	}
	defer conn.Close()
	d, err := greet(conn, trace)
	if err != nil {
		return l.env.To, err
	}
	for len(l.env.To) > 0 {
		left, err := d.send(l)
		if err != nil {
			return l.env.To, err
		}
		l.env.To = left
	}
	d.quit()
	return nil, nil
}

// leave leaves a letter in the drop directory, because of why, and tells who
// is left when that does not work.
func (to Relay) leave(l letter, why error, trace io.Writer) (left []envelope.Recipient, err error) {
	if l.size > cmp.Or(to.MaxMessageSize, leftSize) {
		return l.env.To, fmt.Errorf("%w\nand with %d octets it is too large to be left in %s for later", why, l.size, to.Drop)
	}
	for left = l.env.To; len(left) > 0; left = left[len(l.env.To):] {
		l.env.To = left[:min(len(left), leftRecipients)]
		if err := drop.Put(to.Drop, l.env, l.open()); err != nil {
			return left, fmt.Errorf("%w\nand it cannot be left in %s for later: %w", why, to.Drop, err)
		}
	}
	fmt.Fprintf(trace, "left in %s, for Kurir to send it later: %v\n", to.Drop, why)
	return nil, nil
}
