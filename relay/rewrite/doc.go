// Package rewrite makes an app's message fit for submission (RFC 6409,
// section 8) while it streams past: a Received line is put on top, Date and
// Message-ID are added where they are missing, and what the app wrote goes
// through octet for octet.
//
// It promises that nothing private to the app or its network gets into what
// it adds, that a message going in circles is noticed, and that memory is
// bounded by MaxHeader, whatever the size of the message. It neither knows
// SMTP nor the spool. Read Writer first, then the fields it finds.
package rewrite
