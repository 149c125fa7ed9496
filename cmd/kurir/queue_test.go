package main_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// "until PATTERN PROGRAM ARGUMENT…" runs a program again and again until its
// stdout matches the pattern.
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM ARGUMENT…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	for {
		_ = ts.Exec(args[1], args[2:]...) // its exit code may change too
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		ts.Check(ctx.Err())
	}
}

// "stories ARGUMENT…" shows each message that "kurir queue list" lists.
func scriptStories(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: stories ARGUMENT…")
	}
	ts.Check(ts.Exec("kurir", append([]string{"queue", "list", "--json"}, args...)...))
	ids := []string{"queue", "show"}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var m struct{ ID string }
		ts.Check(json.Unmarshal([]byte(line), &m))
		ids = append(ids, m.ID)
	}
	ts.Check(ts.Exec("kurir", ids...))
}
