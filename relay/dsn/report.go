package dsn

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A Report is what one notification says. Kind, To, Host, Arrived, Now,
// Recipients and Original must be set; what else is zero is left out. Foreign
// words may be in it as they came.
type Report struct {
	Kind     Kind
	Language explain.Language // of the part for people

	From envelope.Path // in the header; "" is MAILER-DAEMON@ Host
	To   envelope.Path // as Policy.Notify gives it
	Host string        // our name; it is the Reporting-MTA

	// What is known of the original. Sender is its reverse-path, so that To
	// reads "your mail" only if it is theirs; EnvelopeID is ENVID in xtext.
	OurID      string
	MessageID  string
	Sender     envelope.Path
	EnvelopeID string
	Return     string // RET: FULL, HDRS or ""
	Arrived    time.Time
	Size       int64 // octets
	EightBit   bool

	Now        time.Time // when it happened, and the date of the notification
	RetryUntil time.Time // of a Delayed one: when it is given up

	Recipients []Recipient
	LeftOut    int // how many notifications Limit kept back before this one

	// Original reads the original from its start. Write closes it.
	Original func() (io.ReadCloser, error)
}

// A Recipient is one that a Report tells of, with why it failed or is late, or
// with the receipt of the server that it was handed on to.
type Recipient struct {
	envelope.Recipient
	Failure *explain.Failure
	Receipt *explain.Receipt
}

// Write writes r as a whole message, ready to be spooled: header and content
// with CRLF line ends. Where the original has a header in UTF-8, or an address
// has, some of its octets are above 127. An error is one of w or of the
// original; if that cannot be opened or its header not be read, nothing was
// written.
func Write(w io.Writer, r *Report) error {
	o, err := r.open()
	if err != nil {
		return err
	}
	defer o.close()

	b := bufio.NewWriter(w)
	parts := multipart.NewWriter(b)
	// Nobody can have guessed it, so nothing in the parts can end one.
	if err := parts.SetBoundary(rand.Text()); err != nil {
		return err
	}
	// The buffer keeps an error of w for the last who asks, which is Flush.
	r.header(b, o, parts.Boundary())
	r.text(b, parts)
	r.status(b, parts)
	if err := o.write(b, parts); err != nil {
		return fmt.Errorf("read the original: %w", err)
	}
	_ = parts.Close()
	return b.Flush()
}

// header writes the header of the notification.
func (r *Report) header(b *bufio.Writer, o *original, boundary string) {
	from := r.From
	if !isMailbox(from) {
		from = envelope.Path("MAILER-DAEMON@" + r.host())
	}
	to := "undisclosed-recipients:;" // RFC 5322 has no way to write the address
	if isMailbox(r.To) {
		to = r.To.String()
	}
	field(b, "From", "Mail Delivery System "+from.String())
	field(b, "To", to)
	field(b, "Subject", mime.QEncoding.Encode("utf-8", r.subject()))
	field(b, "Date", r.Now.Format(time.RFC1123Z))
	field(b, "Message-ID", "<"+rand.Text()+"@"+r.host()+">")
	if isMessageID(r.MessageID) {
		field(b, "In-Reply-To", r.MessageID)
		field(b, "References", r.MessageID)
	}
	field(b, "Auto-Submitted", "auto-replied") // RFC 3834, section 5
	field(b, "MIME-Version", "1.0")
	field(b, "Content-Type", `multipart/report; report-type=delivery-status; boundary="`+boundary+`"`)
	if o.utf8 || r.utf8() {
		field(b, "Content-Transfer-Encoding", "8bit")
	}
	b.WriteString("\r\n")
}

// part begins a part of the message: what is written to the buffer below parts
// from here on.
func part(parts *multipart.Writer, contentType, encoding string) {
	_, _ = parts.CreatePart(textproto.MIMEHeader{
		"Content-Type":              {contentType},
		"Content-Transfer-Encoding": {encoding},
	})
}

// host is our name where it is one.
func (r *Report) host() string {
	if isToken(r.Host) {
		return r.Host
	}
	return "localhost"
}

// utf8 tells whether addresses make the status one of RFC 6533.
func (r *Report) utf8() bool {
	for _, to := range r.Recipients {
		if !isASCII(string(to.To)) || !isASCII(envelope.DecodeXtext(to.Original)) {
			return true
		}
	}
	return false
}

// isMailbox tells that a header can hold p as an address and as nothing else.
func isMailbox(p envelope.Path) bool {
	again, err := envelope.ParsePath(string(p))
	return err == nil && p != "" && again == p && clean(string(p)) == string(p) && len(p) < maxWord
}

func isMessageID(s string) bool {
	return len(s) > 2 && len(s) < maxWord && s[0] == '<' && s[len(s)-1] == '>' &&
		isASCII(s) && clean(s) == s && !strings.ContainsAny(s, " ,") && strings.Count(s, "<") == 1 && strings.Count(s, ">") == 1
}
