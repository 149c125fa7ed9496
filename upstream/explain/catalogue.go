package explain

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
	"time"

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

// A catalogueRow is the policy of one cause; see catalogue.toml.
type catalogueRow struct {
	Name      Cause
	Actor     Actor
	Verdict   string
	Scope     Scope
	Permanent string
	Enhanced  string
	Depth     int
}

var (
	//go:embed catalogue.toml
	catalogueData string
	//go:embed catalogue.en.toml
	textData string
)

// catalogue is read when the first failure is explained. The data is part of
// the program, so that a fault in it is a fault of the program.
var catalogue = sync.OnceValue(func() map[Cause]catalogueRow {
	var file struct{ Cause []catalogueRow }
	mustDecode(catalogueData, &file)
	rows := make(map[Cause]catalogueRow, len(file.Cause))
	for _, r := range file.Cause {
		rows[r.Name] = r
	}
	return rows
})

var texts = sync.OnceValue(func() map[string]Explanation {
	var file map[string]Explanation
	mustDecode(textData, &file)
	return file
})

func mustDecode(data string, v any) {
	if _, err := toml.Decode(data, v); err != nil {
		panic("explain: embedded catalogue: " + err.Error())
	}
}

// Causes lists all causes, in the order of the catalogue.
func Causes() []Cause {
	var file struct{ Cause []catalogueRow }
	mustDecode(catalogueData, &file)
	causes := make([]Cause, len(file.Cause))
	for i, r := range file.Cause {
		causes[i] = r.Name
	}
	return causes
}

func row(c Cause) catalogueRow {
	if r, ok := catalogue()[c]; ok {
		return r
	}
	return catalogue()[Unknown]
}

// class is the first digit of the reply, 0 without one.
func (f *Failure) class() int {
	if f.Reply == nil {
		return 0
	}
	return f.Reply.Class()
}

// beforeMail tells that the session had not come to the message yet.
func (f *Failure) beforeMail() bool {
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
	case Verdict(v) == Return && (f.class() == 4 || f.outOfStep()):
		return Retry
	case Verdict(v) == Return && f.beforeMail():
		return Hold
	}
	return Verdict(v)
}

// outOfStep tells that the server did not understand the dialogue, which says
// nothing of the message.
func (f *Failure) outOfStep() bool {
	return f.Reply != nil && (f.Reply.Code == 500 || f.Reply.Code == 502 || f.Reply.Code == 503)
}

// Permanent tells that waiting alone will not help.
func (f *Failure) Permanent() bool {
	switch row(f.Cause).Permanent {
	case "yes":
		return true
	case "no":
		return false
	}
	return f.class() != 4
}

// Scope says what the failure is about. A server that closes the session, or
// that fails before the first message, is trouble of the route; a refusal of
// one recipient is about that recipient unless it is about the route.
func (f *Failure) Scope() Scope {
	s := row(f.Cause).Scope
	switch {
	case f.Cause == DeliveryUncertain:
		return ScopeMessage
	case f.Cause == ServerBusy && f.class() == 4 && f.Reply.Code != 421 && !f.beforeMail():
		return ScopeMessage // it puts off this message, not the session
	case f.beforeMail(), f.Reply != nil && f.Reply.Code == 421:
		return ScopeRoute
	case f.Recipient != "" && f.Cause == LimitRate && f.Reply != nil && f.Reply.Enhanced[1] == 2:
		return ScopeRecipient // X.2.X: this mailbox gets too much, not we send too much
	case s != ScopeRoute && f.Recipient != "":
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

// Explanation is the failure in words, with what was observed filled in.
func (f *Failure) Explanation() Explanation {
	text, ok := texts()[string(f.Cause)+f.variant()]
	if !ok {
		text = texts()[string(f.Cause)]
	}
	fill := strings.NewReplacer(f.placeholders()...)
	return Explanation{
		Title: fill.Replace(text.Title), Meaning: fill.Replace(text.Meaning), Fix: fill.Replace(text.Fix),
		Actor: row(f.Cause).Actor,
	}
}

// variant names the text that fits better than the cause's own, if there is one.
func (f *Failure) variant() string {
	switch {
	case f.Fact(FactInjected) != "":
		return "/injected"
	case f.Cause == Unknown && f.Reply == nil && f.Candidate.Host == "":
		return "/local"
	case f.everywhere():
		return "/everywhere"
	}
	return ""
}

// placeholders are pairs of a name in braces and what it stands for here.
func (f *Failure) placeholders() []string {
	or := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return printable(value)
	}
	list := func(value, otherwise string) string {
		return or(strings.Join(strings.Fields(value), ", "), otherwise)
	}
	port := ""
	if f.Candidate.Port != 0 {
		port = strconv.Itoa(f.Candidate.Port)
	}
	return []string{
		"{host}", or(f.Candidate.Host, "the provider"),
		"{port}", or(port, "587"),
		"{recipient}", or(string(f.Recipient), "the recipient"),
		"{names}", list(f.Fact(FactCertNames), "another name"),
		"{issuer}", or(f.Fact(FactCertIssuer), "not known here"),
		"{from}", or(day(f.Fact(FactCertNotBefore)), "an unknown day"),
		"{until}", or(day(f.Fact(FactCertNotAfter)), "an unknown day"),
		"{offered}", list(f.Fact(FactAuthOffered), "none"),
		"{wanted}", list(f.Fact(FactAuthWanted), "none of them"),
	}
}

// day is the date of an RFC 3339 time.
func day(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return ""
	}
	return t.Format(time.DateOnly)
}

// printable keeps what others said from breaking a line of ours.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
