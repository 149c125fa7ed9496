package upstream

import (
	"strconv"

	"kurir/upstream/explain"
)

// A Line is one line of a session's transcript, for debugging. It never holds
// credentials or content: those are replaced by a word in brackets.
type Line struct {
	Session   uint64 // counts the sessions of this process
	Candidate explain.Candidate
	Message   string // the ID of the message that is under way; "" before the first
	Sent      bool   // by us; otherwise by the server
	Text      string
}

// How much is remembered of how a session was opened, and again of its present
// message.
const (
	rememberedLines  = 48
	rememberedOctets = 500 // of each line
)

// A transcript remembers how the session was opened and the last lines of its
// present message, and passes each line on to who listens. What was said of
// other messages is forgotten.
type transcript struct {
	to        func(Line) // may be nil
	session   uint64
	candidate explain.Candidate
	message   string

	opening []string
	last    [rememberedLines]remembered
	lines   int // that were said since the opening, or of the message
}

type remembered struct {
	sent bool
	text string
}

func (t *transcript) line(sent bool, text string) {
	t.last[t.lines%rememberedLines] = remembered{sent, text}
	t.lines++
	if t.to != nil {
		t.to(Line{Session: t.session, Candidate: t.candidate, Message: t.message, Sent: sent, Text: text})
	}
}

func (t *transcript) sent(text string)     { t.line(true, text) }
func (t *transcript) received(text string) { t.line(false, text) }

func (t *transcript) content(size int64) {
	t.line(true, "["+strconv.FormatInt(size, 10)+" octets of content]")
}

// begin tells that what follows is of another message.
func (t *transcript) begin(id string) {
	if t.opening == nil {
		t.opening = t.end()
	}
	t.message, t.lines = id, 0
}

// end gives what is remembered, oldest first.
func (t *transcript) end() []string {
	first := max(0, t.lines-rememberedLines)
	said := make([]string, 0, len(t.opening)+t.lines-first)
	said = append(said, t.opening...)
	for i := first; i < t.lines; i++ {
		l := t.last[i%rememberedLines]
		direction := "S: "
		if l.sent {
			direction = "C: "
		}
		said = append(said, direction+explain.Cut(l.text, rememberedOctets))
	}
	return said
}
