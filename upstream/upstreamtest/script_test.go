package upstreamtest

import (
	"strings"
	"testing"
)

// TestFaults holds what the author of a script is told about a mistake in
// it: people who know no Go write them.
func TestFaults(t *testing.T) {
	const head = "Why.\n-- dialogue --\n"
	tests := []struct{ script, want string }{
		{"-- dialogue --\nS: 1\n", "x:1: a first sentence"},
		{"Why.\n", "x:1: there is no -- dialogue --"},
		{"Why.\n-- explanation --\n", "x:1: there is no -- dialogue --"},
		{"Why.\n-- dialog --\nS: 1\n", `x:2: section "dialog"`},
		{"Why.\n-- candidate 70000 --\nS: 1\n", `x:2: section "candidate 70000"`},
		{"Why.\n-- --\r\nS: 1\n", "x:2: the section has no name"},
		{head, "x:2: a dialogue has lines, or it is closed"},
		{head + "closed\nS: 1\n", "x:2: a dialogue has lines, or it is closed"},
		{head + "S: 1\nX: 2\n", `x:4: "X: 2" is neither`},
		{head + "S: * dance\n", `x:3: "S: * dance" is not something`},
		{head + "C: * tls\n", `x:3: "C: * tls" is not something`},
		{head + "S: * tls now\n", `x:3: "S: * tls now" is not something`},
		{head + "S: * bytes 'x\n", "x:3: 'x is not a Go string"},
		{head + "mode: plain\nS: 1\n", `x:3: "mode: plain" is not known`},
		{head + "certificate: bad\nS: 1\n", `x:3: "certificate: bad" is not known`},
		{head + "version: 3.0\nS: 1\n", `x:3: "version: 3.0" is not known`},
		{head + "S: 1\n-- dialogue --\nmode: implicit\nS: 1\n", "x:4: port 587 is starttls already"},
		{head + "repeat\nS: 1\n-- dialogue --\nS: 1\n", "x:5: nothing can follow the repeated"},
		{head + "S: 1\n-- dialogue --\nclosed\n", "x:4: port 587 is closed"},
		{head + "unreachable\nS: 1\n", "x:2: a dialogue has lines, or it is closed or out of reach"},
		{head + "resolve: no\n", `x:3: "resolve: no" is not known`},
	}
	for _, tt := range tests {
		_, err := parse("x", []byte(tt.script))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.script, err, tt.want)
		}
	}
}

// TestMatches covers the wildcard.
func TestMatches(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"EHLO *", "EHLO x", true}, {"EHLO *", "EHLO ", true}, {"EHLO *", "EHLO", false},
		{"*", "", true}, {"a*c*e", "abcde", true}, {"a*c*e", "abcd", false}, {"*b", "abab", true},
		{"DATA", "DATA", true}, {"DATA", "DATA ", false}, {"", "", true},
	}
	for _, tt := range tests {
		if got := matches(tt.pattern, tt.s); got != tt.want {
			t.Errorf("matches(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

// FuzzScript exists because any file must be read or refused, never panic.
func FuzzScript(f *testing.F) {
	f.Add("Why.\n-- dialogue --\nrepeat\nS: 220 a\nC: * body\n-- candidate 465 --\nclosed\n-- explanation --\nx\n")
	f.Add("Why.\n-- candidate --\n")
	f.Add("Why.\n-- --")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse("x", []byte(text))
		if (s == nil) == (err == nil) {
			t.Errorf("script %v, error %v", s, err)
		}
	})
}
