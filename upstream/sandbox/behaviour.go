package sandbox

import (
	"slices"
	"strings"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A Behaviour is what one port does other than an honest provider would. The
// zero value is honest. A Behaviour that was handed to Set is not changed
// any more.
type Behaviour struct {
	Closed      bool        // nothing listens: connections are refused
	Protocol    Protocol    // what the port speaks
	Certificate Certificate // what the handshake shows
	MaxTLS      uint16      // no newer than this, such as tls.VersionTLS11; 0 = no limit

	Without []string // EHLO keywords not offered, such as "STARTTLS", "PIPELINING", "CHUNKING"
	Auth    []string // mechanisms offered, such as SCRAM-SHA-256 or XOAUTH2; nil = PLAIN and LOGIN

	// Idle is how long the port waits for a command before it hangs up with
	// a 421; 0 = five minutes, the least of RFC 5321, section 4.5.3.2.7.
	Idle time.Duration

	// Script says what happens at a stage in place of the honest reply, or
	// beside it. Stages in use: greeting, ehlo, starttls, tls, auth, mail,
	// rcpt, data (the DATA command, or the first BDAT of a transaction) and
	// dot (the end of the content).
	Script map[explain.Stage]Act

	// Recipients goes before Script at RCPT, for a single forward-path.
	Recipients map[envelope.Path]Act
}

// A Protocol is what a port speaks, if not what it should.
type Protocol string

// What a port can speak.
const (
	SMTP  Protocol = ""      // as it should: with STARTTLS, or with TLS from the first byte
	HTTP  Protocol = "http"  // like a web server
	TLS   Protocol = "tls"   // TLS from the first byte, on the STARTTLS port too
	Plain Protocol = "plain" // no TLS from the first byte, on the implicit TLS port either
)

// An Act is what happens at one stage.
type Act struct {
	Delay time.Duration // first, it waits

	// Reply is said in place of the honest one: verbatim, with codes, lines
	// separated by a line feed ("534-5.7.9 This\n534 5.7.9 and that"). With
	// a code of 400 and above the command has no effect; below, it has. A
	// 421, and any refusal in place of the greeting, ends the connection.
	Reply string

	Inject string // octets sent in one piece with the reply, right behind it
	End    End    // how the connection goes on
}

// An End is what becomes of the connection at a stage.
type End string

// What can become of it.
const (
	Stay      End = ""           // it goes on
	HangUp    End = "hangup"     // closed instead of replying; the command has had its effect
	HangUpNow End = "hangup-now" // closed instead of replying; it has had none
	HangAfter End = "after"      // closed once the reply is sent
	Silence   End = "silence"    // held open and never answered; the command has had no effect
)

// prevents tells whether the command is without effect.
func (a Act) prevents() bool {
	return a.End == HangUpNow || a.End == Silence || a.Reply != "" && a.Reply[0] >= '4'
}

// without tells whether the keyword is taken from the offer.
func (b *Behaviour) without(keyword string) bool {
	return slices.ContainsFunc(b.Without, func(s string) bool { return strings.EqualFold(s, keyword) })
}

// mechanisms is what AUTH offers; none without the keyword.
func (b *Behaviour) mechanisms() []string {
	switch {
	case b.without("AUTH"):
		return nil
	case b.Auth == nil:
		return []string{"PLAIN", "LOGIN"}
	}
	return b.Auth
}
