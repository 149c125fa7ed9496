// Package dsn writes delivery status notifications: the mail that tells a
// person that other mail failed, is late, or was handed on to a server that
// does not report (RFC 3461, 3464 and 6522; for UTF-8, RFC 6533).
//
// It promises:
//
//   - A notification says in plain words what happened and what to do, those
//     of package explain, and holds the same for programs.
//   - What others said (addresses, replies, parameters, the header of the
//     original) cannot add a field or a part to it, nor hide its meaning:
//     there are three parts, CRLF line ends, and lines of at most 998 octets.
//   - It causes no loop. Nobody is told about a notification, and a Limit
//     keeps one fault from filling a mailbox.
//   - Memory is bounded by the recipients told of, not by the original.
//
// It is pure but for the reader it is given, and has no clock of its own. The
// reverse-path of a notification is the null one; the caller sees to that when
// it submits it.
//
// Reading order: policy.go (whether, and whom), limit.go (how often),
// report.go (the message), then its parts: text.go and words.go (for
// people), status.go (for programs), original.go; line.go is how all of them
// write foreign words.
package dsn
