// Package spool keeps messages on disk between the moment an application is
// told "250" and the moment every recipient is served.
//
// It promises: once Draft.Commit has returned nil, the message is there whole
// after a kill -9 or a power cut (P1), and it stays until Done (P2). No part
// of a message that was not committed is ever delivered. A message that is
// done does not come back, except after a power cut that came before its mark
// was flushed. Memory does not grow with the size of messages, only by some
// 150 octets for each that waits (P10). A full disk stops intake, never
// delivery, and passes without help (P4).
//
// On Windows a power cut can still take what was committed in the moments
// before it, which FlushesNames tells.
//
// What comes and goes quickly is in a journal, since one flush then serves
// everyone who waits for it; what stays, because it was deferred or failed, is
// in plain files, for people to look at with ls, less and jq.
//
// To read the code: Options, Spool and Open (spool.go), Draft (draft.go) and its
// Commit (commit.go), the outcomes Sending, Done, Defer and Fail (outcome.go),
// what becomes of failed messages (failed.go), and the reading side (stored.go);
// Look (view.go) reads a spool that another process has. Below that, record.go
// has the bytes, journal.go writes them, flush.go makes them durable, compact.go
// gives space back, space.go says when there is none, recovery*.go are Open.
// disk.go is every call to the system.
//
// # Files
//
//	LOCK              flock by the one process that uses the spool, with its number
//	VERSION           "1"; a spool with another is refused and not changed
//	RESERVE           4 MB that are given up when a mark finds no room
//	journal/<seq>.seg segments; seq is 16 hexadecimal digits
//	big/<id>.eml      content above 256 KB of messages in the journal
//	deferred/<id>.eml and .json: a message that has been tried, or is held
//	failed/<id>.eml   and .json: a message that failed for good, for those recipients
//	bad/              what could not be understood, for a person to look at
//
// An .eml file is the content as it will be sent: lines end in CRLF, nothing
// is dot-stuffed. A .json file is a Stored. Other names are left alone, but for
// .tmp (a file that is being written) and .done (a .json whose message is
// being removed). When spool and program are stopped, a pair may be moved from
// failed/ to deferred/; size in the .json has to be that of the .eml.
//
// # The journal
//
// A segment begins with 16 octets: "KURIRSG1", then its sequence number in 8.
// Then records follow each other. Numbers are little-endian, checksums are
// CRC-32C.
//
//	offset  octets
//	   0      4     magic 0d 4b 0a 4a: a CR without LF, which no content or JSON has
//	   4      1     kind
//	   5      3     zero
//	   8      8     ID of the message
//	  16      8     sequence number of the segment
//	  24      4     offset of the record in the segment
//	  28      4     the segment had been flushed up to this offset
//	  32      4     length of the payload
//	  36      4     checksum of the payload
//	  40      4     checksum of octets 0 to 39
//	  44            payload
//
//	kind           payload
//	1  PUT         length of the envelope in 4 octets, envelope (JSON of Stored), content
//	2  DONE        none
//	3  BIG         length and envelope as above, size of the content in 8, its checksum in 4
//	4  SENDING     number of the attempt in 4
//	5  VOID        what a power cut left, made into a record so that the next is found
//
// A reader skips kinds it does not know. At 16 MB the segment is flushed and a
// new one begun; a segment of an earlier process is never written to again,
// except that recovery mends the end of the newest.
//
// # The order of writes
//
// Two rules make every order below safe. Nothing counts before all it needs is
// flushed. Nothing is removed before what makes it needless is flushed.
//
// Commit of small content appends a PUT record and waits for a flush that
// began after it was written. The first to wait flushes for all who come
// until it can begin, so that a hundred sessions cost two flushes, not a
// hundred. Records of one flush are written in one call where they are small.
//
// Commit of large content: big/<id>.eml.tmp is streamed, flushed, renamed, the
// directory flushed; then a BIG record as above. A file without a record is
// nothing, and recovery removes it.
//
// Done appends a DONE record; the next Commit or Sync flushes it. Of large
// content it is flushed at once, and then the file is removed, so that a
// record without its file always means damage. In deferred/ the .json is
// renamed to .done, the .eml removed, the .done removed.
//
// Defer writes and flushes the .eml (a hard link where there is a file
// already), then the .json, then the directory, then a DONE record and its
// flush. A message found both in deferred/ and in the journal is the one in
// deferred/. Fail does the same in failed/, without the DONE; its .json names
// those whose sender has still to be notified, until Notified writes it anew.
//
// Revive links the .eml from failed/ into deferred/, writes and flushes the
// .json, then the directory: from here the message waits. Then it is removed
// from failed/, .json first. If it waits already, for other recipients, a Defer
// for all of them takes the place of the first part. A message found in both
// places belongs in both, or a power cut came in between: to revive it again
// then changes nothing. An .eml alone in deferred/ of a message that failed/ has
// whole is of a Revive that did not come to its end, and is removed.
//
// Sending appends a SENDING record, which is not flushed. A message that is
// stored when its delivery has come to the dot says so in its envelope block.
//
// A segment is removed when nothing in it waits and all older ones are gone,
// directory flushed: a DONE record outlives the PUT it ends. When a few
// messages hold back many segments, their records are copied to the end of
// the journal and flushed, and only then is the old segment removed.
//
// A write that fails is undone by cutting the segment where it began; the
// messages in it are refused. A flush that fails is not tried again on that
// descriptor, since a second one would report success for what the first has
// lost: everyone waiting is refused, the segment takes no more records, and a
// new one is begun with a flushed DONE record for each refused message, whose
// record may be on the disk after all. If the new segment fails too, intake
// stops and is tried again once a second; the DONE records are owed until one
// succeeds. Should the machine lose power in that state, a refused message
// may be delivered once: that cannot be told from the other case.
//
// # Recovery
//
// Open reads the segments in order. In the newest, records missing behind what
// was known to be flushed are a torn end: they were promised to nobody, are
// counted in Recovery.TornBytes and filled. (The last flush before a power cut
// has no later record that knows of it, so damage there counts as torn too.)
// Anything else that is no record is damage: the scan goes on at the next
// valid record, what can be read stays in use, a copy of the segment goes to
// bad/. A .json that cannot be read, or whose .eml is missing or of another
// size, goes to bad/; so does a BIG record without its file. Nothing that
// could be a message is deleted. Content is checked against its checksum again
// whenever it is read from the journal or big/; a reader then fails in place
// of the end, and the message cannot be sent whole.
//
// # What is assumed of the system
//
// fdatasync and fsync of a directory return when the disk has it, and do not
// lie. A rename within a directory is atomic. Blocks that were not flushed may
// be there or not, in any order and in part. Hard links are used where they
// work. flock works on the file system, which NFS of old did not.
//
// # Limits
//
// An envelope has at most 4 MB of JSON. Content in the journal is not
// encrypted or compressed; disk space of a done message comes back with its
// segment. MaxSize counts what waits, not failed/, which Expire and the free
// space of the disk bound. Marks of the last moments, up to 4096, may be lost
// in a power cut, each worth one message sent twice.
package spool
