package sendmail

import (
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What callers pass. A wrong reading of one option turns its value into a
// recipient, or loses one.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		caller string
		args   []string
		want   Options
	}{
		{"PHP", []string{"-t", "-i"}, Options{fromHeader: true, wholeInput: true}},
		{"PHP, mail's fifth argument", []string{"-t", "-i", "-fapp@example.com"}, Options{fromHeader: true, wholeInput: true, from: "app@example.com", hasFrom: true}},
		{"WordPress", []string{"-t", "-i", "-f", "wordpress@example.com"}, Options{fromHeader: true, wholeInput: true, from: "wordpress@example.com", hasFrom: true}},
		{"Symfony", []string{"-bs"}, Options{Mode: "s"}},
		{"PHPMailer", []string{"-oi", "-fapp@example.com", "-t"}, Options{fromHeader: true, wholeInput: true, from: "app@example.com", hasFrom: true}},
		{"cron of Debian", []string{"-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"}, Options{name: "CronDaemon", wholeInput: true, to: []string{"root"}}},
		{"cronie", []string{"-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"}, Options{name: "CronDaemon", wholeInput: true, fromHeader: true, from: "root", hasFrom: true}},
		{"mutt", []string{"-oem", "-oi", "-f", "x@example.com", "--", "a@example.com", "-b@example.com"},
			Options{wholeInput: true, from: "x@example.com", hasFrom: true, to: []string{"a@example.com", "-b@example.com"}}},
		{"mutt with DSN", []string{"-oem", "-oi", "-N", "delay,failure", "-R", "hdrs", "--", "a"}, Options{wholeInput: true, notify: "DELAY,FAILURE", ret: "HDRS", to: []string{"a"}}},
		{"git send-email", []string{"-i", "a@example.com", "b@example.com"}, Options{wholeInput: true, to: []string{"a@example.com", "b@example.com"}}},
		{"git send-email with envelope-sender", []string{"-f", "me@example.com", "-i", "a@example.com"}, Options{wholeInput: true, from: "me@example.com", hasFrom: true, to: []string{"a@example.com"}}},
		{"bsd-mailx of Debian", []string{"-i", "-FJo Doe", "root"}, Options{wholeInput: true, name: "Jo Doe", to: []string{"root"}}},
		{"s-nail", []string{"-i", "-m", "-v", "-r", "me@example.com", "--", "root"}, Options{wholeInput: true, verbose: true, from: "me@example.com", hasFrom: true, to: []string{"root"}}},
		{"Python's recipe", []string{"-t", "-oi"}, Options{fromHeader: true, wholeInput: true}},
		{"Perl's Mail::Sendmail", []string{"-t", "-oi", "-oem"}, Options{fromHeader: true, wholeInput: true}},
		{"nodemailer", []string{"-i", "-f", "a@example.com", "b@example.com"}, Options{wholeInput: true, from: "a@example.com", hasFrom: true, to: []string{"b@example.com"}}},
		{"at", []string{"-i", "jo"}, Options{wholeInput: true, to: []string{"jo"}}},
		{"smartd, mdadm", []string{"-t"}, Options{fromHeader: true}},
		{"logwatch", []string{"-t"}, Options{fromHeader: true}},
		{"options behind the recipient", []string{"root", "-ti", "-odb"}, Options{fromHeader: true, wholeInput: true, to: []string{"root"}}},
		{"letters together", []string{"-tif", "a@b", "-vFJo"}, Options{fromHeader: true, wholeInput: true, verbose: true, from: "a@b", hasFrom: true, name: "Jo"}},
		{"null sender", []string{"-f", "", "a@b"}, Options{hasFrom: true, to: []string{"a@b"}}},
		{"null sender in brackets", []string{"-f<>", "a@b"}, Options{from: "<>", hasFrom: true, to: []string{"a@b"}}},
		{"ignored, with and without value", []string{"-Am", "-C", "/x.cf", "-dvalue", "-q30m", "-h", "3", "-em", "-e", "q", "-L", "tag", "-G", "-U", "-n", "-m", "-x", "-ps", "-OTimeout.x=1", "-O", "x=y", "-oQ/x", "-o", "Ax", "a@b"},
			Options{to: []string{"a@b"}}},
		{"IgnoreDots", []string{"-OIgnoreDots=true", "a@b"}, Options{wholeInput: true, to: []string{"a@b"}}},
		{"envelope id", []string{"-V", "a b+c", "-N", "never", "a@b"}, Options{envid: "a+20b+2Bc", notify: "NEVER", to: []string{"a@b"}}},
		{"mailq", []string{"-bp"}, Options{Mode: "p"}},
		{"newaliases", []string{"-bi"}, Options{Mode: "i"}},
	} {
		if c.want.Mode == "" {
			c.want.Mode = "m"
		}
		got, err := Parse(c.args)
		if err != nil || !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %q: %+v, %v; want %+v", c.caller, c.args, got, err, c.want)
		}
	}
}

// What cannot be done is refused with a word of advice.
func TestParseRefused(t *testing.T) {
	for words, advice := range map[string]string{
		"-bd":                            "kurir serve",
		"-bD":                            "kurir serve",
		"-bd -q30m":                      "kurir serve",
		"-q":                             "kurir queue flush",
		"-qIabc":                         "kurir queue flush",
		"-bt":                            "-bm",
		"-X /log":                        "-v",
		"-f":                             "needs a value",
		"-N maybe":                       "never",
		"-N never,delay":                 "never",
		"-R half":                        "full",
		"--version":                      "no option",
		"-z":                             "no option",
		"-V " + strings.Repeat("x", 101): "100",
	} {
		if o, err := Parse(strings.Fields(words)); err == nil || !strings.Contains(err.Error(), advice) {
			t.Errorf("%s: %+v, %v", words, o, err)
		}
	}
}

// Address lists as they are written, well or not. Whoever is named gets the
// mail, nobody else does, and what is not clear is not guessed.
func TestAddresses(t *testing.T) {
	for list, want := range map[string]string{
		"a@b":                                       "a@b",
		" root , jo@example.com,, ":                 "root|jo@example.com",
		"Jo Doe <jo@example.com>":                   "jo@example.com",
		`"Doe, Jo" <jo@example.com>, b@c`:           "jo@example.com|b@c",
		`"Jo \" <x@y>," <jo@example.com>`:           "jo@example.com",
		"jo@example.com (Jo (the, real) Doe), b":    "jo@example.com|b",
		"friends: a@b, c@d; e@f":                    "a@b|c@d|e@f",
		"undisclosed-recipients:;":                  "",
		"=?utf-8?Q?Doe,_J=C3=B6?= <jo@example.com>": "jo@example.com",
		"=?utf-8?B?SsO2?= =?utf-8?B?SsO2?= <a@b>":   "a@b",
		"a@b; c@d;":                                 "a@b|c@d",
		"a@b c@d\te@f":                              "a@b|c@d|e@f",
		"Jo Doe jo@example.com":                     "jo@example.com",
		"<@relay.example:a@b>":                      "a@b",
		"< a@b >":                                   "a@b",
		"Jo <a@b, c@d":                              "a@b|c@d",
		`"a b"@c, <"x,y"@z>`:                        `"a b"@c|"x,y"@z`,
		"Jo (broken <a@b>":                          "a@b",
		`Jo "broken <a@b>`:                          "a@b",
		"<>":                                        "",
		"a@[IPv6:::1], b@[192.0.2.1]":               "a@[IPv6:::1]|b@[192.0.2.1]",
		"günter@exämple.org":                        "günter@exämple.org",
		"Jo Doe":                                    "not clear",
		"a@b Jo c@d":                                "not clear",
	} {
		found, err := addresses(list)
		got := strings.Join(found, "|")
		if err != nil {
			got = "not clear"
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", list, got, err, want)
		}
	}
}

// Whatever stands in To, what is found can be written into a command or is
// refused, and it is found in good time.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"a@b", `"x" <y@z>, (c) d`, "g: a, b;", "=?u?q?x,y?= <a@b>", "((((", `"\`, "<<>", strings.Repeat("(", 1000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found, err := addresses(s)
		if err != nil {
			return
		}
		for _, a := range found {
			path, err := mailbox(a)
			if err == nil && strings.ContainsAny(string(path), "\r\n\x00<>") {
				t.Errorf("%q gives %q", s, path)
			}
		}
	})
}

// The header loses what nobody may see and nothing else; what is no header is
// the body.
func TestHeader(t *testing.T) {
	for _, c := range []struct{ in, to, out string }{
		{"To: a@b\nBcc: c@d,\n\te@f\nSubject: x\n\nBcc: body\n", "a@b|c@d|e@f", "To: a@b\nSubject: x\n\nBcc: body\n"},
		{"TO : a@b\r\nbcc:c@d\r\n\r\nbody", "a@b|c@d", "TO : a@b\r\n\r\nbody"},
		{"To: a@b\nResent-To: c@d\nResent-Bcc: e@f\n\n", "c@d|e@f", "To: a@b\nResent-To: c@d\n\n"},
		{"To: a@b", "a@b", "To: a@b\n\n"},
		{"From jo Mon Nov 23\nTo: a@b\n\nx", "a@b", "To: a@b\n\nx"},
		{"no header here\nTo: a@b\n", "", "\nno header here\nTo: a@b\n"},
		{"To: a@b\nbody without empty line\n", "a@b", "To: a@b\n\nbody without empty line\n"},
		{"\nTo: a@b\n", "", "\nTo: a@b\n"},
		{"", "", "\n"},
		{strings.Repeat("x", 300<<10), "", "\n" + strings.Repeat("x", 300<<10)},
	} {
		input, err := readContent(strings.NewReader(c.in), true)
		if err != nil {
			t.Fatal(err)
		}
		h, err := readHeader(input.from(0))
		if err != nil {
			t.Errorf("%.50q: %v", c.in, err)
			continue
		}
		to, err := h.recipients()
		h.hideBlind()
		body, _ := io.ReadAll(input.from(h.length))
		if got := string(h.bytes()) + string(body); err != nil || strings.Join(to, "|") != c.to || got != c.out {
			t.Errorf("%.50q: %q, %.50q, %v; want %q, %.50q", c.in, to, got, err, c.to, c.out)
		}
	}
	if _, err := readHeader(strings.NewReader("X: " + strings.Repeat("x", 300<<10))); err == nil {
		t.Error("a header without end was read")
	}
}

// A dot alone ends the message only where the caller did not say otherwise,
// and a message may be larger than the memory it gets (P10).
func TestReadContent(t *testing.T) {
	large := strings.Repeat(strings.Repeat("ü", 500)+"\n", 3000)
	for _, c := range []struct {
		in    string
		whole bool
		want  string
	}{
		{"a\n.\nb\n", false, "a\n"},
		{"a\r\n.\r\nb\n", false, "a\r\n"},
		{"a\n.", false, "a\n"},
		{"a\n.\nb", true, "a\n.\nb"},
		{"a\n..\n.b\nc.\n", false, "a\n..\n.b\nc.\n"},
		{strings.Repeat("x", 64<<10) + ".\nb", false, strings.Repeat("x", 64<<10) + ".\nb"},
		{large, false, large},
	} {
		got, err := readContent(strings.NewReader(c.in), c.whole)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if text, err := io.ReadAll(got.from(0)); err != nil || string(text) != c.want || got.size != int64(len(c.want)) {
				t.Errorf("%.20q: %d octets of %d, %v", c.in, len(text), got.size, err)
			}
		}
		if got.eightBit != strings.Contains(c.in, "ü") || (got.file != nil) != (len(c.in) > inMemory) {
			t.Errorf("%.20q: %v, %v", c.in, got.eightBit, got.file)
		}
		got.close()
	}
}

// The exit code says what sysexits.h means by it: callers such as procmail
// and mail loops decide by it what to do next.
func TestRebuffExitCodes(t *testing.T) {
	for _, c := range []struct {
		r    rebuff
		want int
	}{
		{rebuff{code: 550, text: "5.1.1 There is no mailbox"}, ExitNoUser},
		{rebuff{code: 550, text: "no mailbox", recipient: true}, ExitNoUser},
		{rebuff{what: sender, code: 550, text: "5.1.8 no domain"}, ExitData},
		{rebuff{code: 554, text: "5.7.1 not for you"}, ExitNoPermission},
		{rebuff{code: 552, text: "5.3.4 too large"}, ExitData},
		{rebuff{code: 554, text: "5.6.0 what is this"}, ExitData},
		{rebuff{code: 554, text: "no"}, ExitUnavailable},
	} {
		if got := c.r.exitCode(); got != c.want || !c.r.permanent() {
			t.Errorf("%+v: %d, want %d", c.r, got, c.want)
		}
	}
	if text := (&rebuff{what: "it", code: 550, text: "a\nb"}).Error(); text != "Kurir refused it:\n550 a\n550 b" {
		t.Errorf("%q", text)
	}
}

// A name in From cannot become another field or another address.
func TestFromField(t *testing.T) {
	t.Setenv("NAME", "")
	c := caller{path: "jo@host.example"}
	for name, want := range map[string]string{
		"":                          "jo@host.example",
		"Cron Daemon":               "Cron Daemon <jo@host.example>",
		"Doe, Jo \"J\"":             `"Doe, Jo \"J\"" <jo@host.example>`,
		"Jö":                        "=?utf-8?q?J=C3=B6?= <jo@host.example>",
		"x\nBcc: other@example.com": `"xBcc: other@example.com" <jo@host.example>`,
	} {
		if got := c.fromField(name, ""); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if path := whoCalls().path; path == "" || slices.Contains([]string{"", "localhost"}, path.LocalPart()) {
		t.Errorf("the caller is %q", path)
	}
}
