// Package envelope is what SMTP knows of a message: the reverse-path, the
// forward-paths, their parameters, and a way to read the content once more.
//
// It parses and formats paths (RFC 5321, section 4.1.2) and holds no policy.
// Both sides of the relay speak in its terms, so it imports nothing of ours.
// Read Path first, then Envelope, then Message; command.go makes the commands of
// an envelope, and dsn.go has what their parameters may be.
package envelope

import "io"

// An Envelope is what the MAIL and RCPT commands said (RFC 5321, section 2.3.1).
type Envelope struct {
	From Path        `json:"from"` // reverse-path; "" is the null reverse-path <>
	To   []Recipient `json:"to"`

	// UTF8 tells that a path needs SMTPUTF8 (RFC 6531); a client's own wish
	// for it does not count, as many ask without need.
	UTF8 bool `json:"utf8,omitempty"`

	// Return and ID are the DSN parameters RET (FULL or HDRS) and ENVID of
	// MAIL (RFC 3461, sections 4.3 and 4.4); ID as it came, in xtext.
	Return string `json:"ret,omitempty"`
	ID     string `json:"envid,omitempty"`
}

// A Recipient is one forward-path with its DSN parameters.
type Recipient struct {
	To Path `json:"to"`

	// Notify and Original are NOTIFY and ORCPT of RCPT (RFC 3461, sections
	// 4.1 and 4.2); Original as it came, such as "rfc822;a@example.org".
	Notify   string `json:"notify,omitempty"`
	Original string `json:"orcpt,omitempty"`
}

// A Message is one envelope with its content, on its way to a smart host.
type Message struct {
	Envelope
	ID       string // ours, for the log
	Size     int64  // octets of the content, with CRLF line ends, before dot-stuffing
	EightBit bool   // the content has octets above 127

	// Open reads the content from its start: lines end in CRLF, nothing is
	// dot-stuffed, the last line ends in CRLF. The caller closes it.
	Open func() (io.ReadCloser, error)

	// BeforeDot, if set, is called when all but the end of the content is
	// ready to be sent: from then on the outcome may become unknowable. An
	// error ends the transaction before the smart host can accept it.
	BeforeDot func() error

	// Revocable keeps the content back until the envelope was accepted, at
	// the cost of a round trip, so that BeforeDot is called late.
	Revocable bool
}
