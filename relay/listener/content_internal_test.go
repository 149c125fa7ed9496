package listener

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// reference says octet by octet what canonical does in long stretches.
func reference(in string) (content string, used int, done bool) {
	var out strings.Builder
	fresh := true // a literal CRLF, or the start, is behind
	for i := 0; i < len(in); {
		rest := in[i:]
		if fresh && rest[0] == '.' {
			switch {
			case strings.HasPrefix(rest, ".\r\n"):
				return out.String(), i + 3, true
			case rest == "." || rest == ".\r":
				return out.String(), i, false
			case rest[1] == '\r' || rest[1] == '\n':
				out.WriteByte('.')
			}
			fresh = false
			i++
			continue
		}
		fresh = false
		run := len(rest) - len(strings.TrimLeft(rest, "\r"))
		switch {
		case run > 0 && run == len(rest): // not decided yet
			return out.String(), len(in), false
		case run > 0 && rest[run] == '\n':
			out.WriteString("\r\n")
			i += run + 1
			fresh = true
		case run > 0:
			out.WriteString(strings.Repeat("\r\n", run))
			i += run
		case rest[0] == '\n':
			out.WriteString("\r\n")
			i++
		default:
			out.WriteByte(rest[0])
			i++
		}
	}
	return out.String(), len(in), false
}

// Line ends and dots must be read the same whatever the network makes of the
// segments.
func FuzzContent(f *testing.F) {
	for _, s := range []string{
		"", ".\r\n", "x\r\n.\r\n", "a\nb\rc\r\r\n..\r\n.x\r\n.\n.\r.\r\r\n.\r\n", "\r", "\r\r", "\r\n.", "\r\n.\r", "\r\r\n.\r\nQUIT\r\n",
	} {
		for part := range 4 {
			f.Add([]byte(s), part+1)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, part int) {
		want, used, done := reference(string(in))
		var out bytes.Buffer
		n := &canonical{w: &out, fresh: true}
		part = min(max(part, 1), 1<<16)
		read, got, ended := 0, 0, false // octets that have come, and that are used
		for !ended && read < len(in) {
			read = min(read+part, len(in))
			var k int
			k, ended = n.dotted(in[got:read])
			got += k
		}
		if ended != done || got != used || out.String() != want {
			t.Fatalf("%q in parts of %d: ended %v after %d with %q, want %v after %d with %q", in, part, ended, got, out.String(), done, used, want)
		}
	})
}

// A message of CRs is the worst case of the search for line ends; its time
// must grow with its length only.
func BenchmarkCanonical(b *testing.B) {
	for name, line := range map[string]string{"text": strings.Repeat("x", 74) + "\r\n", "LF": strings.Repeat("x", 75) + "\n", "CR": "x\r", "base64": strings.Repeat("x", 30_000)} {
		b.Run(name, func(b *testing.B) {
			in := []byte(strings.Repeat(line, bigBuffer/len(line)))
			b.SetBytes(int64(len(in)))
			n := &canonical{w: io.Discard, fresh: true}
			for b.Loop() {
				n.dotted(in)
			}
		})
	}
}
