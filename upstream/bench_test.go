package upstream_test

import (
	"strings"
	"testing"

	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// Deliveries over kept sessions, to a provider that takes a mail in one round
// trip (CHUNKING), in two (PIPELINING), or step by step.
func BenchmarkDeliver(b *testing.B) {
	for _, c := range []struct {
		name    string
		without []string
	}{
		{"chunking", nil},
		{"pipelining", []string{"CHUNKING"}},
		{"stepwise", []string{"CHUNKING", "PIPELINING"}},
	} {
		for _, m := range []struct {
			name string
			size int
		}{{"1K", 1 << 10}, {"1M", 1 << 20}} {
			content := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 74)+"\r\n", m.size/76)
			b.Run(c.name+"/"+m.name, func(b *testing.B) {
				s := upstreamtest.Sandbox(b, sandbox.Options{})
				if err := s.Set(sandbox.Behaviour{Without: c.without}); err != nil {
					b.Fatal(err)
				}
				h := newHost(b, options(s))
				b.SetBytes(int64(len(content)))
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := h.Deliver(b.Context(), message(content, "you@example.org")); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
