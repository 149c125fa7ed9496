package rewrite_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"kurir/relay/rewrite"
	"kurir/upstream/envelope"
)

func compile(t testing.TB, r rewrite.Rules) *rewrite.Policy {
	t.Helper()
	p, err := rewrite.Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shop is the policy of most tests here.
func shop(when rewrite.When) rewrite.Rules {
	return rewrite.Rules{
		Hostname: "relay.example", From: "noreply@example.com", Name: "Shop", When: when,
		Allowed: []string{"example.net", "@Sub.Example.com", "App@example.com"},
	}
}

func recipients(paths ...envelope.Path) (list []envelope.Recipient) {
	for _, p := range paths {
		list = append(list, envelope.Recipient{To: p})
	}
	return list
}

// A provider refuses a reverse-path that is not ours, and SMTPUTF8 where it is
// not needed can cost the message.
func TestReversePath(t *testing.T) {
	for _, c := range []struct {
		when rewrite.When
		from envelope.Path
		want envelope.Path
	}{
		{rewrite.Unauthorized, "www-data@web1", "noreply@example.com"},
		{rewrite.Unauthorized, "gü@example.org", "noreply@example.com"},
		{rewrite.Unauthorized, "x@EXAMPLE.net", "x@EXAMPLE.net"},
		{rewrite.Unauthorized, "x@sub.example.com", "x@sub.example.com"},
		{rewrite.Unauthorized, "x@sub.example.net", "noreply@example.com"},
		{rewrite.Unauthorized, "app@example.com", "app@example.com"},
		{rewrite.Unauthorized, "other@example.com", "noreply@example.com"},
		{rewrite.Unauthorized, "NoReply@Example.Com", "NoReply@Example.Com"},
		{rewrite.Unauthorized, "x@example.\u212a", "noreply@example.com"}, // the sign for Kelvin, which lower case makes a k
		{rewrite.Unauthorized, `"x@example.net"@example.org`, "noreply@example.com"},
		{rewrite.Unauthorized, "", ""},
		{rewrite.Always, "app@example.com", "noreply@example.com"},
		{rewrite.Always, "", ""},
		{rewrite.Never, "www-data@web1", "www-data@web1"},
		{"", "ü@web1", "ü@web1"},
	} {
		rules := shop(c.when)
		rules.Allowed = append(rules.Allowed, "example.k")
		got := compile(t, rules).Envelope(envelope.Envelope{From: c.from, To: recipients("b@example.org"), UTF8: !c.from.IsASCII(), ID: "x"})
		want := envelope.Envelope{From: c.want, To: recipients("b@example.org"), UTF8: !c.want.IsASCII(), ID: "x"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s: %+v, want %+v", c.when, c.from, got, want)
		}
	}
	before := envelope.Envelope{From: "a@b", To: recipients("root@localhost"), UTF8: true}
	if got := (*rewrite.Policy)(nil).Envelope(before); !reflect.DeepEqual(got, before) {
		t.Errorf("no policy: %+v", got)
	}
}

// Mail for root must reach a person, once, whatever way leads there; the list
// of the session is not the policy's to change.
func TestAliases(t *testing.T) {
	p := compile(t, rewrite.Rules{Hostname: "Relay.Example", Aliases: map[string][]string{
		"root":              {"admin@example.com"},
		"Postmaster":        {"root@localhost"},
		"old@example.com":   {"a@example.com", "b@example.com", "Root@relay.example"},
		"ü@example.com":     {"u@example.com"},
		"root@localhost":    {"local@example.com"},
		"circle@example":    {"round@example", "out@example.com"},
		"round@example":     {"circle@example"},
		"nobody@example":    {"nobody@example"},
		"all@example.com":   {"old@example.com", "a@example.com"},
		"chain1@example":    {"chain2@example"},
		"chain2@example":    {"chain3@example"},
		"chain3@example":    {"end@example.com"},
		"doubled@localhost": {"x@example.com", "x@Example.com", "X@example.com"},
	}})
	for _, c := range []struct{ to, want string }{
		{"root@relay.example", "admin@example.com"},
		{"ROOT@localhost.localdomain", "admin@example.com"},
		{"root@localhost", "local@example.com"},
		{"root@example.org", "root@example.org"},
		{"postmaster@relay.example", "local@example.com"},
		{"OLD@Example.COM", "a@example.com b@example.com admin@example.com"},
		{"all@example.com", "a@example.com b@example.com admin@example.com"},
		{"a@example.com old@example.com a@EXAMPLE.com", "a@example.com b@example.com admin@example.com"},
		{"x@example.org x@example.org", "x@example.org x@example.org"},
		{"ü@example.com", "u@example.com"},
		{"circle@example", "out@example.com"},
		{"nobody@example", "nobody@example"},
		{"chain1@example", "end@example.com"},
		{"doubled@localhost", "x@example.com"},
	} {
		var to []envelope.Path
		for f := range strings.FieldsSeq(c.to) {
			to = append(to, envelope.Path(f))
		}
		before := envelope.Envelope{From: "ä@b", To: recipients(to...), UTF8: true}
		after := p.Envelope(before)
		var got []string
		for _, r := range after.To {
			got = append(got, string(r.To))
		}
		if strings.Join(got, " ") != c.want || !after.UTF8 || after.From != "ä@b" {
			t.Errorf("%s: %v, want %s", c.to, after, c.want)
		}
		if !reflect.DeepEqual(before.To, recipients(to...)) {
			t.Errorf("%s: the session's own list became %v", c.to, before.To)
		}
	}
	got := p.Envelope(envelope.Envelope{UTF8: true, To: []envelope.Recipient{{To: "ü@example.com", Notify: "NEVER", Original: "rfc822;x@example.com"}}})
	want := envelope.Envelope{To: []envelope.Recipient{{To: "u@example.com", Notify: "NEVER", Original: "rfc822;x@example.com"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What cannot work must not wait for the first message to be seen.
func TestCompileRefuses(t *testing.T) {
	for _, r := range []rewrite.Rules{
		{From: "noreply"}, {From: "a@b\r\nBcc: c@d"}, {From: " a@b"}, {From: "a@b", Name: "x\r\nBcc: c@d"}, {From: "a@b", When: "sometimes"},
		{Aliases: map[string][]string{"root": {"admin"}}}, {Aliases: map[string][]string{"root": {"a@b>\r\nRCPT TO:<c@d"}}}, {Aliases: map[string][]string{"root": {""}}},
	} {
		if _, err := rewrite.Compile(r); err == nil {
			t.Errorf("%+v is taken", r)
		}
	}
}

// through sends a message through a Writer, in parts of n octets; 0 is all at
// once.
func through(t testing.TB, p *rewrite.Policy, sender envelope.Path, in string, n int) string {
	t.Helper()
	o := options()
	o.Policy, o.Sender = p, sender
	var out bytes.Buffer
	w := rewrite.NewWriter(&out, o)
	if n == 0 {
		n = len(in)
	}
	for rest := []byte(in); len(rest) > 0; {
		part := bytes.Clone(rest[:min(n, len(rest))]) // nothing may be kept of it
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		clear(part)
		rest = rest[len(part):]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func mustPath(t testing.TB, s string) envelope.Path {
	t.Helper()
	p, err := envelope.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
