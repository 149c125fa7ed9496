package listener

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// tlsHandshake is the first octet of a TLS client.
const tlsHandshake = 0x16

// A command is what the last MAIL or RCPT said. The session reads it here:
// go-smtp is told that there was such a command and nothing of it.
type command struct {
	path    envelope.Path
	refusal *refusal // what is wrong with it, if anything

	size     int64 // of MAIL; 0 if it did not say
	utf8     bool  // the client reads UTF-8 in replies
	ret, id  string
	notify   string
	original string
}

// What go-smtp reads in place of the client's lines.
const (
	feedHELO = "HELO client\r\n"
	feedEHLO = "EHLO client\r\n"
	feedMAIL = "MAIL FROM:<>\r\n"
	feedRCPT = "RCPT TO:<a@client.invalid>\r\n"
	feedDATA = "DATA\r\n"
	feedEnd  = ".\r\n" // the content has been read by other means
)

// interpret turns a line into what go-smtp is to read for it; "" when it has
// been answered here.
func (c *conn) interpret(line []byte) string {
	line = bytes.Trim(line, " \t\r")
	if c.commands == 1 && isForeign(line) {
		// What follows is headers and a body of somebody else's making.
		text := "here_foreign"
		if bytes.Contains(line, []byte(" HTTP/")) {
			text = "here_http"
		}
		c.server.turnAway(c, refuse(0, explain.EnhancedCode{}, explain.ProtocolWrongPort, text))
		c.dead = true
		return ""
	}
	for _, b := range line {
		if (b < ' ' && b != '\t') || b == 0x7f {
			c.reply(501, explain.EnhancedCode{5, 5, 2}, "A command has no control characters")
			return ""
		}
	}
	verb, arg := line, []byte(nil)
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		verb, arg = line[:i], bytes.TrimLeft(line[i:], " \t")
	}
	switch strings.ToUpper(string(verb)) {
	case "HELO":
		c.esmtp = false
		c.instead = "250 " + c.server.opts.Hostname + "\r\n"
		return feedHELO
	case "EHLO":
		c.esmtp = true
		c.instead = c.greeting()
		return feedEHLO
	case "MAIL":
		c.command = parseMail(string(arg), c.server.opts.Hostname)
		return feedMAIL
	case "RCPT":
		c.command = parseRcpt(string(arg), c.server.opts.Hostname)
		return feedRCPT
	case "DATA":
		if len(arg) == 0 {
			return feedDATA
		}
		c.reply(501, explain.EnhancedCode{5, 5, 4}, "DATA has no parameters")
	case "BDAT":
		if c.port.LegacyLineEnds { // octets that were put in would be counted
			c.quit(502, explain.EnhancedCode{5, 5, 1}, "Not offered here; closing, as a chunk follows")
			return ""
		}
		var ok bool
		if c.chunk, ok = parseChunk(string(arg)); ok {
			return feedDATA
		}
		c.badChunk()
	case "RSET":
		return "RSET\r\n"
	case "NOOP":
		return "NOOP\r\n"
	case "VRFY":
		return "VRFY\r\n"
	case "EXPN": // RFC 5321, section 3.5.3
		c.reply(502, explain.EnhancedCode{5, 5, 1}, "There are no lists here")
	case "QUIT":
		return "QUIT\r\n"
	case "HELP":
		c.reply(214, explain.EnhancedCode{2, 0, 0},
			"A relay for the apps of this host: HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT")
	case "AUTH":
		c.signIn(string(arg))
	case "STARTTLS":
		return c.startTLS(arg)
	case "":
		c.reply(500, explain.EnhancedCode{5, 5, 2}, "An empty line is no command")
	default:
		c.reply(500, explain.EnhancedCode{5, 5, 2}, "Command not known")
	}
	return ""
}

// isForeign tells whether the first line of a client is that of another
// protocol: a person who mistypes a command writes letters.
func isForeign(line []byte) bool {
	for _, protocol := range []string{" HTTP/", " RTSP/", " SIP/"} {
		if bytes.Contains(line, []byte(protocol)) {
			return true
		}
	}
	verb, _, _ := bytes.Cut(line, []byte(" "))
	for _, b := range verb {
		if b|0x20 < 'a' || b|0x20 > 'z' {
			return true
		}
	}
	return false
}

// greeting is the reply to EHLO: nothing that an app might fail on.
func (c *conn) greeting() string {
	s := c.server
	size := "SIZE"
	if n := s.opts.MaxMessageSize(); n > 0 {
		size = "SIZE " + strconv.FormatInt(n, 10)
	}
	more := ""
	if !c.port.LegacyLineEnds {
		more += "250-CHUNKING\r\n"
	}
	if s.set().TLS != nil && c.secure == nil {
		more += "250-STARTTLS\r\n"
	}
	if s.set().AnyLogin && !c.signedIn {
		more += "250-AUTH " + mechanisms + "\r\n"
	}
	return "250-" + s.opts.Hostname + "\r\n" +
		"250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n" + more +
		"250-" + size + "\r\n" +
		"250-LIMITS RCPTMAX=" + strconv.Itoa(s.set().MaxRecipients) + "\r\n" +
		"250 ENHANCEDSTATUSCODES\r\n"
}

func parseMail(arg, hostname string) (cmd command) {
	mailbox, params, ok := cutPath(arg, "FROM")
	if !ok {
		cmd.refuse(501, explain.EnhancedCode{5, 5, 2}, explain.MessageMalformed, "here_command")
		return cmd
	}
	var err error
	if cmd.path, err = parseAddress(mailbox, hostname); err != nil {
		cmd.refuse(501, explain.EnhancedCode{5, 1, 7}, explain.MessageMalformed, "here_sender", faulty(err))
		return cmd
	}
	for _, p := range strings.Fields(params) {
		key, value, _ := strings.Cut(p, "=")
		ok := true
		switch key = strings.ToUpper(key); key {
		case "SIZE":
			cmd.size, err = strconv.ParseInt(value, 10, 64)
			ok = err == nil && cmd.size >= 0
		case "SMTPUTF8":
			cmd.utf8 = true
		case "RET":
			cmd.ret = strings.ToUpper(value)
			ok = envelope.IsReturn(cmd.ret)
		case "ENVID":
			cmd.id = value
			ok = envelope.IsID(value)
		case "BODY":
			if strings.EqualFold(value, "BINARYMIME") {
				cmd.refuseParam(p)
			}
		case "REQUIRETLS", "HOLDFOR", "HOLDUNTIL", "BY":
			// To skip these is to do what the client asked us not to.
			cmd.refuseParam(key)
		}
		if !ok {
			cmd.badParam(key)
		}
	}
	return cmd
}

// parseAddress takes an address of an app. What has no domain, as "root" and
// "postmaster" (RFC 5321, section 4.1.1.3), is of this host.
func parseAddress(mailbox, hostname string) (envelope.Path, error) {
	if mailbox != "" && !strings.Contains(mailbox, "@") {
		mailbox += "@" + hostname
	}
	return envelope.ParsePath(mailbox)
}

var errNoAddress = errors.New("address is missing")

func parseRcpt(arg, hostname string) (cmd command) {
	mailbox, params, ok := cutPath(arg, "TO")
	if !ok {
		cmd.refuse(501, explain.EnhancedCode{5, 5, 2}, explain.RecipientSyntax, "here_command")
		return cmd
	}
	var err error
	if cmd.path, err = parseAddress(mailbox, hostname); err == nil && cmd.path == "" {
		err = errNoAddress
	}
	if err != nil {
		cmd.refuse(501, explain.EnhancedCode{5, 1, 3}, explain.RecipientSyntax, "here", faulty(err))
		return cmd
	}
	for _, p := range strings.Fields(params) {
		key, value, _ := strings.Cut(p, "=")
		ok := true
		switch key = strings.ToUpper(key); key {
		case "NOTIFY":
			cmd.notify = strings.ToUpper(value)
			ok = envelope.IsNotify(cmd.notify)
		case "ORCPT":
			cmd.original = value
			ok = envelope.IsOriginal(value)
		}
		if !ok {
			cmd.badParam(key)
		}
	}
	return cmd
}

func (cmd *command) refuse(code int, e explain.EnhancedCode, cause explain.Cause, text string, facts ...explain.Fact) {
	if cmd.refusal == nil { // the first thing wrong is told
		cmd.refusal = refuse(code, e, cause, text, facts...)
	}
}

func (cmd *command) badParam(key string) {
	cmd.refuse(501, explain.EnhancedCode{5, 5, 4}, explain.MessageMalformed, "here_value", explain.Fact{Name: explain.FactParameter, Value: key})
}

func (cmd *command) refuseParam(param string) {
	cmd.refuse(555, explain.EnhancedCode{5, 5, 4}, explain.MessageMalformed, "here_parameter", explain.Fact{Name: explain.FactParameter, Value: param})
}

// cutPath splits the argument of MAIL or RCPT into the mailbox, without
// brackets and source route (RFC 5321, appendix C: to be ignored), and the
// parameters. Blanks may stand where RFC 5321 has none, and the brackets may
// be missing, as many clients have it.
func cutPath(arg, keyword string) (mailbox, params string, ok bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", false
	}
	arg = strings.TrimLeft(arg[len(keyword):], " \t")
	if arg, ok = strings.CutPrefix(arg, ":"); !ok {
		return "", "", false
	}
	arg = strings.TrimLeft(arg, " \t")
	if arg == "" {
		return "", "", false
	}
	bracket := arg[0] == '<'
	if bracket {
		arg = arg[1:]
	}
	end := len(arg)
	quoted := false
scan:
	for i := 0; i < len(arg); i++ {
		switch b := arg[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case bracket && b == '>', !bracket && (b == ' ' || b == '\t'):
			end = i
			break scan
		}
	}
	mailbox = strings.Trim(arg[:end], " \t")
	switch {
	case bracket && end == len(arg):
		return "", "", false
	case bracket:
		end++
	}
	if strings.HasPrefix(mailbox, "@") {
		if i := strings.IndexByte(mailbox, ':'); i >= 0 {
			mailbox = mailbox[i+1:]
		}
	}
	params = arg[end:]
	if params != "" && params[0] != ' ' && params[0] != '\t' {
		return "", "", false
	}
	return mailbox, params, true
}

// A chunk is what a BDAT command announces (RFC 3030, section 2).
type chunk struct {
	open bool  // there is one
	left int64 // octets still to come
	last bool
}

func parseChunk(arg string) (chunk, bool) {
	words := strings.Fields(arg)
	if len(words) == 0 || len(words) > 2 || len(words) == 2 && !strings.EqualFold(words[1], "LAST") {
		return chunk{}, false
	}
	n, err := strconv.ParseUint(words[0], 10, 62)
	return chunk{open: true, left: int64(n), last: len(words) == 2}, err == nil
}

// badChunk ends the session: where the chunk ends and the next command begins
// is anybody's guess.
func (c *conn) badChunk() {
	c.chunk = chunk{}
	c.quit(501, explain.EnhancedCode{5, 5, 4}, "Say BDAT size [LAST]; closing, as the size of this chunk is not known")
}

// octets says a size to people of all languages.
func octets(n int64) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%d MB", n/1_000_000)
	case n >= 10_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d B", n)
}
