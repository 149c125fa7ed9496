package dsn

import (
	"bufio"
	"mime/multipart"
	"strings"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

const maxEnvelopeID = 100 // RFC 3461, section 4.4

// status writes the part for programs (RFC 3464, section 2): the fields of the
// message, then those of each recipient.
func (r *Report) status(w *bufio.Writer, parts *multipart.Writer) {
	contentType, encoding, fit := "message/delivery-status", "7bit", ascii
	if r.utf8() {
		contentType, encoding, fit = "message/global-delivery-status", "8bit", clean
	}
	part(parts, contentType, encoding)
	field(w, "Original-Envelope-Id", cut(ascii(clean(envelope.DecodeXtext(r.EnvelopeID))), maxEnvelopeID))
	field(w, "Reporting-MTA", "dns; "+r.host())
	field(w, "Arrival-Date", r.Arrived.Format(time.RFC1123Z))
	for i := range r.Recipients {
		w.WriteString("\r\n")
		r.statusOf(w, &r.Recipients[i], fit)
	}
}

func (r *Report) statusOf(w *bufio.Writer, to *Recipient, fit func(string) string) {
	field(w, "Original-Recipient", fit(originalRecipient(to.Original)))
	kind := "rfc822"
	if !isASCII(string(to.To)) {
		kind = "utf-8" // RFC 6533, section 3
	}
	field(w, "Final-Recipient", fit(kind+"; "+string(to.To)))
	field(w, "Action", string(r.Kind))
	field(w, "Status", r.code(to).String())
	if host, reply := to.heard(); reply != nil {
		if isToken(host) {
			field(w, "Remote-MTA", "dns; "+host)
		}
		field(w, "Diagnostic-Code", fit("smtp; "+reply.Line()))
	}
	field(w, "Last-Attempt-Date", r.Now.Format(time.RFC1123Z))
	if r.Kind == Delayed && !r.RetryUntil.IsZero() {
		field(w, "Will-Retry-Until", r.RetryUntil.Format(time.RFC1123Z))
	}
}

// originalRecipient is ORCPT as it was meant; "" if it is not of the form
// type;address. An address of the type utf-8 has an encoding of its own, which
// readers of the field know (RFC 6533, section 3).
func originalRecipient(orcpt string) string {
	kind, address, found := strings.Cut(orcpt, ";")
	if !found || !isToken(kind) || address == "" {
		return ""
	}
	if !strings.EqualFold(kind, "utf-8") {
		address = envelope.DecodeXtext(address)
	}
	return kind + "; " + address
}

// code is the status of a recipient. A Failed one has class 4 where the cause
// might have passed and we gave up waiting (RFC 3463, section 2).
func (r *Report) code(to *Recipient) explain.EnhancedCode {
	code := explain.EnhancedCode{5, 0, 0}
	if to.Failure != nil {
		code = to.Failure.Enhanced()
	}
	switch r.Kind {
	case Delayed:
		code[0] = 4
	case Relayed:
		code = explain.EnhancedCode{2, 0, 0}
		if to.Receipt != nil && to.Receipt.Reply.Enhanced[0] == 2 {
			code = to.Receipt.Reply.Enhanced
		}
	}
	return code
}
