package dsn

import (
	"bufio"
	"io"
	"mime/multipart"
	"mime/quotedprintable"
	"strconv"
	"strings"

	"kurir/upstream/explain"
)

const clock = "2006-01-02 15:04 -0700"

// subject says in one line what happened to which mail.
func (r *Report) subject() string {
	to := ""
	if len(r.Recipients) > 0 {
		to = cut(clean(string(r.Recipients[0].To)), 200)
	}
	w := r.words()
	if others := len(r.Recipients) - 1; others > 0 {
		to = w.Say("mail.more", "recipient", to, "others", strconv.Itoa(others))
	}
	return w.Say(string(r.Kind)+".subject", "mail", r.mail(), "recipient", to)
}

// mail is what the reader calls the original.
func (r *Report) mail() string {
	if r.Sender == "" || r.Sender == r.To {
		return r.words().Say("mail.yours")
	}
	return r.words().Say("mail.from", "sender", cut(clean(string(r.Sender)), 200))
}

// text writes the part for people: as it is where it is ASCII, else encoded,
// so that it passes each server.
func (r *Report) text(w *bufio.Writer, parts *multipart.Writer) {
	var said strings.Builder
	r.sayAll(&said)
	if isASCII(said.String()) {
		part(parts, "text/plain; charset=utf-8", "7bit")
		w.WriteString(said.String())
		return
	}
	part(parts, "text/plain; charset=utf-8", "quoted-printable")
	encoder := quotedprintable.NewWriter(w)
	_, _ = io.WriteString(encoder, said.String())
	_ = encoder.Close()
}

// say writes a paragraph, broken into lines of one indent.
func say(w *strings.Builder, indent, s string) {
	for _, line := range wrap(s, len(indent)) {
		w.WriteString(indent + line + "\r\n")
	}
}

func (r *Report) sayAll(w *strings.Builder) {
	words, mail := r.words(), r.mail()
	for _, g := range r.groups() {
		say(w, "", words.Say(string(r.Kind)+".happened", "mail", mail))
		w.WriteString("\r\n")
		for _, to := range g {
			say(w, "  ", clean(string(to.To)))
		}
		w.WriteString("\r\n")
		r.sayWhy(w, g)
	}
	say(w, "", words.Say(string(r.Kind)+".end"))
	w.WriteString("\r\n")
	say(w, "", words.Say("mail.at", "time", r.Arrived.Format(clock)))
	if r.Kind == Delayed && !r.RetryUntil.IsZero() {
		say(w, "", words.Say("mail.until", "time", r.RetryUntil.Format(clock)))
	}
	if r.OurID != "" {
		say(w, "", words.Say("mail.number", "host", r.host(), "id", clean(r.OurID)))
	}
	if r.LeftOut > 0 {
		say(w, "", words.Say("mail.left_out", "count", strconv.Itoa(r.LeftOut)))
	}
}

// sayWhy writes what a group has in common: why, what to do, and the words of
// the server.
func (r *Report) sayWhy(w *strings.Builder, g []Recipient) {
	words := r.words()
	if f := g[0].Failure; f != nil {
		alike := *f
		if len(g) > 1 {
			alike.Recipient = "" // it is about all of them
		}
		e := alike.ExplanationIn(r.Language)
		say(w, "", explain.Printable(e.Title))
		say(w, "", explain.Printable(e.Meaning))
		if e.Fix != "" {
			say(w, "", words.Say("mail.fix", "fix", e.Fix))
		}
		w.WriteString("\r\n")
	}
	if host, reply := g[0].heard(); reply != nil {
		say(w, "", words.Say("mail.said", "host", host))
		for line := range strings.Lines(cut(reply.String(), maxWords)) {
			say(w, "  ", clean(line))
		}
		w.WriteString("\r\n")
	}
}

// heard is the server that had the last word about a recipient, and the word;
// nil if there was none.
func (to *Recipient) heard() (host string, _ *explain.Reply) {
	switch {
	case to.Failure != nil:
		return clean(to.Failure.Candidate.Host), to.Failure.Reply
	case to.Receipt != nil && to.Receipt.Reply.Code != 0:
		return clean(to.Receipt.Candidate.Host), &to.Receipt.Reply
	}
	return "", nil
}

// groups are the recipients with the same failure together, in the order in
// which they first come.
func (r *Report) groups() [][]Recipient {
	type alike struct {
		cause       explain.Cause
		host, reply string
	}
	var groups [][]Recipient
	at := make(map[alike]int)
	for _, to := range r.Recipients {
		var key alike
		if to.Failure != nil {
			key.cause = to.Failure.Cause
		}
		host, reply := to.heard()
		key.host = host
		if reply != nil {
			key.reply = reply.String()
		}
		i, known := at[key]
		if !known {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], to)
	}
	return groups
}
