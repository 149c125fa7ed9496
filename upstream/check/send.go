package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"kurir/upstream"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// Sent is a test mail that the smart host took responsibility for.
type Sent struct {
	From      envelope.Path `json:"from"`
	To        envelope.Path `json:"to"`
	Over      string        `json:"over"`
	Reply     string        `json:"reply"` // the server's last words
	ElapsedMS float64       `json:"elapsed_ms"`
}

// sender is the account, where it is an address: most providers allow that
// one. Else it is the recipient, who can only complain to himself.
func sender(username string, to envelope.Path) envelope.Path {
	if p, err := envelope.ParsePath(username); err == nil && p.Domain() != "" {
		return p
	}
	return to
}

// send delivers a small mail as a relay does.
func send(ctx context.Context, host *upstream.SmartHost, from, to envelope.Path) (*Sent, *explain.Failure) {
	running, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); host.Run(running) }()
	defer func() { stop(); <-ended }()

	content := testMail(from, to)
	m := &envelope.Message{
		Envelope: envelope.Envelope{From: from, To: []envelope.Recipient{{To: to}}, UTF8: !from.IsASCII() || !to.IsASCII()},
		ID:       "check",
		Size:     int64(len(content)),
		EightBit: !from.IsASCII() || !to.IsASCII(),
		Open:     func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
	began := time.Now()
	receipt, err := host.Deliver(ctx, m)
	if err != nil {
		var f *explain.Failure
		if !errors.As(err, &f) {
			f = explain.Explain(explain.Failure{Err: err})
		}
		f.Facts = append(f.Facts, explain.Fact{Name: explain.FactOnce, Value: "yes"})
		return nil, f
	}
	return &Sent{
		From: from, To: to, Over: receipt.Candidate.String(),
		Reply: receipt.Reply.Line(), ElapsedMS: milliseconds(time.Since(began)),
	}, nil
}

// testMail says what it is, so that whoever finds it in a mailbox later knows.
func testMail(from, to envelope.Path) string {
	now := time.Now()
	domain := from.Domain()
	return strings.Join([]string{
		"From: Kurir <" + string(from) + ">",
		"To: <" + string(to) + ">",
		"Subject: Kurir can send mail",
		"Date: " + now.Format(time.RFC1123Z),
		fmt.Sprintf("Message-ID: <check.%s@%s>", rand.Text(), domain),
		"Auto-Submitted: auto-generated", // RFC 3834, so that nobody answers it
		"MIME-Version: 1.0",
		"Content-Type: text/plain; charset=us-ascii",
		"",
		"This is the test mail of the command \"kurir check --send\".",
		"It went the way that the mail of your apps will go.",
		"",
	}, "\r\n")
}
