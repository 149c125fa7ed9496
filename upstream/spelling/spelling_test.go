package spelling_test

import (
	"strings"
	"testing"

	"kurir/upstream/spelling"
)

// Each slip of the fingers counts once, and a long word costs no time.
func TestSlips(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"gmail", "gmail", 0}, {"gmial", "gmail", 1}, {"gmai", "gmail", 1},
		{"ggmail", "gmail", 1}, {"gnail", "gmail", 1}, {"hots", "host", 1}, {"smpt.gmial", "smtp.gmail", 2},
		{"host", "username", 8}, {strings.Repeat("x", 65), "x", 65},
	} {
		if got := spelling.Slips(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %d slips, want %d", c.a, c.b, got, c.want)
		}
		if got := spelling.Slips(c.b, c.a); got != c.want {
			t.Errorf("%q and %q: %d slips, want %d", c.b, c.a, got, c.want)
		}
	}
}
