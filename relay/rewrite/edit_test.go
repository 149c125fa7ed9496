package rewrite_test

import (
	"strings"
	"testing"

	"kurir/relay/rewrite"
)

const (
	replaced = "From: Shop <noreply@example.com>\n"
	complete = "Date: x\nMessage-ID: <a@b>\n"
)

// A provider refuses a message for one field that names a foreign sender, and
// a person wants to read who wrote and be able to answer. All that was not
// asked for must stay, octet for octet and in its order, however the message
// is cut into writes. Lines end in LF here, to be read, and in CRLF there.
func TestSenders(t *testing.T) {
	for _, c := range []struct {
		name string
		when rewrite.When
		in   string
		out  string
	}{
		{"an allowed one stays as it is", "", "X: y\nfrom : App\n <app@example.com>\nTo: c@d\n", "X: y\nfrom : App\n <app@example.com>\nTo: c@d\n"},
		{"a foreign one", "", "X: y\nFrom: a@b\nTo: c@d\n", "X: y\n" + replaced + "Reply-To: a@b\nTo: c@d\n"},
		{"its name", "", "From: John Q. Public <a@b>\n", "From: John Q. Public <noreply@example.com>\nReply-To: John Q. Public <a@b>\n"},
		{"no blank after the name", "", "From:John<a@b>\n", "From: John <noreply@example.com>\nReply-To: John<a@b>\n"},
		{"a quoted name with a comma and brackets", "", "From: \"Doe, \\\"J\\\" <x@y>\" <a@b>\n",
			"From: \"Doe, \\\"J\\\" <x@y>\" <noreply@example.com>\nReply-To: \"Doe, \\\"J\\\" <x@y>\" <a@b>\n"},
		{"encoded words in two lines", "", "FROM: =?utf-8?Q?J=C3=BC?=\n\t=?utf-8?Q?rgen?= <a@b>\n",
			"From: =?utf-8?Q?J=C3=BC?=\n\t=?utf-8?Q?rgen?= <noreply@example.com>\nReply-To: =?utf-8?Q?J=C3=BC?=\n\t=?utf-8?Q?rgen?= <a@b>\n"},
		{"8 bit", "", "From: J\xfcrgen J\xc3\xbc <a@b>\n", "From: J\xfcrgen J\xc3\xbc <noreply@example.com>\nReply-To: J\xfcrgen J\xc3\xbc <a@b>\n"},
		{"comments", "", "From: (one (two, \\)) three) John (x) <a@b> (y)\n",
			"From: (one (two, \\)) three) John (x) <noreply@example.com> (y)\nReply-To: (one (two, \\)) three) John (x) <a@b> (y)\n"},
		{"the name as a comment", "", "From: a@b (John)\n", "From: noreply@example.com (John)\nReply-To: a@b (John)\n"},
		{"an empty name", "", "From: \"\" <a@b>\n", replaced + "Reply-To: \"\" <a@b>\n"},
		{"several", "", "From: A <a@b>,\n app@example.com\n", "From: A <noreply@example.com>\nReply-To: A <a@b>,\n app@example.com\n"},
		{"several that are allowed", "", "Sender: app@example.com\nFrom: a@example.net, app@example.com\n", "Sender: app@example.com\nFrom: a@example.net, app@example.com\n"},
		{"several that are allowed, of a foreign sender", "", "Sender: x@y\nFrom: a@example.net, app@example.com\n", "Sender: <noreply@example.com>\nFrom: a@example.net, app@example.com\n"},
		{"a group", "", "From: Us: A <a@b>, c@d;\n", "From: A <noreply@example.com>\nReply-To: Us: A <a@b>, c@d;\n"},
		{"an empty group", "", "From: undisclosed-senders:;\n", replaced},
		{"a name with an @", "", "From: a@b <a@b>\n", "From: \"a@b\" <noreply@example.com>\nReply-To: \"a@b\" <a@b>\n"},
		{"a name with brackets", "", "From: [Shop] \"News\" <a@b>\n", "From: \"[Shop] News\" <noreply@example.com>\nReply-To: \"[Shop] News\" <a@b>\n"},
		{"a name with a colon", "", "From: Re: A <a@b>\n", "From: A <noreply@example.com>\nReply-To: A <a@b>\n"},
		{"a name that is split by a comma", "", "From: Doe, John <a@b>\n", "From: \"Doe, John\" <noreply@example.com>\nReply-To: \"Doe, John\" <a@b>\n"},
		{"a name with a control character", "", "From: A\x01B <a@b>\n", "From: \"A B\" <noreply@example.com>\nReply-To: \"A B\" <a@b>\n"},
		{"a line of blanks", "", "From: A\n \n B <a@b>\n", "From: \"A B\" <noreply@example.com>\nReply-To: \"A B\" <a@b>\n"},
		{"no brackets", "", "From: \"John\" john@x\n", "From: \"John\" <noreply@example.com>\nReply-To: \"John\" <john@x>\n"},
		{"a name alone", "", "From: John Doe\n", "From: John Doe <noreply@example.com>\n"},
		{"an open quote", "", "From: \"John <app@example.com>\n", replaced},
		{"an open comment", "", "From: app@example.com (John\n", replaced},
		{"an open bracket", "", "From: John <app@example.com\n", "From: John <noreply@example.com>\n"},
		{"two addresses in one", "", "From: John <app@example.com> <a@b>\n", "From: John <noreply@example.com>\n"},
		{"a source route", "", "From: <@b:app@example.com>\n", replaced},
		{"no domain", "", "From: root\n", "From: root <noreply@example.com>\n"},
		{"semicolons for commas", "", "From: app@example.com; a@b\n", replaced + "Reply-To: app@example.com,\n a@b\n"},
		{"an IP address", "", "From: a@[192.0.2.1]\n", replaced + "Reply-To: a@[192.0.2.1]\n"},
		{"another case", "", "From: APP@example.COM\n", "From: APP@example.COM\n"},
		{"quotes that are not needed", "", "From: \"app\"@example.com\n", "From: \"app\"@example.com\n"},
		{"none, with a foreign sender", "", "Sender: a@b\n", "\n"},
		{"empty", "", "X: y\nFrom: \n\t\nTo: c@d\n", "X: y\nTo: c@d\n"},
		{"two", "", "From: A <a@b>\nTo: c@d\nFrom: app@example.com\n", "From: A <noreply@example.com>\nReply-To: A <a@b>\nTo: c@d\n"},
		{"two, and the first may stay", "", "From: app@example.com\nTo: c@d\nFrom: a@b\n", "From: app@example.com\nTo: c@d\n"},
		{"two, one of them empty", "", "From:\nFrom: app@example.com\n", "From: app@example.com\n"},
		{"Reply-To stays", "", "Reply-To: r@b\nFrom: a@b\n", "Reply-To: r@b\n" + replaced},
		{"an empty Reply-To does not", "", "Reply-To:\nFrom: a@b\n", replaced + "Reply-To: a@b\n"},
		{"an empty Reply-To that nobody minds", "", "Reply-To:\nFrom: app@example.com\n", "Reply-To:\nFrom: app@example.com\n"},
		{"Sender", "", "From: app@example.com\nSender: a@b\nX: y\n", "From: app@example.com\nX: y\n"},
		{"Sender that is allowed", "", "From: a@b\nSender: \"App\" <app@example.com>\n", replaced + "Reply-To: a@b\nSender: \"App\" <app@example.com>\n"},
		{"Sender that cannot be read", "", "From: app@example.com\nSender: app@example.com, a@b\nSender: <app@example.com\nSender:\n", "From: app@example.com\n"},
		{"resent", "", "Resent-From: a@b\nResent-Sender: c@d\nResent-Bcc: e@f\nFrom: app@example.com\n", "Resent-From: a@b\nResent-Sender: c@d\nFrom: app@example.com\n"},
		{"in the body", "", "From: app@example.com\n\nFrom: a@b\nBcc: c@d\n", "From: app@example.com\n\nFrom: a@b\nBcc: c@d\n"},

		{"always, an allowed one", rewrite.Always, "From: App <app@example.com>\n", "From: App <noreply@example.com>\nReply-To: App <app@example.com>\n"},
		{"always, our own", rewrite.Always, "From: App <NoReply@example.com>\nSender: app@example.com\n", "From: App <NoReply@example.com>\n"},
		{"never", rewrite.Never, "From: a@b\nSender: c@d\nBcc: e@f\nFrom: g@h\n", "From: a@b\nSender: c@d\nFrom: g@h\n"},
		{"Bcc", rewrite.Never, "BCC : a@b,\n\tc@d\nFrom: a@b\nResent-bcc: a@b\nX-Bcc: a@b\nbcc:\n", "From: a@b\nX-Bcc: a@b\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			when := c.when
			if when == "" {
				when = rewrite.Unauthorized
			}
			p := compile(t, shop(when))
			crlf := strings.NewReplacer("\n", "\r\n")
			for _, body := range []string{"\nbody\n", ""} {
				in := crlf.Replace(complete + c.in + body)
				want := ours
				if c.out == "\n" || c.name == "empty" {
					want += crlf.Replace(replaced)
				}
				want += crlf.Replace(complete + strings.TrimPrefix(c.out, "\n") + body)
				for n := range 40 {
					if got := through(t, p, "app@example.com", in, n); got != want {
						t.Fatalf("in parts of %d:\n got %q\nwant %q", n, got, want)
					}
				}
			}
		})
	}
}

// Whatever else is missing, a message without a From is refused by many.
func TestMissingFrom(t *testing.T) {
	named := shop(rewrite.Never)
	for _, c := range []struct {
		rules  rewrite.Rules
		sender string
		want   string
	}{
		{rewrite.Rules{}, "app@example.org", "app@example.org"},
		{rewrite.Rules{}, "", "MAILER-DAEMON@relay.example"},
		{rewrite.Rules{}, `"a b"@example.org`, `"a b"@example.org`},
		{named, "app@example.org", "Shop <noreply@example.com>"},
		{named, "", "Shop <noreply@example.com>"},
		{rewrite.Rules{From: "noreply@example.com"}, "", "noreply@example.com"},
		{rewrite.Rules{From: "noreply@example.com", Name: `Doe, "J"`}, "", `"Doe, \"J\"" <noreply@example.com>`},
		{rewrite.Rules{From: "noreply@example.com", Name: "Jürgen (Shop)"}, "", "=?utf-8?b?SsO8cmdlbiAoU2hvcCk=?= <noreply@example.com>"},
	} {
		for _, in := range []string{complete + "\nx\n", complete + "From:  \n\nx\n"} {
			in = strings.ReplaceAll(in, "\n", "\r\n")
			want := ours + "From: " + c.want + "\r\n" + strings.Replace(in, "From:  \r\n", "", 1)
			if got := through(t, compile(t, c.rules), mustPath(t, c.sender), in, 0); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
}

// A long name and a long address must not make a line that servers cut.
func TestLongFrom(t *testing.T) {
	p := compile(t, shop(rewrite.Unauthorized))
	name := strings.Repeat("name ", 13)
	in := "From: " + name + strings.Repeat(" x", 100) + " <a@b> (" + strings.Repeat("c", 500) + ")\r\n\r\n"
	got := through(t, p, "", in, 0)
	for line := range strings.Lines(got) {
		if len(line) > 900 {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
	}
	if !strings.Contains(got, "\r\nFrom: name name") || !strings.Contains(got, " x\r\n <noreply@example.com>\r\n (ccc") {
		t.Errorf("%q", got)
	}
	got = through(t, p, "", "From: "+strings.Repeat("ü", 1000)+" <a@b>, \""+strings.Repeat("x", 990)+"\" <c@d>\r\n\r\n", 0)
	for line := range strings.Lines(got) {
		if len(line) > 998 {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
	}
	if !strings.Contains(got, "üüü\"\r\n <noreply@example.com>\r\nReply-To: \"üüü") || !strings.Contains(got, "\r\n <c@d>\r\n") {
		t.Errorf("%q", got)
	}
}
