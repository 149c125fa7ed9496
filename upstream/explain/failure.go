package explain

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"kurir/upstream/envelope"
)

// A Stage is how far a session had come when it failed.
type Stage string

// The stages, in the order in which a session passes them.
const (
	StageDNS      Stage = "dns"
	StageConnect  Stage = "connect"
	StageGreeting Stage = "greeting"
	StageEHLO     Stage = "ehlo"
	StageSTARTTLS Stage = "starttls"
	StageTLS      Stage = "tls"
	StageAuth     Stage = "auth"
	StageMail     Stage = "mail"
	StageRcpt     Stage = "rcpt"
	StageData     Stage = "data"
	StageDot      Stage = "dot"
)

// Stages lists all stages, in the order in which a session passes them.
func Stages() []Stage {
	return []Stage{
		StageDNS, StageConnect, StageGreeting, StageEHLO, StageSTARTTLS, StageTLS,
		StageAuth, StageMail, StageRcpt, StageData, StageDot,
	}
}

// TLSMode is how a candidate is encrypted.
type TLSMode string

// The two ways to TLS; there is no third.
const (
	STARTTLS TLSMode = "starttls" // RFC 3207
	Implicit TLSMode = "implicit" // RFC 8314, section 3
)

// A Candidate is one way into a smart host.
type Candidate struct {
	Host string  `json:"host"`
	Port int     `json:"port"`
	TLS  TLSMode `json:"tls"`
	Addr string  `json:"addr,omitempty"` // the IP address dialled, once it is known
}

// HostPort is host and port as they are written in URLs and logs.
func (c Candidate) HostPort() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// String says the candidate as people read it:
// "smtp.example.com:587 STARTTLS (192.0.2.7)".
func (c Candidate) String() string {
	if c.Host == "" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d", c.Host, c.Port)
	switch c.TLS {
	case STARTTLS:
		b.WriteString(" STARTTLS")
	case Implicit:
		b.WriteString(" implicit TLS")
	}
	if c.Addr != "" && c.Addr != c.Host {
		b.WriteString(" (" + c.Addr + ")")
	}
	return b.String()
}

// A Fact is something observed that helps to understand a failure, such as
// the issuer of a certificate or the AUTH mechanisms that were offered.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Names of facts that the catalogue's rules and texts look at.
const (
	FactAuthOffered   = "auth offered"   // mechanisms in the EHLO reply, blank separated
	FactAuthWanted    = "auth wanted"    // mechanisms that we could use with the configured secret
	FactAuthMechanism = "auth mechanism" // the one that was used
	FactCertNames     = "certificate names"
	FactCertIssuer    = "certificate issuer"
	FactCertNotBefore = "certificate valid from" // RFC 3339
	FactCertNotAfter  = "certificate valid until"
	FactOAuthError    = "oauth error"    // the JSON after a 334
	FactTokenEndpoint = "token endpoint" // set where no OAuth2 token could be got: the host that was asked for one, "" if none was
	FactTokenError    = "token error"    // what it said: "HTTP 400: invalid_grant: its own words"
	FactInjected      = "injected"       // what came unasked behind the STARTTLS reply
	FactNearestHost   = "nearest host"
	FactOtherPorts    = "other ports"    // ports of the provider that are not among the candidates, blank separated
	FactUserKind      = "user name kind" // what the provider wants for a user name, in words
	FactPasswordKind  = "password kind"  // and for a password
	FactAppPassword   = "app password"   // set where it is one that is made for a single program
	FactRate          = "sending limits" // how much the provider lets an account send, in words
	FactSenderRule    = "sender rule"    // which sender addresses it takes, in words
	FactKept          = "kept"           // how long at most mail waits while its route is in trouble
	FactOnce          = "sent once"      // set where nobody sends the message again, as with a test mail
	FactHere          = "refused here"   // set where Kurir itself refused an app: which text of the cause says so, such as "here"

	// What a refusal by Kurir itself was about.
	FactLimit     = "limit"     // what is allowed at most
	FactParameter = "parameter" // of MAIL or RCPT
	FactFault     = "fault"     // what is wrong, in technical words
	FactClient    = "client"    // the address of the app
	FactAllow     = "allow"     // the line of the configuration that would let it in
)

// A Failure explains why one attempt over one candidate, or over all of them,
// did not deliver. Make one with Explain, which finds the cause.
type Failure struct {
	Cause     Cause         // stable name: log field, metric label, argument of "kurir explain"
	Stage     Stage         // how far the session had come
	Candidate Candidate     // host, address, port, TLS mode
	Provider  string        // the provider's name in upstream/provider, "" if it is not a known one
	Sender    envelope.Path // the reverse-path of the transaction, "" outside of one
	Recipient envelope.Path // the forward-path refused; "" when it is the whole transaction
	Reply     *Reply        // the server's words, verbatim and whole; nil if it said nothing
	Facts     []Fact        // what was observed: issuer, names in the certificate, AUTH offered
	Err       error         // the *net.OpError or TLS error underneath, if any

	// Transcript is how the session ended: its last lines, each behind "C: " or
	// "S: ", without credentials and content. It is nil where nothing was said.
	Transcript []string

	// Candidates are the failures of each way in, in the order of trying,
	// when none of them worked and this failure speaks for all.
	Candidates []*Failure
}

// For is the same failure, of one recipient.
func (f *Failure) For(recipient envelope.Path) *Failure {
	each := *f
	each.Recipient = recipient
	return &each
}

// Fact returns the value observed under name, "" if it was not.
func (f *Failure) Fact(name string) string {
	for _, x := range f.Facts {
		if x.Name == name {
			return x.Value
		}
	}
	return ""
}

// Is makes errors.Is(err, explain.AuthRejected) true for a failure of that cause.
func (f *Failure) Is(target error) bool {
	c, ok := target.(Cause)
	return ok && c == f.Cause
}

// Unwrap gives the error underneath and the failures of each candidate.
func (f *Failure) Unwrap() []error {
	var errs []error
	if f.Err != nil {
		errs = append(errs, f.Err)
	}
	for _, c := range f.Candidates {
		errs = append(errs, c)
	}
	return errs
}

// Error is the failure in one line, for where a program passes errors on.
// What a person reads is Explanation.
func (f *Failure) Error() string {
	var b strings.Builder
	b.WriteString(string(f.Cause))
	if f.Stage != "" {
		b.WriteString(" at " + string(f.Stage))
	}
	if c := f.Candidate.String(); c != "" {
		b.WriteString(" of " + c)
	}
	if f.Recipient != "" {
		b.WriteString(" for " + f.Recipient.String())
	}
	switch {
	case f.Reply != nil:
		b.WriteString(": " + f.Reply.Line())
	case f.Err != nil:
		b.WriteString(": " + f.Err.Error())
	}
	return b.String()
}

// A Receipt says that the smart host took responsibility for a message.
type Receipt struct {
	Candidate Candidate
	Reply     Reply  // its final words, proof of the delivery
	ID        string // its own name for the message, found in those words; may be ""
	DSN       bool   // it was told what the sender wants to be notified of (RFC 3461)

	// Refused holds one failure for each recipient that was not accepted;
	// all others were.
	Refused []*Failure
}

// Refusals are the failures of a transaction in which no recipient was
// accepted: one for each, in the order of the envelope.
type Refusals []*Failure

// Error tells of the first; errors.As and errors.Is look at all.
func (r Refusals) Error() string { return r[0].Error() }

// Unwrap gives the failure of each recipient.
func (r Refusals) Unwrap() []error {
	errs := make([]error, len(r))
	for i, f := range r {
		errs[i] = f
	}
	return errs
}
