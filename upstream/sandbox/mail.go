package sandbox

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A transaction is what lies between MAIL and the end of the content.
type transaction struct {
	env    envelope.Envelope
	body   string
	dot    *Act   // what a recipient wants at the dot; nil = what the script does
	data   *Act   // and at DATA
	draft  *draft // since DATA or the first BDAT
	chunks int
}

// forget ends the transaction, if there is one, and drops its content.
func (s *session) forget() {
	if s.trans != nil && s.trans.draft != nil {
		s.trans.draft.discard()
	}
	s.trans = nil
}

// needs names the keyword that must have been offered for a parameter.
var needs = map[string]string{
	"MAIL SIZE": "SIZE", "MAIL BODY": "8BITMIME", "MAIL SMTPUTF8": "SMTPUTF8",
	"MAIL RET": "DSN", "MAIL ENVID": "DSN", "MAIL AUTH": "AUTH",
	"RCPT NOTIFY": "DSN", "RCPT ORCPT": "DSN",
}

// parse splits the arguments of MAIL and RCPT. A refusal is not "".
func (s *session) parse(verb, args, keyword string) (path envelope.Path, params map[string]string, refusal string) {
	bad := "501 5.5.4 Syntax: " + verb + " " + keyword + ":<address>"
	if len(args) < len(keyword)+2 || !strings.EqualFold(args[:len(keyword)+1], keyword+":") {
		return "", nil, bad
	}
	raw, rest, ok := cutBrackets(args[len(keyword)+1:])
	if !ok || rest != "" && rest[0] != ' ' {
		return "", nil, bad
	}
	path, err := envelope.ParsePath(raw)
	if err != nil {
		return "", nil, "501 5.1.3 Bad address syntax"
	}
	params = map[string]string{}
	for _, p := range strings.Fields(rest) {
		key, value, _ := strings.Cut(p, "=")
		key = strings.ToUpper(key)
		if need, known := needs[verb+" "+key]; !known || !s.offers(need) {
			return "", nil, "555 5.5.4 Unsupported parameter " + key
		}
		if _, twice := params[key]; twice {
			return "", nil, "501 5.5.4 Parameter " + key + " came twice"
		}
		params[key] = value
	}
	return path, params, ""
}

// cutBrackets takes <…> off the front; a quoted > does not end it.
func cutBrackets(s string) (inside, rest string, ok bool) {
	if s == "" || s[0] != '<' {
		return "", "", false
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return s[1:i], s[i+1:], true
		}
	}
	return "", "", false
}

func (s *session) mail(args string) error {
	act := s.at(explain.StageMail)
	if act.prevents() {
		return s.say(act, "")
	}
	switch {
	case s.client == "":
		return s.reply("503 5.5.1 EHLO first")
	case s.secure == nil:
		return s.reply("530 5.7.0 Must issue a STARTTLS command first")
	case !s.authed:
		return s.reply("530 5.7.0 Authentication required")
	case s.trans != nil:
		return s.reply("503 5.5.1 A transaction is open already")
	}
	from, params, refusal := s.parse("MAIL", args, "FROM")
	if refusal != "" {
		return s.reply(refusal)
	}
	if size, given := params["SIZE"]; given {
		n, err := strconv.ParseUint(size, 10, 63)
		if err != nil {
			return s.reply("501 5.5.4 SIZE wants a number")
		}
		if n > uint64(s.srv.opts.Size) {
			return s.reply(tooLarge)
		}
	}
	_, utf8 := params["SMTPUTF8"]
	if !from.IsASCII() && !utf8 {
		return s.reply(noUTF8)
	}
	s.trans = &transaction{body: strings.ToUpper(params["BODY"]), env: envelope.Envelope{
		From: from, UTF8: utf8, Return: params["RET"], ID: params["ENVID"],
	}}
	return s.say(act, "250 2.1.0 Sender OK")
}

const (
	tooLarge = "552 5.3.4 Message size exceeds fixed limit"
	noUTF8   = "553 5.6.7 A non-ASCII address needs SMTPUTF8"
)

func (s *session) rcpt(args string) error {
	t := s.trans
	if t == nil || t.draft != nil {
		return s.reply("503 5.5.1 MAIL first")
	}
	to, params, refusal := s.parse("RCPT", args, "TO")
	switch {
	case refusal != "":
		return s.reply(refusal)
	case to == "":
		return s.reply("501 5.1.3 Bad recipient address syntax")
	case !to.IsASCII() && !t.env.UTF8:
		return s.reply(noUTF8)
	case len(t.env.To) >= s.srv.opts.Recipients:
		return s.reply("452 4.5.3 Too many recipients")
	}
	act, own := s.port.current().Recipients[to]
	if !own {
		act = s.at(explain.StageRcpt)
		switch stage, wish := s.srv.wish(to); stage {
		case explain.StageRcpt:
			act = wish
		case explain.StageData:
			t.data = &wish
		case explain.StageDot:
			t.dot = &wish
		}
	}
	if act.prevents() {
		return s.say(act, "")
	}
	t.env.To = append(t.env.To, envelope.Recipient{To: to, Notify: params["NOTIFY"], Original: params["ORCPT"]})
	return s.say(act, "250 2.1.5 Recipient OK")
}

// open begins the content, on which it returns the act of the DATA stage.
// A refusal is not "".
func (s *session) open() (act Act, refusal string) {
	t := s.trans
	if t == nil || len(t.env.To) == 0 {
		return Act{}, "503 5.5.1 MAIL and RCPT first"
	}
	act = s.at(explain.StageData)
	if t.data != nil {
		act = *t.data
	}
	if act.prevents() {
		return act, ""
	}
	var err error
	if t.draft, err = s.srv.mail.begin(t.env, s.srv.opts.Size); err != nil {
		return Act{}, "452 4.3.1 Insufficient system storage"
	}
	return act, ""
}

func (s *session) data(args string) error {
	switch {
	case args != "":
		return s.reply("501 5.5.4 DATA has no parameters")
	case s.trans != nil && s.trans.draft != nil:
		return s.reply("503 5.5.1 BDAT is under way")
	}
	act, refusal := s.open()
	if refusal != "" {
		return s.reply(refusal)
	}
	if err := s.say(act, "354 Go ahead; end with <CR><LF>.<CR><LF>"); err != nil || act.prevents() {
		s.forget()
		return err
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	s.conn.SetReadDeadline(time.Now().Add(patience))
	if err := copyContent(s.trans.draft, s.r); err != nil {
		return err
	}
	return s.finish()
}

// bdat does BDAT (RFC 3030). Its octets follow whatever is replied, so they
// are read in any case.
func (s *session) bdat(args string) error {
	count, last, _ := strings.Cut(args, " ")
	n, err := strconv.ParseUint(count, 10, 63)
	if err != nil || last != "" && !strings.EqualFold(last, "LAST") {
		s.reply("501 5.5.4 Syntax: BDAT octets [LAST]")
		return errEnd // where its octets end is anybody's guess
	}
	var act Act
	refusal := ""
	switch {
	case !s.offers("CHUNKING"):
		refusal = "502 5.5.1 CHUNKING is not offered"
	case s.trans == nil || s.trans.draft == nil:
		act, refusal = s.open()
	}
	if act.End == HangUpNow || act.End == Silence {
		return s.say(act, "")
	}
	var w io.Writer = io.Discard
	if refusal == "" && !act.prevents() {
		w = s.trans.draft
	}
	s.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.CopyN(w, s.r, int64(n)); err != nil {
		return err
	}
	switch {
	case refusal != "":
		s.forget()
		return s.reply(refusal)
	case act.prevents():
		s.forget()
		return s.say(act, "")
	}
	s.trans.chunks++
	if last != "" {
		if act.End == HangUp || act.End == HangAfter {
			return errEnd
		}
		return s.finish()
	}
	return s.say(act, fmt.Sprintf("250 2.0.0 %d octets taken", n))
}

// finish judges the whole message and replies to the final dot.
func (s *session) finish() error {
	t := s.trans
	defer s.forget()
	act := s.at(explain.StageDot)
	if t.dot != nil {
		act = *t.dot
	}
	if act.prevents() {
		return s.say(act, "")
	}
	ends := t.draft.ends
	switch {
	case errors.Is(t.draft.err, errTooLarge):
		return s.reply(tooLarge)
	case t.draft.err != nil:
		return s.reply("452 4.3.1 Insufficient system storage")
	case ends.bare || ends.prev == '\r':
		return s.reply("550 5.6.11 The content has a bare CR or LF")
	}
	msg := Message{
		Envelope: t.env, Body: t.body, Via: s.port.mode, TLS: s.secure.Version, Client: s.client, Chunks: t.chunks,
	}
	msg, err := t.draft.commit(msg)
	if err != nil {
		return s.reply("451 4.3.0 The message could not be kept")
	}
	t.draft = nil
	s.srv.count(func(st *Stats) { st.Messages++ })
	return s.say(act, "250 2.0.0 OK queued as "+msg.ID)
}
