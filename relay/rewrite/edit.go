package rewrite

import (
	"bytes"
	"slices"
	"strings"

	"kurir/upstream/envelope"
)

// An edit puts other fields, or none, in place of one.
type edit struct {
	start, end int
	instead    string
}

// edits are what has to change in the section, in its order. The names of
// signed are of fields that a signature covers.
func (w *Writer) edits(section []byte, signed map[string]bool) (edits []edit) {
	s := w.senders(section)
	for i, m := range w.header.marks {
		instead, change := "", false
		switch m.name {
		case "bcc", "resent-bcc":
			change = !signed[m.name]
		case "from":
			switch {
			case w.header.From == "": // all are empty, and ours stands on top
				change = !signed["from"]
			case i == s.author:
				instead, change = s.from, s.from != ""
			default:
				change = s.judged
			}
		case "sender":
			if change = s.judged && !w.opts.Policy.mayStay(valueOf(section, m), 1); change {
				instead, s.sender = s.sender, ""
			}
		case "reply-to":
			change = s.replyTo && valueOf(section, m) == ""
		}
		if change {
			edits = append(edits, edit{m.start, m.end, instead})
		}
	}
	return edits
}

// senders is what becomes of the fields that name one.
type senders struct {
	judged  bool   // From and Sender are
	author  int    // the mark of the From that counts; -1 if there is none
	from    string // what stands in its place; "" if it stays
	replyTo bool   // from has a Reply-To in it
	sender  string // what the first Sender that may not stay is replaced with
}

func (w *Writer) senders(section []byte) (s senders) {
	p := w.opts.Policy
	s.author = -1
	if s.judged = p.rewrites(); !s.judged || w.header.From == "" {
		return s
	}
	answered := false // there is a Reply-To
	value := ""
	for i, m := range w.header.marks {
		switch v := valueOf(section, m); {
		case v == "":
		case m.name == "from" && s.author < 0:
			s.author, value = i, v
		case m.name == "reply-to":
			answered = true
		}
	}
	if s.author < 0 {
		return s
	}
	if p.mayStay(value, len(value)) {
		if list, _ := mailboxes(value); len(list) > 1 { // RFC 5322, section 3.6.2 wants a Sender
			s.sender = "Sender: " + p.from.String() + "\r\n"
		}
		return s
	}
	from, replyTo := p.replace(value)
	s.from, s.replyTo = from, !answered && replyTo != ""
	if s.replyTo {
		s.from += replyTo
	}
	return s
}

// mayStay tells whether the value of a field names only senders that need not
// be replaced, at most so many. What cannot be read names none.
func (p *Policy) mayStay(value string, most int) bool {
	list, lawful := mailboxes(value)
	if !lawful || len(list) == 0 || len(list) > most {
		return false
	}
	if p.when == Always {
		return len(list) == 1 && small(string(list[0].addr)) == small(string(p.from))
	}
	return !slices.ContainsFunc(list, func(m mailbox) bool { return !p.allows(m.addr) })
}

// replace is the From field of our own that stands for one of the app's, with
// the name of the first who is named there, and the Reply-To field that leads
// back to them; that is "" if no address can be read.
func (p *Policy) replace(value string) (from, replyTo string) {
	list, lawful := mailboxes(value)
	list = mendName(list)
	author := mailbox{name: p.name, addr: p.from}
	if len(list) > 0 && list[0].name+list[0].tail != "" {
		author.name, author.tail = list[0].name, list[0].tail
	}
	from = "From: " + author.String() + "\r\n"
	list = slices.DeleteFunc(list, func(m mailbox) bool { return m.addr == "" })
	switch {
	case len(list) == 0:
		return from, ""
	case lawful:
		return from, "Reply-To: " + value + "\r\n"
	}
	var b strings.Builder
	for _, m := range list {
		b.WriteString(",\r\n " + m.String())
	}
	return from, "Reply-To:" + b.String()[len(",\r\n"):] + "\r\n"
}

// String writes the mailbox as a field has it.
func (m mailbox) String() string {
	if m.name == "" {
		return join(string(m.addr), m.tail)
	}
	return join(join(m.name, m.addr.String()), m.tail)
}

// author appends the From field of a message that has none.
func (p *Policy) author(b []byte, sender envelope.Path, hostname string) []byte {
	m := mailbox{addr: sender}
	switch {
	case p != nil && p.from != "":
		m.name, m.addr = p.name, p.from
	case sender == "":
		m.addr = envelope.Path("MAILER-DAEMON@" + hostname)
	}
	return append(append(append(b, "From: "...), m.String()...), "\r\n"...)
}

// valueOf is the value of the field that is marked, folded as it is, without
// what is blank at its ends.
func valueOf(section []byte, m mark) string {
	_, value, _ := bytes.Cut(section[m.start:m.end], []byte(":"))
	return strings.Trim(string(value), " \t\r\n")
}

// signed are the names of the fields that the signatures of a message cover
// (RFC 6376, section 3.5), in small letters, also of those that are named to
// keep anybody from adding one; nil if nothing is signed.
func (h *scanner) signed(section []byte) (names map[string]bool) {
	for _, m := range h.marks {
		if m.name != "dkim-signature" {
			continue
		}
		if names == nil {
			names = make(map[string]bool)
		}
		for tag := range strings.SplitSeq(valueOf(section, m), ";") {
			key, value, _ := strings.Cut(tag, "=")
			if strings.Trim(key, " \t\r\n") != "h" {
				continue
			}
			for name := range strings.SplitSeq(value, ":") {
				names[small(strings.Trim(name, " \t\r\n"))] = true
			}
		}
	}
	return names
}
