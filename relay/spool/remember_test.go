package spool_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/envelope"
)

// A message whose recipients fail one after the other, each with a story of the
// server's, stays one that can be read.
func TestFailedAgainAndAgain(t *testing.T) {
	s, _ := openIn(t, t.TempDir())
	st, err := s.Load(commit(t, s, text(100)))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 40 {
		failed := *st
		failed.Attempts = nil
		for n := range 40 {
			failed.Attempts = append(failed.Attempts, spool.Attempt{
				Time: time.Now(), Recipients: []envelope.Path{envelope.Path(fmt.Sprintf("u%d.%d@example.org", round, n))},
				Cause: "recipient.unknown", Reply: strings.Repeat("<", 4096),
			})
		}
		failed.Envelope.To = []envelope.Recipient{{To: envelope.Path(fmt.Sprintf("u%d@example.org", round))}}
		if err := s.Fail(&failed); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.LoadFailed(st.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Envelope.To) != 40 || len(got.Attempts) != 50 || got.Attempts[0].Recipients[0] != "u0.0@example.org" {
		t.Errorf("%d recipients, %d attempts", len(got.Envelope.To), len(got.Attempts))
	}
}
