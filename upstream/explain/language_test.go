package explain_test

import (
	"strings"
	"testing"

	"kurir/upstream/explain"
)

// What a server says can be of any length and turn a terminal upside down.
func TestSay(t *testing.T) {
	w := explain.Words{"a": {"b": "it says {words}"}}
	if got := w.Say("a.b", "words", "x\n\x1b[2J\u202e\u2028\u009b{words}"); strings.ContainsAny(got, "\n\x1b\u202e\u2028\u009b") || !strings.HasPrefix(got, "it says x") {
		t.Errorf("%q", got)
	}
	if got := w.Say("a.b", "words", strings.Repeat("ü", 20_000)); len(got) > 2050 {
		t.Errorf("%d octets", len(got))
	}
}
