// Package drop is the directory in which mail is left for a relay that does
// not run, by any user of the machine, and from which the relay takes it.
//
// # The directory
//
// Make makes it with mode 1733: everybody may put a file into it and nobody
// but the relay can see which there are, or remove what is not his own. The
// files themselves can be read by everybody (0644), because the relay runs as
// another user than who leaves them. What protects them is their name, 128
// random bits, which only Put and the relay know.
//
// # A file
//
// A line of JSON says version and envelope; behind it is the content as it
// came, with line ends of any kind:
//
//	{"version":1,"from":"app@example.com","to":[{"to":"root","notify":"NEVER"}],"ret":"HDRS","envid":"x"}
//
// Put writes it under a name that ends in .tmp, flushes it, and renames it, so
// that the relay never sees half a message and a message that Put has
// reported survives a power cut.
//
// # Taking
//
// A Taker looks at what is there when it starts, and then whenever the
// directory has changed. Anybody may have put anything there, so it opens only
// regular files with a single name (a hard link could be to a file that its
// maker may not read), never follows a link or waits for a pipe, reads no more
// than a message may have, and serves the users in turn, so that a flood of
// one does not keep the others waiting. What is no message gets .bad
// behind its name, and what was refused for good .refused, for a person to look at.
//
// A file is removed when its message is safe elsewhere. Should the relay die
// in the instant between these two, the message is taken, and sent, twice:
// twice is better than never.
//
// Read record.go (a file's form) first, then put.go, then taker.go, which
// relies on sample.go for the choice of files.
package drop
