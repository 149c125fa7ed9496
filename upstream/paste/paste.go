// Package paste explains what people paste and pipe in: a reply, an error line,
// the log or the transcript of a program that sends mail. It finds what failed
// among what did not, and for each failure the stage, the server and, if that
// is known, the provider; the cause is found by package explain.
//
// Known.Text and Known.Log are the two doors. lines.go cuts the input into
// passages, json.go reads those that are objects, noise.go leaves out what went
// well, where.go finds the server that a line names, and paste.go puts together
// what is known of each.
//
// Input is data: nothing in it is run or looked up, and its size is bounded by
// the caller. A passage of more than 8 KB is cut.
package paste

import (
	"cmp"
	"strings"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// Known is what is known of a text besides its words; its zero value is
// nothing.
type Known struct {
	Stage    explain.Stage      // how far the session had come
	Host     string             // of the provider, with or without a port
	Provider *provider.Provider // goes before the one that has the host
}

// asked is what is known, and what was looked up on the way.
type asked struct {
	Known
	near map[string]string // the misspelt hosts seen so far; "" is a host that is none
}

// hints are what stands beside a text.
type hints struct {
	stage explain.Stage
	cause explain.Cause // for certain
	guess explain.Cause // if the text does not tell
	host  string
	port  int
	tls   explain.TLSMode
}

// Log explains the failures that a log or a transcript tells of, in its order,
// and says how many passages it has: replies, errors and other things said.
func (k Known) Log(text string) (failures []*explain.Failure, passages int) {
	return k.explain(read(text))
}

// Text does the same for what somebody has picked out: one text, which may go
// over several lines.
func (k Known) Text(text string) (failures []*explain.Failure, passages int) {
	found := read(text)
	if len(found) > 1 && isOne(text, found) {
		found = []passage{{text: strings.TrimSpace(clip(tidy(text)))}}
	}
	return k.explain(found)
}

func (k Known) explain(passages []passage) ([]*explain.Failure, int) {
	a := asked{Known: k, near: map[string]string{}}
	var (
		failures []*explain.Failure
		session  int           // that the last failure was in
		before   explain.Cause // that it had
	)
	for _, p := range passages {
		f := a.passage(p, len(passages) == 1)
		if f == nil || p.said.session > 0 && p.said.session == session && f.Cause == before {
			continue // a program says below its transcript once more what the server said
		}
		session, before = p.said.session, f.Cause
		failures = append(failures, f)
	}
	return failures, len(passages)
}

// isOne tells that several lines are one text that was
// wrapped: not a log, and not replies or objects that have nothing to do with
// each other.
func isOne(text string, passages []passage) bool {
	if _, whole := explain.ParseReply(text); whole {
		return true
	}
	replies := 0
	for _, p := range passages {
		if p.object != nil || p.said.session > 0 || logPrefix.MatchString(p.text) {
			return false
		}
		if anyReply.MatchString(p.text) {
			replies++
		}
	}
	return replies < len(passages)
}

// passage explains one passage, nil if it tells of no failure. Of many, those
// are left out that nobody can make anything of.
func (a *asked) passage(p passage, alone bool) *explain.Failure {
	if p.object != nil {
		return a.fromJSON(p.object, alone)
	}
	asserted := alone && a.Stage != "" // that it is where a session failed
	if p.text == "" || !alone && !mayTell(p.text) || !asserted && wentWell(p.text) {
		return nil
	}
	known := hints{stage: p.said.stage}
	if p.said.server != "" {
		known.host, known.port = a.where(p.said.server)
	}
	f := a.one(p.text, known)
	if !alone && f.Cause == explain.Unknown && f.Reply == nil && !hasCode(p.text) {
		return nil
	}
	return f
}

// one explains one text; known is what else was said of it.
func (a *asked) one(text string, known hints) *explain.Failure {
	_, isReply := explain.ParseReply(text)
	host, port := splitHost(a.Host)
	if host == "" {
		host, port = known.host, known.port
	}
	switch {
	case isReply: // what looks like a server in its words is none
	case host == "":
		host, port = a.where(text)
	case port == 0:
		port = portIn(text)
	}
	p, name := a.Provider, ""
	if p == nil {
		p = provider.ByHost(host)
	}
	if p != nil {
		name = p.Name
	}
	f := *explain.FromText(text, cmp.Or(a.Stage, known.stage), name)
	switch {
	case known.cause != "":
		f.Cause = known.cause
	case f.Cause == explain.Unknown && known.guess != "":
		f.Cause = known.guess
	}
	f.Candidate.TLS = known.tls
	a.locate(&f, host, port, p)
	return &f
}
