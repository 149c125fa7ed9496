package upstream_test

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"kurir/upstream"
	"kurir/upstream/explain"
	"kurir/upstream/upstreamtest"
)

var update = flag.Bool("update", false, "rewrite the explanations in testdata/dialogues")

// Each file plays what a server really said, and holds what a person reads
// about it. A report from the field is one more file.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogues/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			script := upstreamtest.Load(t, file)
			server := script.Serve(t)
			h := newHost(t, upstream.Options{
				Host: "localhost", Candidates: server.Candidates(), RootCAs: server.Pool(),
				Username: "app@example.com", Password: "secret", Hostname: "app.example.com",
				FallbackAfter: patience,
			})
			receipt, err := h.Deliver(t.Context(), message(hello, "you@example.org", "other@example.org"))
			got := server.Public(told(receipt, err))
			if *update {
				if err := script.Save(got); err != nil {
					t.Fatal(err)
				}
			}
			if want := script.Explanation; got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// told is what became of a message, in the words that a person reads.
func told(receipt *explain.Receipt, err error) string {
	var b strings.Builder
	if receipt != nil {
		fmt.Fprintf(&b, "sent over %s: %s\n", withoutAddress(receipt.Candidate), receipt.Reply.Line())
		for _, f := range receipt.Refused {
			tell(&b, f)
		}
	}
	var all explain.Refusals
	var one *explain.Failure
	switch {
	case errors.As(err, &all):
		for _, f := range all {
			tell(&b, f)
		}
	case errors.As(err, &one):
		tell(&b, one)
	case err != nil:
		fmt.Fprintf(&b, "trouble on our side: %v\n", err)
	}
	return b.String()
}

func tell(b *strings.Builder, f *explain.Failure) {
	e := f.Explanation()
	fmt.Fprintf(b, "%s at %s of %s: %s\n", f.Cause, f.Stage, withoutAddress(f.Candidate), f.Verdict())
	fmt.Fprintf(b, "  what: %s\n  why:  %s\n  do:   %s\n", e.Title, e.Meaning, e.Fix)
	if f.Reply != nil {
		fmt.Fprintf(b, "  said: %s\n", strings.ReplaceAll(f.Reply.String(), "\n", "\n        "))
	}
	for _, c := range f.Candidates {
		fmt.Fprintf(b, "  %s at %s of %s\n", c.Cause, c.Stage, withoutAddress(c.Candidate))
	}
}

func withoutAddress(c explain.Candidate) string {
	c.Addr = ""
	return c.String()
}
