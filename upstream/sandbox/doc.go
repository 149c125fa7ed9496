// Package sandbox is a mail provider of our own on loopback: the first smart
// host of a newcomer, the smart host of the tests, and the demonstration of
// every failure.
//
// An honest sandbox wants TLS, then AUTH, then takes mail and keeps it, in
// memory or in a Maildir; nothing ever leaves it. It is strict where real
// providers differ: commands end in CRLF, a client pipelines only when that
// is offered, parameters are taken only when their extension was announced,
// and content with a bare CR or LF is refused (RFC 5321, section 2.3.8).
//
// It misbehaves in two ways. A program changes its Behaviour, also while it
// runs. A person sends mail to an address whose local part names the failure
// to see, in any domain, with or without a +tag:
//
//	recipient.unknown@sandbox.test     recipient.mailbox_full@…  recipient.blocked@…
//	sender.not_allowed@…               sender.domain@…           relay.denied@…
//	limit.rate@…                       limit.quota@…             limit.connections@…
//	message.spam@…                     message.too_large@…       ip.blocked@…
//	server.busy@…                      server.error@…
//
// and so on: every cause that a provider can give once the client has logged
// in (see magic.go). greylisted@… is refused once and then accepted.
// connect.closed@… ends the connection at RCPT; delivery.uncertain@… takes
// the message and hangs up before saying so. reply-550-5.1.1@… is refused
// with just that reply; reply-451-4.3.0-dot@… gives it after the final dot
// (the stages are rcpt, data and dot).
//
// Read server.go for the life of the two ports, behaviour.go for what can go
// wrong, session.go and mail.go for the dialogue.
package sandbox
