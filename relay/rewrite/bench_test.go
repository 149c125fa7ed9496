package rewrite_test

import (
	"io"
	"strings"
	"testing"

	"kurir/relay/rewrite"
)

// What a message costs that needs nothing, and one whose sender is replaced.
func BenchmarkWriter(b *testing.B) {
	for _, c := range []struct {
		name   string
		policy *rewrite.Policy
		from   string
	}{
		{"none", nil, "app@example.com"},
		{"allowed", compile(b, shop(rewrite.Unauthorized)), "App <app@example.com>"},
		{"replaced", compile(b, shop(rewrite.Unauthorized)), "App <app@example.org>"},
	} {
		content := []byte("Date: x\r\nMessage-ID: <x@example.org>\r\nFrom: " + c.from + "\r\nTo: you@example.com\r\nSubject: x\r\n\r\n" + strings.Repeat("x", 1000))
		o := options()
		o.Policy = c.policy
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := rewrite.NewWriter(io.Discard, o)
				w.Write(content)
				w.Close()
			}
		})
	}
}
