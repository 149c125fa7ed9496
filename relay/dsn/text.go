package dsn

import (
	"bufio"
	"fmt"
	"io"
	"mime/multipart"
	"mime/quotedprintable"
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
	p := r.phrases()
	if others := len(r.Recipients) - 1; others > 0 {
		to = fmt.Sprintf(p.more, to, others)
	}
	return fmt.Sprintf(p.subject[r.Kind], r.mail(), to)
}

// mail is what the reader calls the original.
func (r *Report) mail() string {
	p := r.phrases()
	if r.Sender == "" || r.Sender == r.To {
		return p.yours
	}
	return fmt.Sprintf(p.from, cut(clean(string(r.Sender)), 200))
}

// text writes the part for people: as it is where it is ASCII, else encoded,
// so that it passes each server.
func (r *Report) text(parts *multipart.Writer) error {
	var seen beyondASCII
	probe := bufio.NewWriter(&seen)
	r.sayAll(probe)
	if err := probe.Flush(); err != nil {
		return err
	}
	encoding := "7bit"
	if seen {
		encoding = "quoted-printable"
	}
	w, err := part(parts, "text/plain; charset=utf-8", encoding)
	if err != nil {
		return err
	}
	if !seen {
		r.sayAll(w)
		return w.Flush()
	}
	encoder := quotedprintable.NewWriter(w)
	lines := bufio.NewWriter(encoder)
	r.sayAll(lines)
	if err := lines.Flush(); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	return w.Flush()
}

// beyondASCII is a writer that tells whether what was written is not ASCII.
type beyondASCII bool

func (s *beyondASCII) Write(b []byte) (int, error) {
	for _, c := range b {
		*s = *s || c >= 0x80
	}
	return len(b), nil
}

// say writes a paragraph, broken into lines of one indent.
func say(w io.StringWriter, indent, s string) {
	for _, line := range wrap(s, len(indent)) {
		w.WriteString(indent + line + "\r\n")
	}
}

func (r *Report) sayAll(w *bufio.Writer) {
	p := r.phrases()
	mail := r.mail()
	for _, g := range r.groups() {
		say(w, "", fmt.Sprintf(p.happened[r.Kind], mail))
		w.WriteString("\r\n")
		for _, to := range g {
			say(w, "  ", clean(string(to.To)))
		}
		w.WriteString("\r\n")
		r.sayWhy(w, g)
	}
	say(w, "", p.end[r.Kind])
	w.WriteString("\r\n")
	say(w, "", fmt.Sprintf(p.at, r.Arrived.Format(clock)))
	if r.Kind == Delayed && !r.RetryUntil.IsZero() {
		say(w, "", fmt.Sprintf(p.until, r.RetryUntil.Format(clock)))
	}
	if r.OurID != "" {
		say(w, "", fmt.Sprintf(p.number, r.host(), clean(r.OurID)))
	}
	if r.LeftOut > 0 {
		say(w, "", fmt.Sprintf(p.leftOut, r.LeftOut))
	}
}

// sayWhy writes what a group has in common: why, what to do, and the words of
// the server.
func (r *Report) sayWhy(w *bufio.Writer, g []Recipient) {
	p := r.phrases()
	if f := g[0].Failure; f != nil {
		alike := *f
		if len(g) > 1 {
			alike.Recipient = "" // it is about all of them
		}
		e := alike.ExplanationIn(r.Language)
		say(w, "", explain.Printable(e.Title))
		say(w, "", explain.Printable(e.Meaning))
		if e.Fix != "" {
			say(w, "", fmt.Sprintf(p.fix, explain.Printable(e.Fix)))
		}
		w.WriteString("\r\n")
	}
	if host, reply := g[0].heard(); reply != nil {
		say(w, "", fmt.Sprintf(p.said, host))
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
