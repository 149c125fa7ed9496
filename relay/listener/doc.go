// Package listener is the SMTP server that the apps talk to: who may connect,
// how much a session may take, and how a message gets from the socket into a
// spool.Draft. A message handed to Options.Submit has been ended by its client
// in full and has canonical line ends; what is answered to the client is what
// Submit said, made safe.
//
// go-smtp keeps the dialogue: order of commands, replies, the life of a
// session, panics. It reads the socket through a conn of ours, which hands it
// one command a time and nothing of a message's content. That is how the
// promises come about that go-smtp alone does not give:
//
//   - only CRLF "." CRLF ends a message (RFC 5321, section 4.1.1.4), and when a
//     client stalls or goes away inside a message, nothing that follows is ever
//     taken for a command;
//   - a half message is never submitted, be it sent with DATA or BDAT;
//   - a client's words reach neither go-smtp's parser nor a reply unchecked;
//   - lines of content have any length, a slow but steady upload is never cut;
//   - replies to pipelined commands go out in one write.
//
// Read Server first, then conn (conn.go, output.go, command.go, content.go) from
// the socket upwards, then session, which is one client's dialogue. doorman.go,
// access.go and allow.go say who gets as far as that, giveway.go who has to make
// room; handin.go takes what no client brings.
//
// STARTTLS (tls.go) and AUTH (signin.go) are offered only where they are
// configured: one app in six fails when it is offered a certificate that it
// cannot verify, and there is nothing to sign in to.
package listener
