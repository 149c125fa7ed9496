package maillog_test

import (
	"io"
	"testing"
	"time"

	"kurir/relay/maillog"
	"kurir/upstream/explain"
)

// The two lines that each mail has when all is well.
func BenchmarkLines(b *testing.B) {
	l := maillog.New(io.Discard, maillog.Options{Level: "info", Format: "json"}).Keeping(io.Discard)
	receipt := &explain.Receipt{Candidate: failed("").Candidate, Reply: *explain.NewReply(250, []string{"2.0.0 OK queued as 1234"}), ID: "1234"}
	b.ReportAllocs()
	for b.Loop() {
		l.Accepted(mail)
		l.Sent(mail, receipt, time.Millisecond)
	}
}
