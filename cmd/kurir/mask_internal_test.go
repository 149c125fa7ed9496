package main

import (
	"strings"
	"testing"

	"kurir/relay/config"
)

// masked is what a mask for that configuration makes of a text.
func masked(text string) string {
	c := &config.Config{Upstreams: []config.Upstream{
		{Host: "smtp.gmail.com", Username: "AKIA0", Password: "hunter22", Senders: []string{"@senders.example"}},
		{Host: "smtp.example.net", Username: `CORP\jdoe`, Password: `p"<w>22`},
	}}
	c.Rewrite.Allowed = []string{"shop.example", "x@gmail.com"}
	return newMask(c).cover(text)
}

// What a support file may not tell is covered, the same by the same word, and
// what is needed to understand a failure stays (promise P7).
func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		"C: MAIL FROM:<Jo@Example.org> SIZE=1":                      "C: MAIL FROM:<address-1@domain-1> SIZE=1",
		"<a@example.org> <b@example.org> <A@EXAMPLE.ORG>":           "<address-1@domain-1> <address-2@domain-1> <address-1@domain-1>",
		"550 a@example.org: Example.org has no MX":                  "550 address-1@domain-1: domain-1 has no MX",
		"you@gmail.com over smtp.gmail.com:587":                     "address-1@gmail.com over smtp.gmail.com:587",
		`"john doe"@example.org "j.d"@example.org`:                  `address-1@domain-1 address-2@domain-1`,
		`{"from":"\"john doe\"@example.org"}`:                       `{"from":address-1@domain-1"}`,
		`{"from":"a@b.example","to":["c@b.example"]}`:               `{"from":"address-1@domain-1","to":["address-2@domain-1"]}`,
		"<20260101.1@host.example> jörg@bücher.example":             "<address-1@domain-1> address-2@domain-2",
		"[203.0.113.9] 2001:db8::25 127.0.0.1 10.1.2.3 ::1 12:30":   "[ip-1] ip-2 127.0.0.1 10.1.2.3 ::1 12:30",
		"535 AKIA0 hunter22":                                        "535 [user name] [redacted]",
		"dial tcp 203.0.113.9:587: x":                               "dial tcp ip-1:587: x",
		"read tcp 198.51.100.7:4->203.0.113.9:587, by:203.0.113.9":  "read tcp ip-1:4->ip-2:587, by:ip-2",
		"allow 2001:db8:1:2::/64 10.0.0.1:25 1.2.3":                 "allow ip-1/64 10.0.0.1:25 1.2.3",
		"http://spf.example/why?id=jo%40b.example&ip=203.0.113.9":   "http://spf.example/why?id=address-1%40domain-1&ip=ip-1",
		"root@web <webhook> WEB":                                    "address-1@domain-1 <webhook> domain-1",
		`allowed = ["Shop.example", "gmail.com"], @senders.example`: `allowed = ["domain-2", "gmail.com"], @domain-1`,
		`CORP\jdoe "CORP\\jdoe" "p\"<w>22" "p\"\u003cw\u003e22"`:    `[user name] "[user name]" "[redacted]" "[redacted]"`,
		"220 x\x1b[2J": "220 x [2J",
	} {
		if got := masked(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// The words of a command that may be secrets are not told, its name is (promise P7).
func TestFirstWord(t *testing.T) {
	for command, want := range map[string]string{
		"": "", " pass ": "pass", "/usr/bin/pass show mail": "/usr/bin/pass …",
		"curl\t-HKey:s3cret":                    "curl …",
		"VAULT_TOKEN=s3cret X='a b' vault read": "…",
		"curl<<<s3cret":                         "curl …",
	} {
		if got := firstWord(command); got != want {
			t.Errorf("%q is shown as %q, want %q", command, got, want)
		}
	}
}

// Whatever stands around them, a secret and an address are not told.
func FuzzMask(f *testing.F) {
	f.Add("C: RCPT TO:<", ">", "someone", "private.example")
	f.Add(`"to":["`, `"]`, "x.y+z", "private.example")
	f.Add("203.0.113.9", "hunter22@", "a", "b.example")
	f.Fuzz(func(t *testing.T, before, after, local, domain string) {
		for _, part := range []string{local, domain} {
			if len(part) < 8 || strings.ContainsFunc(part, func(r rune) bool { return r < 'a' || r > 'z' }) {
				return
			}
		}
		address := local + "@" + domain + ".example"
		if strings.Contains(before+after, local) || strings.Contains("address domain hidden user name this machine", local) {
			return
		}
		text := masked(before + address + after + " hunter22")
		if strings.Contains(text, local) || strings.Contains(text, "hunter22") {
			t.Errorf("%q", text)
		}
	})
}
