package envelope

import "strconv"

// MailCommand is MAIL for a message of so many octets, with the parameters that
// a server understands: those whose keyword it offers.
func (e *Envelope) MailCommand(offers func(keyword string) bool, size int64, eightBit bool) string {
	line := "MAIL FROM:" + e.From.String()
	if offers("SIZE") { // RFC 1870
		line += " SIZE=" + strconv.FormatInt(size, 10)
	}
	if eightBit && offers("8BITMIME") { // RFC 6152
		line += " BODY=8BITMIME"
	}
	if e.UTF8 && offers("SMTPUTF8") { // RFC 6531
		line += " SMTPUTF8"
	}
	if offers("DSN") {
		line += parameter("RET", e.Return) + parameter("ENVID", e.ID)
	}
	return line
}

// RcptCommand is RCPT with the parameters that a server understands.
func (r Recipient) RcptCommand(offers func(keyword string) bool) string {
	line := "RCPT TO:" + r.To.String()
	if offers("DSN") {
		line += parameter("NOTIFY", r.Notify) + parameter("ORCPT", r.Original)
	}
	return line
}

func parameter(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + "=" + value
}
