package upstream_test

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/upstream"
	"kurir/upstream/explain"
	"kurir/upstream/upstreamtest"
)

var update = flag.Bool("update", false, "rewrite the explanations in testdata")

// Each file plays what a server really said, and holds what a person reads
// about it. A report from the field is one more file.
func TestDialogues(t *testing.T) {
	for _, file := range glob(t, "testdata/dialogues/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			playFile(t, file, upstream.Options{Host: "localhost"})
		})
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files are like %s: %v", pattern, err)
	}
	return files
}

// playFile delivers one message to the server of a file, and compares what a
// person reads about it.
func playFile(t *testing.T, file string, o upstream.Options) {
	t.Helper()
	script := upstreamtest.Load(t, file)
	o.FallbackAfter = time.Minute
	if script.Silent() {
		upstream.Hurry(t)
		o.FallbackAfter = hurry
	}
	server := script.Serve(t)
	o.Candidates, o.RootCAs = server.Candidates(), server.Pool()
	o.Username, o.Password, o.Hostname = "app@example.com", "secret", "app.example.com"
	h := newHost(t, upstream.WithResolver(o, upstreamtest.Resolver()))
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
