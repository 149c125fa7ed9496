package dsn_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"kurir/relay/dsn"
	"kurir/upstream/envelope"
)

// TestThirdPart holds what is given back of the original: never more than was
// asked for, and never what could keep the notification from passing.
func TestThirdPart(t *testing.T) {
	long := "X: " + strings.Repeat("y", 70) + "\r\n"
	for _, c := range []struct {
		name, ret, content string
		size               int64
		eightBit           bool
		kind, has, hasNot  string
	}{
		{"by default the header", "", content, 1, false, "text/rfc822-headers", "Subject: Your order", "Thank you"},
		{"HDRS", "HDRS", content, 1, false, "text/rfc822-headers", "Subject: Your order", "Thank you"},
		{"FULL", "FULL", content, 1, false, "message/rfc822", "Thank you", "\x00"},
		{"FULL, too large", "FULL", content, 1<<20 + 1, false, "text/rfc822-headers", "Subject", "Thank you"},
		{"FULL, 8-bit", "FULL", content, 1, true, "text/rfc822-headers", "Subject", "Thank you"},
		{"FULL, larger than told", "FULL", "A: b\r\n\r\n" + strings.Repeat("z\r\n", 1<<19) + "end", 1, false, "message/rfc822", "z", "end"},
		{"FULL, 8-bit against its word", "FULL", "A: b\r\n\r\nGr\xfc\xdfe\r\n", 1, false, "message/rfc822", "Gr??e", "\xfc"},
		{"UTF-8 header", "FULL", "Subject: Grüße\r\n\r\nThank you", 1, false, "message/global-headers", "Grüße", "Thank you"},
		{"broken UTF-8", "", "Subject: Gr\xfc\r\n\r\nx", 1, true, "message/global-headers", "Gr\uFFFD", "\xfc"},
		{"a header without an end", "", "A: b\r\n" + strings.Repeat(long, 1000) + "End: here\r\n", 1, false, "text/rfc822-headers", "A: b", "End: here"},
		{"a long line", "", "A: " + strings.Repeat("é", 2000) + "\r\n\r\n", 1, false, "message/global-headers", "é", "\uFFFD"},
		{"no header", "", "\r\nThank you\r\n", 1, false, "text/rfc822-headers", "", "Thank you"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := report(dsn.Failed, refused("anna@example.com", 550, "5.1.1 No"))
			r.Return, r.Size, r.EightBit, r.Original = c.ret, c.size, c.eightBit, reads(c.content)
			m := parse(t, write(t, r))
			if m.types[2] != c.kind || !strings.Contains(m.bodies[2], c.has) || strings.Contains(m.bodies[2], c.hasNot) {
				t.Errorf("%s:\n%.300q", m.types[2], m.bodies[2])
			}
			if len(m.bodies[2]) > 3<<19+1000 {
				t.Errorf("%d octets", len(m.bodies[2]))
			}
		})
	}
}

// TestErrors shows that nothing is written about an original that cannot be
// read, and that a full disk is told.
func TestErrors(t *testing.T) {
	gone := errors.New("gone")
	r := report(dsn.Failed, refused("anna@example.com", 550, "5.1.1 No"))
	var b strings.Builder
	r.Original = func() (io.ReadCloser, error) { return nil, gone }
	if err := dsn.Write(&b, r); !errors.Is(err, gone) || b.Len() != 0 {
		t.Errorf("%v, %d octets", err, b.Len())
	}
	r.Original = func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(gone)), nil }
	if err := dsn.Write(&b, r); !errors.Is(err, gone) || b.Len() != 0 {
		t.Errorf("%v, %d octets", err, b.Len())
	}
	r.Original = reads(content)
	full, w := io.Pipe()
	full.CloseWithError(gone)
	if err := dsn.Write(w, r); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// FuzzWrite shows that no words, wherever they come from, add a field or a
// part to a notification or break a line of it; parse looks for both.
func FuzzWrite(f *testing.F) {
	f.Add("a@example.com", "b@example.com", "5.1.1 No such user", "rfc822;c+2Bd@example.com", "id+2B", "<1@x>", content)
	f.Add("a@b\r\nBcc: c", "ü@例え.jp", "a\r\n\r\n--x\x00\xff", "utf-8;\\x{FC}@x", "+0D+0A", "<a b>", "A: b\rc\nd\r\n\r\n.\r\n")
	f.Add("", "\" \"@x", strings.Repeat("w", 5000), ";", "+", "<>", "\r")
	f.Add("a@b, c@d", "\u202e@x", "é\u0085\u2028", "x;+C3", "=?utf-8?q?=0D?=", "<1@x>,<2@x>", strings.Repeat("é", 3000))
	f.Fuzz(func(t *testing.T, whom, to, words, orcpt, envid, id, original string) {
		for _, kind := range []dsn.Kind{dsn.Failed, dsn.Delayed, dsn.Relayed} {
			one := refused(envelope.Path(to), 550, words)
			one.Original = orcpt
			r := report(kind, one, refused("z@example.com", 450, words, to))
			r.To, r.EnvelopeID, r.MessageID, r.Host, r.OurID = envelope.Path(whom), envid, id, orcpt, words
			r.Original, r.Return = reads(original), "FULL"
			m := parse(t, write(t, r))
			if n := strings.Count("\r\n"+m.bodies[1], "\r\nAction: "+string(kind)+"\r\n"); n != 2 {
				t.Fatalf("%d recipients:\n%s", n, m.bodies[1])
			}
			if from, err := m.header.AddressList("From"); err != nil || len(from) != 1 {
				t.Fatal(from, err)
			}
			if to, err := m.header.AddressList("To"); err == nil && len(to) > 1 {
				t.Fatalf("to: %q", to)
			}
		}
	})
}
