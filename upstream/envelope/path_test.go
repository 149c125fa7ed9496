package envelope_test

import (
	"strings"
	"testing"

	"kurir/upstream/envelope"
)

// Addresses come from apps that never read an RFC; what means one thing is
// taken, and what is given back can be written into a command as it is.
func TestParsePath(t *testing.T) {
	cases := []struct{ in, want string }{
		{"", ""},
		{"<>", ""},
		{"a@b", "a@b"},
		{" <a@b> ", "a@b"},
		{"A.B+tag@Example.COM", "A.B+tag@Example.COM"},
		{"a..b.@docomo.example", "a..b.@docomo.example"},
		{`"a b"@c`, `"a b"@c`},
		{`"plain"@c`, "plain@c"},
		{`"a\"b\\"@c`, `"a\"b\\"@c`},
		{"a b@c", `"a b"@c`},
		{"a@[192.0.2.1]", "a@[192.0.2.1]"},
		{"a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"},
		{"günter@exämple.org", "günter@exämple.org"},
	}
	for _, c := range cases {
		got, err := envelope.ParsePath(c.in)
		if err != nil || string(got) != c.want {
			t.Errorf("ParsePath(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

// What could be read as something else on the wire is refused (P9).
func TestParsePathRefuses(t *testing.T) {
	for _, in := range []string{
		"a", "@b", "a@", "a@b c", "a@b>", "a@b> SIZE=1", "a@b\r\nRCPT TO:<c@d>", `"a> SIZE=1 <b"@c`, "a> SIZE=1 <b@c", "a\x00@b", "\"a@b",
		`"a"b"@c`, `"a\"@c`, "a@.b", "a@b..c", "a@[b", "a@[1 2]", "\xff@b", "a@" + strings.Repeat("b", 256), "a\u0085@b", "a\u009b2J@b", "a\u2028@b", "a\u202e@b", "a@b\u0085c",
		strings.Repeat("a", 300) + "@b",
	} {
		if got, err := envelope.ParsePath(in); err == nil {
			t.Errorf("ParsePath(%q) = %q, want an error", in, got)
		}
	}
}

// A local part in quotes may hold what looks like the end of it.
func TestPathParts(t *testing.T) {
	p := envelope.Path(`"a@b"@example.org`)
	if p.LocalPart() != `"a@b"` || p.Domain() != "example.org" || p.String() != `<"a@b"@example.org>` || !p.IsASCII() {
		t.Errorf("%s: local part %s, domain %s", p, p.LocalPart(), p.Domain())
	}
	if null := envelope.Path(""); null.String() != "<>" || null.Domain() != "" || null.LocalPart() != "" {
		t.Error("the null path has parts")
	}
	if envelope.Path("ü@x").IsASCII() {
		t.Error("ü is ASCII")
	}
}

// Whatever is parsed has no way out of its angle brackets, and parses again
// to the same.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"a@b", `"a b"@c`, "<a@b>", "a@[IPv6:::1]", `"\"\\"@x`, "ü@ä", "a@b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := envelope.ParsePath(s)
		if err != nil || p == "" {
			return
		}
		if strings.ContainsAny(string(p), "\r\n\x00") {
			t.Fatalf("%q holds a control character", p)
		}
		if again, err := envelope.ParsePath(string(p)); err != nil || again != p {
			t.Fatalf("%q parses to %q, %v", p, again, err)
		}
		if quoted := strings.HasPrefix(string(p), `"`); strings.ContainsAny(string(p), "<>") || !quoted && strings.Contains(string(p), " ") {
			t.Fatalf("%q can be misread", p)
		}
	})
}

// Who looks for mail, or chooses a provider by its sender, means the address or
// the domain as people do.
func TestPathIs(t *testing.T) {
	for _, c := range []struct {
		path, name string
		want       bool
	}{
		{"a@example.org", "A@Example.ORG", true}, {"a@example.org", "@EXAMPLE.org", true}, {`"a@b"@example.org`, "@example.org", true},
		{`"a@b"@example.org`, `@b"@example.org`, false}, {"a@example.org", "b@example.org", false}, {"a@sub.example.org", "@example.org", false},
		{"", "", true}, {"", "@", false},
	} {
		if got := envelope.Path(c.path).Is(c.name); got != c.want {
			t.Errorf("%q is %q: %v", c.path, c.name, got)
		}
	}
}
