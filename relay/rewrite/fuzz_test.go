package rewrite_test

import (
	"bytes"
	"errors"
	"net/mail"
	"strings"
	"testing"

	"kurir/relay/rewrite"
)

// No header may make it panic, and none may lose or change an octet, but for
// the fields that must go.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("Subject: s\r\n\r\nbody\r\n"), 3)
	f.Add([]byte("Received: by relay.example (Kurir)\r\n by x\r\n"), 1)
	f.Add([]byte("\r\n"), 1)
	f.Add([]byte(" no header"), 7)
	f.Add([]byte("Bcc: x"), 2)
	f.Add([]byte("From:\r\nDKIM-Signature: h=bcc:from\r\nbcc:x\r\n"), 2)
	f.Fuzz(func(t *testing.T, in []byte, part int) {
		out, ok := fuzzed(t, in, part, options())
		if !ok {
			return
		}
		if !bytes.HasPrefix(out, []byte(ours)) {
			t.Fatalf("%q became %q", in, out)
		}
		lower := bytes.ToLower(in)
		if bytes.Contains(lower, []byte("bcc")) || bytes.Contains(lower, []byte("from")) {
			return
		}
		if !bytes.HasSuffix(out, in) {
			t.Fatalf("%q became %q", in, out)
		}
		added := strings.TrimSuffix(string(out[len(ours):len(out)-len(in)]), "\r\n")
		for _, field := range []string{date, id, from} {
			added = strings.Replace(added, strings.TrimSuffix(field, "\r\n"), "", 1)
		}
		if strings.Trim(added, "\r\n") != "" {
			t.Fatalf("%q: added %q", in, added)
		}
	})
}

// fuzzed sends in through a Writer; ok is false if it was refused.
func fuzzed(t *testing.T, in []byte, part int, o rewrite.Options) (out []byte, ok bool) {
	var b bytes.Buffer
	w := rewrite.NewWriter(&b, o)
	part = min(max(part, 1), 1<<16)
	for rest := in; len(rest) > 0; {
		n := min(part, len(rest))
		if _, err := w.Write(rest[:n]); err != nil {
			if !errors.Is(err, rewrite.ErrLoop) && !errors.Is(err, rewrite.ErrHeaderTooLarge) {
				t.Fatal(err)
			}
			return nil, false
		}
		rest = rest[n:]
	}
	ok = w.Close() == nil
	return b.Bytes(), ok
}

// Whatever an app writes as its sender, what leaves has one From that names
// whom the policy wants and that anybody can read, no Bcc, and no field that
// the app did not write; and the body is the same.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{
		"a@b", "A <a@b>", "\"A, B\" <a@b>", "\"open <a@b>", "(open a@b", "A (c) <a@b> (d)", "g: a@b, C <c@d>;", "g:;", "a@b,c@d", "<<>>@", "a@b>",
		"=?utf-8?q?=C3=BC?= <a@b>", "\xff <a@b>", "A\r\n B <a@b>", "A\r\n \r\n B <a@b>", "\"\\", "(\\", "[", "a@[", "ok@example.com", "ok@example.com, a@b",
		"\x00<a@b>", "Bcc: x <a@b>", "a@b\r\nBcc: x", "\r\n a@b\r\nFrom: c@d\r\nSender: e@f\r\nReply-To: \r\n", ":;,<>()\"\\", "a;b:c,d", "\"a\" b@c",
		"A\rB <a@b>", "A\nB <a@b>", strings.Repeat("(", 100), strings.Repeat("x", 700) + "<a@b>",
	} {
		f.Add(s, "Shop", 3, true)
		f.Add(s, "", 1000, false)
	}
	f.Fuzz(func(t *testing.T, sender, name string, part int, always bool) {
		rules := rewrite.Rules{Hostname: "relay.example", From: "noreply@example.com", Name: name, When: rewrite.Unauthorized, Allowed: []string{"ok@example.com"}}
		if always {
			rules.When = rewrite.Always
		}
		p, err := rewrite.Compile(rules)
		if err != nil {
			return
		}
		// What the listener hands on has canonical line ends.
		sender = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(sender)
		if strings.Contains("\r\n"+sender+"\r\n", "\r\n\r\n") {
			return // the header would end there
		}
		const body = "\r\nFrom: body\r\nBcc: body\r\n"
		o := options()
		o.Policy = p
		out, ok := fuzzed(t, []byte("X-First: 1\r\nFrom: "+sender+"\r\nX-Last: 2\r\n"+body), part, o)
		if !ok {
			return
		}
		header, rest, _ := strings.Cut(string(out), "\r\n\r\n")
		if !strings.HasSuffix(rest, body[2:]) {
			t.Fatalf("the body is not in %q", out)
		}
		if rest != body[2:] {
			return // a line of the sender that is no field has ended the header
		}
		count := map[string]int{}
		for line := range strings.SplitSeq(header, "\r\n") {
			if line[0] == ' ' || line[0] == '\t' {
				continue
			}
			field, _, ok := strings.Cut(line, ":")
			if !ok {
				return // as above
			}
			count[strings.ToLower(strings.TrimRight(field, " \t"))]++
		}
		if count["from"] != 1 || count["bcc"] != 0 || count["x-first"] != 1 || count["x-last"] != 1 {
			t.Fatalf("%q became %q: %v", sender, out, count)
		}
		m, err := mail.ReadMessage(bytes.NewReader(out))
		if err != nil {
			return // of a field of the app's own
		}
		got, err := (&mail.AddressParser{WordDecoder: nil}).ParseList(m.Header.Get("From"))
		switch {
		case err != nil && !isPlain(m.Header.Get("From")):
			return // Go reads no 8-bit names that are not UTF-8, and no old forms
		case err != nil:
			t.Fatalf("%q became %q: %v", sender, m.Header.Get("From"), err)
		}
		for _, a := range got {
			if a.Address != "noreply@example.com" && (always || !strings.EqualFold(a.Address, "ok@example.com")) {
				t.Fatalf("%q became %q", sender, m.Header.Get("From"))
			}
		}
	})
}

// isPlain tells whether a field is of the kind that every parser reads.
func isPlain(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 <>@-,") == ""
}
