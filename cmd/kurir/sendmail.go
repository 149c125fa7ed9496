package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"

	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/relay/drop"
	"kurir/upstream/envelope"
)

// Exit codes of sysexits.h that only sendmail has.
const (
	exitData         = 65
	exitNoUser       = 67
	exitTemporary    = 75
	exitNoPermission = 77
)

// What a message may have that is left for a relay of unknown limits, and how
// many recipients: as many as every relay takes (RFC 5321, section 4.5.3.1.8).
const (
	leftSize       = 50_000_000
	leftRecipients = 100
)

// sendmailCommand is "kurir sendmail", and the program under the name of
// sendmail. It ends with 0 only when the relay has said 250, or the message
// is durable in the drop directory.
func sendmailCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(code int, err error) int { return complain(stderr, code, fmt.Errorf("sendmail: %w", err)) }
	o, err := parseSendmailOptions(args)
	if err != nil {
		return fail(exitUsage, err)
	}
	c := config.LoadOutside(config.Options{Environ: os.Environ()})
	switch o.mode {
	case "i":
		return newAliases(stdout)
	case "p":
		return printQueue(c, stdout, stderr)
	case "s":
		return speakSMTP(c, stdin, stdout, stderr)
	}
	input, err := readContent(stdin, o.wholeInput)
	defer input.close()
	if errors.Is(err, errContentTooLarge) {
		return fail(exitData, err)
	}
	if err != nil {
		return fail(exitTemporary, err)
	}
	l, err := newLetter(o, input)
	if err != nil {
		return fail(exitData, err)
	}
	p := postman{config: c, trace: io.Discard}
	if o.verbose {
		p.trace = stdout
	}
	if code, err := p.post(l); err != nil {
		return fail(code, err)
	}
	return exitOK
}

// describeSendmail declares, for help and manual, the options that mean
// something here; parseSendmailOptions reads them, as getopt would.
func describeSendmail(flags *flag.FlagSet) action {
	flags.Bool("t", false, "take the recipients from To, Cc and Bcc")
	flags.Bool("i", false, "do not take a line with only a dot for the end")
	flags.String("f", "", "the `ADDRESS` that is the reverse-path; \"\" is the null path")
	flags.String("F", "", "the `NAME` for a From field, if the message has none")
	flags.Bool("v", false, "show the session with the relay")
	flags.String("b", "", "send (m), speak SMTP on standard input (s), print the queue (p), or do nothing (i): `m|s|p|i`")
	flags.String("N", "", "`WHEN` the sender is notified: never, or some of success,failure,delay")
	flags.String("R", "", "how much of the message a notification returns: `full|hdrs`")
	flags.String("V", "", "the `ENVID` that a notification names")
	return nil
}

// newAliases is the program under the name of newaliases.
func newAliases(stdout io.Writer) int {
	fmt.Fprintln(stdout, "newaliases: there is nothing to do: aliases are in kurir.toml, below [rewrite]")
	return exitOK
}

// printQueue prints what "kurir queue list" does.
func printQueue(c *config.Config, stdout, stderr io.Writer) int {
	k := &clerk{name: "mailq", stdout: stdout, stderr: stderr, config: c, client: control.NewClient(c.ControlSockets())}
	return k.list(context.Background())
}

// speakSMTP lets the caller speak with the relay itself.
func speakSMTP(c *config.Config, stdin io.Reader, stdout, stderr io.Writer) int {
	conn, err := dialRelay(c.Listen.SMTP)
	if err != nil {
		fmt.Fprint(stdout, "421 4.3.2 Kurir does not run here, try again later\r\n")
		return complain(stderr, exitTemporary, fmt.Errorf("sendmail: %w", err))
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, stdin)
		if half, ok := conn.(patientConn).Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(stdout, conn); err != nil {
		return complain(stderr, exitTemporary, fmt.Errorf("sendmail: %w", err))
	}
	return exitOK
}

// newLetter makes a letter of what the caller said and wrote.
func newLetter(o *sendmailOptions, input *content) (letter, error) {
	h, err := readHeader(input.from(0))
	if err != nil {
		return letter{}, err
	}
	var to []string
	for _, arg := range o.to {
		found, err := addresses(arg)
		if err != nil {
			return letter{}, err
		}
		to = append(to, found...)
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
	if from == "" {
		from = c.path
	}
	for _, other := range []string{os.Getenv("NAME"), c.name} {
		if name == "" {
			name = other
		}
	}
	name = strings.TrimSpace(strings.Map(dropControls, name))
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

// A postman brings letters to the relay.
type postman struct {
	config *config.Config
	trace  io.Writer
}

// post hands a letter in, or leaves it where the relay will find it. The exit
// code says what the error means.
func (p postman) post(l letter) (code int, err error) {
	all := len(l.env.To)
	l.env.To, err = p.hand(l)
	var no *rebuff
	switch {
	case err == nil:
		return exitOK, nil
	case errors.As(err, &no) && no.permanent():
		code = no.exitCode()
	default:
		code = exitTemporary
		if l.env.To, err = p.leave(l, describe(err)); err == nil {
			return exitOK, nil
		}
	}
	if sent := all - len(l.env.To); sent > 0 {
		return code, fmt.Errorf("%d of %d recipients get the message, the others do not: %w", sent, all, err)
	}
	return code, fmt.Errorf("the message is not sent: %w", err)
}

// hand hands a letter in, and tells who is left when that does not work.
func (p postman) hand(l letter) (left []envelope.Recipient, err error) {
	conn, err := dialRelay(p.config.Listen.SMTP)
	if err != nil {
		return l.env.To, err
	}
	defer conn.Close()
	d, err := greet(conn, p.trace)
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
func (p postman) leave(l letter, why error) (left []envelope.Recipient, err error) {
	dir := p.config.DropDir()
	most := int64(leftSize)
	if limit := int64(p.config.Listen.MaxMessageSize); limit > 0 {
		most = limit
	}
	if l.size > most {
		return l.env.To, fmt.Errorf("%w\nand with %d octets it is too large to be left in %s for later", why, l.size, dir)
	}
	for left = l.env.To; len(left) > 0; left = left[len(l.env.To):] {
		l.env.To = left[:min(len(left), leftRecipients)]
		if err := drop.Put(dir, l.env, l.open()); err != nil {
			return left, fmt.Errorf("%w\nand it cannot be left in %s for later: %w", why, dir, err)
		}
	}
	fmt.Fprintf(p.trace, "left in %s, for Kurir to send it later: %v\n", dir, why)
	return nil, nil
}

// describe says in plain words that no relay answers.
func describe(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("no relay answers: %w", err)
	}
	return err
}
