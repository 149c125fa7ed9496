package envelope_test

import (
	"strings"
	"testing"

	"kurir/upstream/envelope"
)

// Parameters are written into commands as they are: what is none could be read
// as a command of its own (P9).
func TestParameters(t *testing.T) {
	for _, c := range []struct {
		name      string
		is        func(string) bool
		good, bad []string
	}{
		{"RET", envelope.IsReturn, []string{"FULL", "HDRS"}, []string{"", "full", "FULL\r\nDATA"}},
		{"ENVID", envelope.IsID, []string{"x", "a+20b", "+2B", strings.Repeat("x", 100)}, []string{"", "a b", "a=b", "a+", "a+2", "a+2b", "ü", "x\r\nRSET", "x\x7f", strings.Repeat("x", 101)}},
		{"NOTIFY", envelope.IsNotify, []string{"NEVER", "DELAY", "SUCCESS,FAILURE,DELAY"}, []string{"", "never", "NEVER,DELAY", "DELAY,DELAY", "DELAY,", "DELAY, FAILURE"}},
		{"ORCPT", envelope.IsOriginal, []string{"rfc822;a@example.org", "utf-8;a+2Bb@example.org"}, []string{"", "rfc822", "rfc822;", ";a@b", "rfc822;a b", "rfc822;" + strings.Repeat("x", 500)}},
	} {
		for _, s := range c.good {
			if !c.is(s) {
				t.Errorf("%s=%q is refused", c.name, s)
			}
		}
		for _, s := range c.bad {
			if c.is(s) {
				t.Errorf("%s=%q is taken", c.name, s)
			}
		}
	}
}

// What is written as xtext is read as it was, and is a parameter.
func FuzzXtext(f *testing.F) {
	for _, s := range []string{"", "a b+c=d", "+2B", "\x00\xff", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := envelope.EncodeXtext(s)
		if got := envelope.DecodeXtext(encoded); got != s || s != "" && len(encoded) <= 100 && !envelope.IsID(encoded) {
			t.Errorf("%q became %q, and that %q", s, encoded, got)
		}
	})
}
