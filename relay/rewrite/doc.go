// Package rewrite makes an app's message fit for submission (RFC 6409,
// section 8) while it streams past, and puts senders that the provider sends
// for in place of others, and people in place of names such as root.
//
// What is done to each message:
//
//   - A Received line is put on top, and Date, Message-ID and From where they
//     are missing. A From that is missing or empty is Rules.From, else the
//     reverse-path, else MAILER-DAEMON.
//   - Bcc and Resent-Bcc are removed.
//
// And where a Policy says so:
//
//   - The envelope: a reverse-path that may not stay becomes Rules.From, the
//     null one stays; aliases are followed among the recipients.
//   - A From field in which somebody is named who may not stay, or that cannot
//     be read, becomes Rules.From with the display name that was there.
//     Who was named is put into a Reply-To, unless there is one. Where
//     there is more than one From field, the first counts and the others go.
//   - A Sender that may not stay is removed, as the From that has taken its
//     place names one sender; where a From with several authors stays, Sender
//     becomes Rules.From.
//   - The Resent- fields stay, Bcc aside: they tell who passed an earlier
//     message on (RFC 5322, section 3.6.6), and no provider judges a sender
//     by them.
//
// All else goes through octet for octet. In a message with a DKIM-Signature
// nothing is added that a signature's h= names, since it would no longer be
// valid then, and a Bcc field that is named there stays. What a Policy demands
// is done nevertheless, and breaks the signature where it covers the sender.
//
// The package promises that nothing private to the app or its network gets
// into what it adds, that neither Rules nor a field of the app can add a field
// of their choosing, that a message going in circles is noticed, and that
// memory is bounded by MaxHeader, whatever the size of the message. It neither
// knows SMTP nor the spool.
//
// Read Writer first, then the fields it finds (header.go) and what becomes of
// them (edit.go); policy.go says who may stay, and address.go reads the fields
// in which they are named.
package rewrite
