package explain

import (
	_ "embed"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

// A Verdict is what becomes of the mail.
type Verdict string

// The verdicts.
const (
	Retry  Verdict = "retry"  // it is tried again
	Return Verdict = "return" // this message or recipient is refused for good
	Hold   Verdict = "hold"   // the route is refused: all mail is kept until a person acts
)

// A Scope is what a failure is about.
type Scope string

// The scopes.
const (
	ScopeRoute     Scope = "route"
	ScopeSender    Scope = "sender" // the domain of the reverse-path
	ScopeMessage   Scope = "message"
	ScopeRecipient Scope = "recipient"
)

// An Actor is who can mend it.
type Actor string

// The actors.
const (
	Operator Actor = "operator" // who runs Kurir and has the account at the provider
	App      Actor = "app"      // who wrote or uses the program that sent the mail
	Provider Actor = "provider"
	Network  Actor = "network" // the hosting company, or whoever runs the network here
)

// An Explanation is a failure in words for people: plain text without line
// ends, sentences with a full stop.
type Explanation struct {
	Title   string `json:"title"`
	Meaning string `json:"meaning"`
	Fix     string `json:"fix"`
	Actor   Actor  `json:"actor"`
}

// Text is what happened and what that means, in one line.
func (e Explanation) Text() string { return strings.TrimSpace(e.Title + " " + e.Meaning) }

// A catalogueRow is the policy of one cause; see catalogue.toml.
type catalogueRow struct {
	Name      Cause
	Actor     Actor
	Verdict   string
	Scope     Scope
	Permanent string
	Enhanced  string
	Depth     int
	Stage     Stage
}

var (
	//go:embed catalogue.toml
	catalogueData string
	//go:embed catalogue.en.toml
	englishData string
	//go:embed catalogue.id.toml
	indonesianData string
)

// catalogue is read when the first failure is explained. The data is part of
// the program, so that a fault in it is a fault of the program.
var catalogue = sync.OnceValue(func() []catalogueRow {
	var file struct{ Cause []catalogueRow }
	mustDecode(catalogueData, &file)
	return file.Cause
})

func mustDecode(data string, v any) {
	if _, err := toml.Decode(data, v); err != nil {
		panic("explain: embedded catalogue: " + err.Error())
	}
}

// Causes lists all causes, in the order of the catalogue.
func Causes() []Cause {
	var causes []Cause
	for _, r := range catalogue() {
		causes = append(causes, r.Name)
	}
	return causes
}

// row is the policy of a cause, and that of Unknown for one that has none.
func row(c Cause) *catalogueRow {
	rows := catalogue()
	i := slices.IndexFunc(rows, func(r catalogueRow) bool { return r.Name == c })
	if i < 0 {
		return row(Unknown)
	}
	return &rows[i]
}

// code is that of the reply, or of the one that another program quotes in its
// error line; 0 if the server said nothing.
func (f *Failure) code() int {
	if f.Reply != nil {
		return f.Reply.Code
	}
	if line, ok := errors.AsType[pasted](f.Err); ok {
		code, _, _, _ := quotedReply(line.said())
		return code
	}
	return 0
}

// class is the first digit of the code, 0 without one.
func (f *Failure) class() int { return f.code() / 100 }

// BeforeMail tells that the session had not come to the message yet.
func (f *Failure) BeforeMail() bool {
	switch f.Stage {
	case StageMail, StageRcpt, StageData, StageDot, "":
		return false
	}
	return true
}

// Verdict says what becomes of the mail. The cause decides, not the digit:
// quotas and locked accounts are refused with 5xx and yet cost no message.
// But nothing is returned that the server put off with a 4xx, or that had not
// come to its turn.
func (f *Failure) Verdict() Verdict {
	v := row(f.Cause).Verdict
	if v == "reply" {
		v = string(Retry)
		if f.class() == 5 {
			v = string(Return)
		}
	}
	switch {
	case Verdict(v) == Hold && f.Cause == AuthLocked && !f.Permanent():
		return Retry // it opens by itself
	case Verdict(v) == Hold && f.ofThisMail():
		if f.class() == 5 {
			return Return
		}
		return Retry
	case Verdict(v) == Return && (f.class() == 4 || f.outOfStep()):
		return Retry
	case Verdict(v) == Return && f.BeforeMail():
		return Hold
	}
	return Verdict(v)
}

// ofThisMail tells that a cause that is otherwise about the route rests here on
// something of this one mail: its sender is misspelt or nowhere, or a bare code,
// which is too little to keep all other mail for.
func (f *Failure) ofThisMail() bool {
	if f.BeforeMail() {
		return false
	}
	v := f.variant()
	return v == "guess" || v == "spelling" || v == "nowhere"
}

// ofBusyRecipient tells that it is one mailbox that gets too much (X.2.X), and
// not we who send too much.
func (f *Failure) ofBusyRecipient() bool {
	return f.Cause == LimitRate && f.Reply != nil && f.Reply.Enhanced[1] == 2
}

// ofAddress tells that the server's code is about the recipient's address
// (RFC 3463, section 3.2), whatever its words, in which that address may stand.
func (f *Failure) ofAddress() bool {
	return f.Reply != nil && f.Reply.Enhanced[1] == 1 && slices.Contains([]int{1, 2, 3, 6, 10}, f.Reply.Enhanced[2])
}

// outOfStep tells that the server did not understand the dialogue, which says
// nothing of the message.
func (f *Failure) outOfStep() bool {
	return f.code() == 500 || f.code() == 502 || f.code() == 503
}

// Permanent tells that waiting alone will not help: the cause says so, or the
// code does, or the server puts off with a 4xx what only a person can mend.
func (f *Failure) Permanent() bool {
	switch row(f.Cause).Permanent {
	case "yes":
		return true
	case "no":
		return f.lasts()
	}
	switch {
	case f.Cause == Unknown:
		return f.class() == 5
	case f.Cause == LimitRecipients && f.code() == 552:
		return false // RFC 5321, section 4.5.3.1.10: what old servers say for 452
	}
	return f.class() != 4 || f.lasts()
}

// Scope says what the failure is about. A server that closes the session, or
// that fails before the first message, is trouble of the route; a refusal of
// one recipient is about that recipient unless it is about the route.
func (f *Failure) Scope() Scope {
	s := row(f.Cause).Scope
	switch {
	case f.Cause == DeliveryUncertain:
		return ScopeMessage
	case f.Cause == ServerBusy && f.class() == 4 && f.code() != 421 && !f.BeforeMail():
		return ScopeMessage // it puts off this message, not the session
	case f.BeforeMail(), f.code() == 421:
		return ScopeRoute
	case f.Recipient != "" && (f.ofBusyRecipient() || f.ofAddress()):
		return ScopeRecipient
	case (s == ScopeRoute || s == ScopeSender) && f.ofThisMail():
		s = ScopeMessage
	case s == ScopeSender:
		return s
	}
	if s != ScopeRoute && f.Recipient != "" {
		return ScopeRecipient
	}
	return s
}

// Enhanced is the enhanced status code for a reply to the app: the server's
// own, else the catalogue's, with the class that fits the verdict.
func (f *Failure) Enhanced() EnhancedCode {
	class := 4
	if f.Verdict() == Return {
		class = 5
	}
	if f.Reply != nil && f.Reply.Enhanced[0] == class {
		return f.Reply.Enhanced
	}
	subject, detail, _ := strings.Cut(row(f.Cause).Enhanced, ".")
	s, _ := strconv.Atoi(subject)
	d, _ := strconv.Atoi(detail)
	return EnhancedCode{class, s, d}
}
