// Package history remembers what happened to mail: the lines of the log about
// messages and routes, in files of a day each, for "kurir why" and the status
// page. They are JSON lines with the log's own fields, so that jq reads them
// too; content is never among them.
//
// History serves people and not the mail: Writer.Write never waits for the disk
// and never fails, and what cannot be kept is left out. After a crash the last
// second may be missing and the last line torn, nothing else. The files together
// are bounded, the oldest go first. A Reader works on the files alone, while a
// relay writes them or none runs; it finds one message among some hundred
// thousand lines without decoding the others.
//
// Read Record and Writer first, then Reader (reader.go) and how it scans
// (scan.go); hours.go counts for the graph.
package history
