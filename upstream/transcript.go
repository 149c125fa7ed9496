package upstream

import (
	"fmt"

	"kurir/upstream/explain"
)

// A Line is one line of a session's transcript, for debugging. It never holds
// credentials or content: those are replaced by a word in brackets.
type Line struct {
	Session   uint64 // counts the sessions of this process
	Candidate explain.Candidate
	Sent      bool // by us; otherwise by the server
	Text      string
}

// transcript passes what is said on to whoever listens; a nil one is silent.
type transcript struct {
	to        func(Line)
	session   uint64
	candidate explain.Candidate
}

func (t *transcript) line(sent bool, text string) {
	if t != nil {
		t.to(Line{Session: t.session, Candidate: t.candidate, Sent: sent, Text: text})
	}
}

func (t *transcript) sent(text string)     { t.line(true, text) }
func (t *transcript) received(text string) { t.line(false, text) }

func (t *transcript) content(size int64) {
	if t != nil {
		t.line(true, fmt.Sprintf("[%d octets of content]", size))
	}
}
