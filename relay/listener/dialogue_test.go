package listener_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"kurir/relay/listener"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// What clients of thirty years say, and what they must get for an answer.
// Each script begins after EHLO, unless it has its own greeting.
func TestDialogues(t *testing.T) {
	const mail, rcpt = "> MAIL FROM:<a@example.org>", "> RCPT TO:<b@example.net>"
	body := []string{"> Subject: x", "> ", "> text", "> .", "< 250 2.0.0 queued"}
	for _, c := range []struct {
		name   string
		script []string
		from   string // "-" when no message is to arrive
		to     string
	}{
		{"plain", []string{mail, "< 250", rcpt, "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"HELO", []string{"> HELO vm", "< 250 relay.example", mail, "< 250", rcpt, "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"HELO of nobody", []string{"> HELO", "< 250", "> HELO  [127.0.0.1] x", "< 250", "> helo _\xff", "< 250", mail, "< 250", rcpt, "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"lower case", []string{"> mail from:<a@example.org> size=44", "< 250", "> rcpt to:<b@example.net>", "< 250", "> data", "< 354"}, "a@example.org", "b@example.net"},
		{"blanks and no brackets", []string{"> MAIL FROM:  a@example.org", "< 250", "> RCPT TO :\tb@example.net ", "< 250", "> DATA ", "< 354"}, "a@example.org", "b@example.net"},
		{"LF ends commands", []string{`>> MAIL FROM:<a@example.org>\nRCPT TO:<b@example.net>\n`, "< 250", "< 250", `>> DATA\n`, "< 354"}, "a@example.org", "b@example.net"},
		{"blank before the brackets", []string{"> MAIL FROM: <a@example.org>", "< 250", "> RCPT TO: <b@example.net>", "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"blanks in the brackets", []string{"> MAIL FROM:< a@example.org >", "< 250", "> RCPT TO:< b@example.net >", "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"two blanks and HELO", []string{"> HELO  vm", "< 250", "> MAIL FROM:  a@example.org", "< 250", "> RCPT TO:  b@example.net", "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"mixed case", []string{"> MAIL From:<a@example.org> SIZE=44 ", "< 250", "> RCPT To:<b@example.net>", "< 250", "> Data", "< 354"}, "a@example.org", "b@example.net"},
		{"tabs", []string{`>> MAIL\tFROM:<a@example.org>\tSIZE=5\t\r\n`, "< 250", `>> \tRCPT\t TO:\t<b@example.net>\r\n`, "< 250", `>> DATA\t\r\n`, "< 354"}, "a@example.org", "b@example.net"},
		{"blanks around commands", []string{"> ", "< 500 5.5.2", ">   mail from:<a@example.org>  ", "< 250", ">  rcpt to:<b@example.net>", "< 250", ">  data ", "< 354"}, "a@example.org", "b@example.net"},
		{"CR CR LF ends commands", []string{`>> MAIL FROM:<a@example.org>\r\r\n`, "< 250", `>> RCPT TO:<b@example.net>\r\r\n`, "< 250", `>> DATA\r\r\n`, "< 354"}, "a@example.org", "b@example.net"},
		{"RSET", []string{"> RSET", "< 250", "> MAIL FROM:<c@example.org>", "< 250", "> RCPT TO:<x@example.net>", "< 250", "> RSET", "< 250", "> RSET", "< 250", mail, "< 250", rcpt, "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"EHLO, then HELO", []string{"> EHLO vm", "< 250-relay.example", "> HELO vm", "< 250 relay.example", mail, "< 250", rcpt, "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"EHLO of nobody", []string{"> EHLO", "< 250-relay.example", "> EHLO my_printer", "< 250-", "> ehlo 192.168.1.7", "< 250-", "> EHLO B\xfcro", "< 250-", mail, "< 250", rcpt, "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"DATA after refusals", []string{mail, "< 250", "> RCPT TO:<>", "< 501", "> DATA", "< 503", rcpt, "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"source route", []string{mail, "< 250", "> RCPT TO:<@x.example,@y.example:b@example.net>", "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"null reverse-path", []string{"> MAIL FROM:<>", "< 250", rcpt, "< 250", "> DATA", "< 354"}, "", "b@example.net"},
		{"postmaster", []string{mail, "< 250", "> RCPT TO:<Postmaster>", "< 250", "> DATA", "< 354"}, "a@example.org", "Postmaster@relay.example"},
		{"no domain at all", []string{"> MAIL FROM:<root>", "< 250", "> RCPT TO:www-data", "< 250", "> DATA", "< 354"}, "root@relay.example", "www-data@relay.example"},
		{"quoted", []string{`> MAIL FROM:<"a b"@example.org>`, "< 250", `> RCPT TO:<"b\ SIZE=1 NOTIFY=x"@example.net> NOTIFY=NEVER`, "< 250", "> DATA", "< 354"}, `"a b"@example.org`, `"b SIZE=1 NOTIFY=x"@example.net`},
		{"quote in a quoted part", []string{mail, "< 250", `> RCPT TO:<"\"b\""@example.net>`, "< 250", "> DATA", "< 354"}, "a@example.org", `"\"b\""@example.net`},
		{"at sign in a quoted part", []string{mail, "< 250", `> RCPT TO:<"b@c"@example.net>`, "< 250", "> DATA", "< 354"}, "a@example.org", `"b@c"@example.net`},
		{"parameters nobody knows", []string{mail + " SIZE=5 BODY=8BITMIME SMTPUTF8 AUTH=<> X=1=2 MT-PRIORITY=3", "< 250", rcpt + " FOO=bar", "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"8-bit address", []string{"> MAIL FROM:<ä@example.org>", "< 250", rcpt, "< 250", "> DATA", "< 354"}, "ä@example.org", "b@example.net"},
		{"one bad recipient of two", []string{mail, "< 250", "> RCPT TO:<nobody@>", "< 501 5.1.3", rcpt, "< 250", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"answers in between", []string{"> NOOP", "< 250", mail, "< 250", "> VRFY b", "< 252", "> EXPN staff", "< 502 5.5.1", rcpt, "< 250", "> HELP", "< 214", "> NOOP x", "< 250", "> XYZZY", "< 500 5.5.2", "> DATA", "< 354"}, "a@example.org", "b@example.net"},
		{"nested MAIL", []string{mail, "< 250", "> RCPT TO:<x@example.net>", "< 250", "> MAIL FROM:<c@example.org>", "< 503 5.5.1", "> RSET", "< 250", "> MAIL FROM:<d@example.org>", "< 250", rcpt, "< 250", "> DATA", "< 354"}, "d@example.org", "b@example.net"},
		{"EHLO resets", []string{mail, "< 250", "> RCPT TO:<x@example.net>", "< 250", "> EHLO again", "< 250", "> MAIL FROM:<c@example.org>", "< 250", rcpt, "< 250", "> DATA", "< 354"}, "c@example.org", "b@example.net"},

		{"order", []string{rcpt, "< 503 5.5.1", "> DATA", "< 503 5.5.1", mail, "< 250", "> DATA", "< 503 5.5.1"}, "-", ""},
		{"an empty domain", []string{"> MAIL FROM:<root@>", "< 501 5.1.7 The sender's address \"root@\": it has no @domain"}, "-", ""},
		{"no address", []string{mail, "< 250", "> RCPT TO:<>", "< 501 5.1.3", "> RCPT TO:", "< 501 5.5.2", "> RCPT <b@example.net>", "< 501 5.5.2", "> RCPT", "< 501 5.5.2"}, "-", ""},
		{"brackets", []string{mail, "< 250", "> RCPT TO:<b@example.net", "< 501", "> RCPT TO:<<b@example.net>>", "< 501", "> RCPT TO:<b@example.net>X", "< 501", `> RCPT TO:<"b@example.net>`, "< 501"}, "-", ""},
		{"injection", []string{mail, "< 250", `> RCPT TO:<"a> SIZE=1 <b"@example.net>`, "< 501 5.1.3", `> RCPT TO:<b@example.net> ORCPT=rfc822;b+0D+0AX> Y`, "< 250"}, "-", ""},
		{"controls", []string{`>> MAIL FROM:<a\x00@example.org>\r\n`, "< 501 5.5.2", `>> MAIL FROM:<a@example.org>\rRCPT TO:<b@example.net>\r\n`, "< 501 5.5.2", "> RCPT TO:<b@example.net>", "< 503"}, "-", ""},
		{"bad UTF-8", []string{"> MAIL FROM:<\xff@example.org>", "< 501 5.1.7"}, "-", ""},
		{"DATA with an argument", []string{mail, "< 250", rcpt, "< 250", "> DATA x", "< 501 5.5.4"}, "-", ""},
		{"bad parameters", []string{mail + " SIZE=x", "< 501 5.5.4", mail + " SIZE=-1", "< 501 5.5.4", mail + " RET=ALL", "< 501 5.5.4", mail + " ENVID=a=b", "< 501 5.5.4",
			mail, "< 250", rcpt + " NOTIFY=NEVER,DELAY", "< 501 5.5.4", rcpt + " NOTIFY=DELAY,DELAY", "< 501 5.5.4", rcpt + " ORCPT=rfc822;+GG", "< 501 5.5.4", rcpt + " ORCPT=b", "< 501 5.5.4"}, "-", ""},
		{"parameters we cannot keep", []string{mail + " BODY=BINARYMIME", "< 555 5.5.4", mail + " REQUIRETLS", "< 555 5.5.4", mail + " HOLDFOR=60", "< 555 5.5.4"}, "-", ""},
		{"neither login nor TLS", []string{"> AUTH PLAIN AGEAYg==", "< 502 5.5.1 No login is needed", "> STARTTLS", "< 502 5.5.1 No encryption"}, "-", ""},
		{"DATA without a good recipient", []string{mail, "< 250", "> RCPT TO:<nobody@>", "< 501", "> DATA", "< 503"}, "-", ""},
		{"QUIT", []string{"> QUIT", "< 221", "<"}, "-", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil)
			cl := r.hello(t)
			cl.run(c.script...)
			if c.from == "-" {
				if len(r.taken()) != 0 {
					t.Fatal("a message arrived")
				}
				return
			}
			cl.run(body...)
			m := r.taken()
			if len(m) != 1 || string(m[0].env.From) != c.from || len(m[0].env.To) != 1 || string(m[0].env.To[0].To) != c.to {
				t.Fatalf("arrived: %+v", m)
			}
			if m[0].content != "Subject: x\r\n\r\ntext\r\n" {
				t.Errorf("content %q", m[0].content)
			}
		})
	}
}

// A client reads here what it may do; what is not offered cannot fail.
func TestExtensions(t *testing.T) {
	r := start(t, nil)
	c := r.dial(t)
	c.run("< 220 relay.example", "> EHLO x")
	got := strings.Split(c.reply(), "\n")
	want := []string{"250-relay.example", "250-PIPELINING", "250-8BITMIME", "250-SMTPUTF8", "250-DSN", "250-CHUNKING",
		"250-SIZE 1000000", "250-LIMITS RCPTMAX=100", "250 ENHANCEDSTATUSCODES"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("EHLO: %q", got)
	}
}

// The limit follows what the provider announces, without a restart.
func TestSizeFollows(t *testing.T) {
	limit := int64(0)
	r := start(t, func(o *listener.Options) { o.MaxMessageSize = func() int64 { return limit } })
	c := r.dial(t)
	c.run("< 220", "> EHLO x")
	if got := c.reply(); !strings.Contains(got, "250-SIZE\n") {
		t.Errorf("no limit: %q", got)
	}
	limit = 5_000_000_000
	c.run("> MAIL FROM:<a@example.org> SIZE=5000000001", "< 552 5.3.4 The message is too large: at most 5000 MB",
		"> MAIL FROM:<a@example.org> SIZE=5000000000", "< 250")
}

// The parameters of RFC 3461 must reach the smart host as they came.
func TestDSNParameters(t *testing.T) {
	r := start(t, nil)
	c := r.hello(t)
	c.run("> MAIL FROM:<a@example.org> ret=hdrs ENVID=x+2By SMTPUTF8", "< 250",
		"> RCPT TO:<b@example.net> NOTIFY=success,Failure ORCPT=rfc822;c+2Bd@example.net", "< 250",
		"> RCPT TO:<ü@example.net>", "< 250", "> DATA", "< 354", "> .", "< 250")
	env := r.taken()[0].env
	if env.Return != "HDRS" || env.ID != "x+2By" || !env.UTF8 {
		t.Errorf("%+v", env)
	}
	if to := env.To[0]; to.Notify != "SUCCESS,FAILURE" || to.Original != "rfc822;c+2Bd@example.net" {
		t.Errorf("%+v", to)
	}
}

// A session has many transactions, and they have nothing in common.
func TestSeveralMessages(t *testing.T) {
	r := start(t, nil)
	c := r.hello(t)
	for i := range 3 {
		c.run(fmt.Sprintf("> MAIL FROM:<a%d@example.org> SMTPUTF8", i), "< 250", "> RCPT TO:<b@example.net>", "< 250",
			"> DATA", "< 354", fmt.Sprintf("> Subject: %d", i), "> .", "< 250")
	}
	m := r.taken()
	if len(m) != 3 || m[2].env.From != "a2@example.org" || len(m[2].env.To) != 1 || m[2].content != "Subject: 2\r\n" || m[2].env.UTF8 {
		t.Errorf("%+v", m)
	}
}

// Pipelined commands are answered in order; with the message behind them they
// still are (RFC 2920 forbids it, and clients do it).
func TestPipelining(t *testing.T) {
	r := start(t, nil)
	c := r.dial(t)
	c.run(`>> EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: 1\r\n\r\nx\r\n.\r\n`+
		`MAIL FROM:<c@example.org>\r\nRCPT TO:<d@>\r\nRCPT TO:<d@example.net>\r\nDATA\r\nSubject: 2\r\n.\r\nNOOP\r\nQUIT\r\n`,
		"< 220", "< 250", "< 250 2.1.0", "< 250 2.1.5", "< 354", "< 250 2.0.0 queued",
		"< 250 2.1.0", "< 501", "< 250 2.1.5", "< 354", "< 250 2.0.0 queued", "< 250", "< 221", "<")
	m := r.taken()
	if len(m) != 2 || m[0].content != "Subject: 1\r\n\r\nx\r\n" || m[1].content != "Subject: 2\r\n" {
		t.Errorf("%+v", m)
	}
}

// Where segments end must not matter: what a client types octet by octet means
// the same as what comes in one piece.
func TestOctetByOctet(t *testing.T) {
	r := start(t, nil)
	c := r.dial(t)
	for _, octet := range []byte("helo vm\r\nmail from: a@example.org\r\nrcpt to:<b@example.net>\r\ndata\r\n" +
		"Subject: \xc3\xbc\r\n\r\n..\r\ntext\r\n.\r\n" +
		"MAIL FROM:<c@example.org>\r\nRCPT TO:<d@example.net>\r\nBDAT 3\r\nA: BDAT 3 LAST\r\nx\r\nQUIT\r\n") {
		c.send(string([]byte{octet}))
	}
	c.run("< 220", "< 250", "< 250 2.1.0", "< 250 2.1.5", "< 354", "< 250 2.0.0 queued",
		"< 250 2.1.0", "< 250 2.1.5", "< 250 2.0.0 Chunk", "< 250 2.0.0 queued", "< 221", "<")
	m := r.taken()
	if len(m) != 2 || m[0].env.From != "a@example.org" || m[0].content != "Subject: \xc3\xbc\r\n\r\n.\r\ntext\r\n" ||
		m[1].env.From != "c@example.org" || m[1].content != "A: x\r\n" {
		t.Errorf("%+v", m)
	}
}

// Most programs go without QUIT, and what they do to the connection is worth
// no line in the log: the message is there.
func TestDepartures(t *testing.T) {
	for name, leave := range map[string]func(*client) error{
		"close":          func(c *client) error { return c.conn.Close() },
		"half-close":     func(c *client) error { return c.conn.(*net.TCPConn).CloseWrite() },
		"reset":          func(c *client) error { return errors.Join(c.conn.(*net.TCPConn).SetLinger(0), c.conn.Close()) },
		"unread replies": func(c *client) error { c.run("> NOOP", "> NOOP"); return c.conn.Close() },
		"QUIT and close": func(c *client) error { c.run("> QUIT"); return c.conn.Close() },
		"QUIT and reset": func(c *client) error {
			c.run("> QUIT")
			return errors.Join(c.conn.(*net.TCPConn).SetLinger(0), c.conn.Close())
		},
		"inside a transaction": func(c *client) error { c.run(transaction[:4]...); return c.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			c := r.hello(t)
			c.run(transaction...)
			c.run("> Subject: x", "> .", "< 250")
			if err := leave(c); err != nil {
				t.Fatal(err)
			}
			if err := r.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if n := len(r.taken()); n != 1 {
				t.Errorf("%d messages", n)
			}
			if rejected, refused, lost := r.logs(); len(rejected)+len(refused)+lost != 0 {
				t.Errorf("log: %v %v %d", rejected, refused, lost)
			}
		})
	}
}

// Chunks end up as one message, whatever comes between and around them; a
// message that is given up leaves nothing behind.
func TestChunking(t *testing.T) {
	r := start(t, nil)
	c := r.hello(t)
	begin := []string{"> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250"}
	c.run(begin...)
	c.run(`>> BDAT 6\r\nA: x\r\nBDAT 5\r\n\r\n.\r\n`, "< 250", "< 250", "> NOOP", "< 250", "> MAIL FROM:<x@example.org>", "< 503",
		`>> BDAT 3 last\r\nx\ny`, "< 250 2.0.0 queued")
	c.run(begin...)
	c.run(`>> BDAT 3\r\nA: RSET\r\n`, "< 250", "< 250 2.0.0 Session reset", "> BDAT 0 LAST", "< 503")
	c.run(begin...)
	c.run(`>> BDAT 3\r\nA: EHLO x\r\n`, "< 250", "< 250-relay.example")
	c.run(`>> BDAT 7 LAST\r\nRSET\r\n\nNOOP\r\n`, "< 503", "< 250 2.0.0 I have")
	c.run(begin...)
	c.run(`>> BDAT 0 LAST\r\n`, "< 250 2.0.0 queued")
	c.run(begin...)
	c.run(`>> BDAT 3\r\nB: QUIT\r\n`, "< 250", "< 221", "<")
	m := r.taken()
	if len(m) != 2 || m[0].content != "A: x\r\n\r\n.\r\nx\r\ny\r\n" || m[1].content != "" {
		t.Errorf("%+v", m)
	}
}

// Where the size of a chunk is not known, its octets must not be taken for
// commands (P9).
func TestMalformedChunks(t *testing.T) {
	for _, bdat := range []string{"BDAT", "BDAT x", "BDAT -1 LAST", "BDAT 5 FIRST", "BDAT 5 LAST x", "BDAT 99999999999999999999"} {
		for _, inside := range []string{"", `>> BDAT 0\r\n`} {
			r := start(t, nil)
			c := r.hello(t)
			c.run("> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250")
			if inside != "" {
				c.run(inside, "< 250")
			}
			c.run(`>> `+bdat+`\r\nRSET\r\n`, "< 501 5.5.4", "<")
			if n := len(r.taken()); n != 0 {
				t.Errorf("%s: %d messages", bdat, n)
			}
		}
	}
}

// Half a message is none, be it that the client closes or only stops sending
// and still reads.
func TestHalfMessages(t *testing.T) {
	for _, half := range []string{
		`DATA\r\n`, `DATA\r\nSubject: x\r\n\r\ntext\r\n`, `DATA\r\ntext\r\n.`, `DATA\r\ntext\r\n.\r`, `DATA\r\ntext\n.\n`,
		`BDAT 10 LAST\r\nshort`, `BDAT 5\r\nwhole`, `BDAT 5\r\nwholeBDAT 0 LAST`, `BDAT 5\r\nwholeRSET`,
	} {
		r := start(t, nil)
		c := r.hello(t)
		c.run("> MAIL FROM:<a@example.org>", "< 250", "> RCPT TO:<b@example.net>", "< 250", ">> "+half)
		if tcp, ok := c.conn.(interface{ CloseWrite() error }); !ok || tcp.CloseWrite() != nil {
			t.Fatal("no half-close")
		}
		for {
			got := c.reply()
			if got == "" {
				break
			}
			if got[0] == '2' && got != "250 2.0.0 Chunk received" {
				t.Errorf("%s: %s", half, got)
			}
		}
		if n := len(r.taken()); n != 0 {
			t.Errorf("%s: %d messages", half, n)
		}
		if rejected, refused, lost := r.logs(); len(rejected)+len(refused) != 0 || lost != 1 {
			t.Errorf("%s: log: %v %v %d", half, rejected, refused, lost)
		}
	}
}

// A command that was not ended was not given.
func TestPartialCommand(t *testing.T) {
	r := start(t, nil)
	c := r.hello(t)
	c.run(transaction...)
	c.run("> Subject: x", "> .", "< 250", ">> QUIT")
	if tcp, ok := c.conn.(interface{ CloseWrite() error }); ok {
		tcp.CloseWrite()
	}
	c.run("<")
}

// What the relay's own troubles sound like: 4xx, and that nothing is lost (P4).
func TestSpoolTrouble(t *testing.T) {
	full := fmt.Errorf("write: %w", spool.ErrFull)
	other := errors.New("input/output error")
	for _, c := range []struct {
		name         string
		space, draft error
		want         string
	}{
		{"full at MAIL", full, nil, "452 4.3.1 The spool is full"},
		{"broken at MAIL", other, nil, "451 4.3.0"},
		{"full at DATA", nil, full, "452 4.3.1 The spool is full"},
		{"broken at DATA", nil, other, "451 4.3.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(o *listener.Options) { o.Spool = faulty{o.Spool, c.space, c.draft} })
			cl := r.hello(t)
			if c.space != nil {
				cl.run("> MAIL FROM:<a@example.org> SIZE=10", "< "+c.want)
			} else {
				cl.run(transaction...)
				cl.run("> x", "> ..", "> .", "< "+c.want, "> NOOP", "< 250")
			}
			if _, refused, _ := r.logs(); len(refused) != 1 || strings.Contains(cl.last(), "input/output") {
				t.Errorf("log: %q", refused)
			}
		})
	}
	t.Run("full inside", func(t *testing.T) {
		small, _, err := spool.Open(spool.Options{Dir: t.TempDir(), MaxSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		defer small.Close()
		r := start(t, func(o *listener.Options) { o.Spool = unwatched{small} })
		cl := r.hello(t)
		cl.run(transaction...)
		cl.send("Subject: x\r\n\r\n" + strings.Repeat("RSET\r\n", 1000))
		cl.run("> .", "< 452 4.3.1", "> NOOP", "< 250")
		if len(r.taken()) != 0 {
			t.Error("it arrived")
		}
	})
}

func (c *client) last() string { c.run("> NOOP"); return c.reply() }

type faulty struct {
	listener.Spool
	space, draft error
}

func (f faulty) Space(int64) error { return f.space }

func (f faulty) Draft(env envelope.Envelope, client string) (*spool.Draft, error) {
	if f.draft != nil {
		return nil, f.draft
	}
	return f.Spool.Draft(env, client)
}

// What Submit answers is what the client gets, whatever words a smart host
// has put into it.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("word ", 200)
	for _, c := range []struct {
		name   string
		answer queue.Answer
		params string
		want   string
	}{
		{"sent", queue.Answer{Code: 250, Enhanced: explain.EnhancedCode{2, 0, 0}, Text: "sent as 1 (2)"}, "", "250 2.0.0 sent as 1 (2)"},
		{"lines", queue.Answer{Code: 550, Enhanced: explain.EnhancedCode{5, 1, 1}, Text: "one\ntwo\n\nthree"}, "", "550-5.1.1 one\n550-5.1.1 two\n550 5.1.1 three"},
		{"no enhanced code", queue.Answer{Code: 451, Text: "later"}, "", "451 4.0.0 later"},
		{"codes that disagree", queue.Answer{Code: 451, Enhanced: explain.EnhancedCode{5, 1, 1}, Text: "later"}, "", "451 4.0.0 later"},
		{"other success", queue.Answer{Code: 251, Enhanced: explain.EnhancedCode{2, 1, 5}, Text: "ok"}, "", "250 2.1.5 ok"},
		{"502", queue.Answer{Code: 502, Enhanced: explain.EnhancedCode{5, 5, 1}, Text: "a\nb"}, "", "502-5.5.1 a\n502 5.5.1 b"},
		{"no code", queue.Answer{}, "", "451 4.0.0 Internal error"},
		{"intermediate code", queue.Answer{Code: 354}, "", "451 4.0.0 Internal error"},
		{"forged", queue.Answer{Code: 550, Enhanced: explain.EnhancedCode{5, 0, 0}, Text: "no\r250 ok\r\n250 sent\x00\x1b[1m"}, "", "550-5.0.0 no 250 ok\n550 5.0.0 250 sent  [1m"},
		{"ASCII", queue.Answer{Code: 550, Enhanced: explain.EnhancedCode{5, 0, 0}, Text: "Ünknown\xff"}, "", "550 5.0.0 ?nknown?"},
		{"UTF-8", queue.Answer{Code: 550, Enhanced: explain.EnhancedCode{5, 0, 0}, Text: "Ünknown\xff\u2028\u0085"}, " SMTPUTF8", "550 5.0.0 Ünknown?"},
		{"empty", queue.Answer{Code: 250, Enhanced: explain.EnhancedCode{2, 0, 0}}, "", "250 2.0.0 OK"},
		{"long", queue.Answer{Code: 550, Enhanced: explain.EnhancedCode{5, 0, 0}, Text: long}, "",
			"550-5.0.0 " + strings.TrimSpace(long[:390]) + "\n550-5.0.0 " + strings.TrimSpace(long[390:780]) + "\n550 5.0.0 " + strings.TrimSpace(long[780:])},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, end := range [][]string{{"> DATA", "< 354", "> .", ""}, {"> BDAT 0 LAST", ""}} {
				r := start(t, nil)
				r.answer = c.answer
				cl := r.hello(t)
				cl.run("> MAIL FROM:<a@example.org>"+c.params, "< 250", "> RCPT TO:<b@example.net>", "< 250")
				cl.run(end...)
				got := cl.reply()
				if !strings.HasPrefix(got, c.want) {
					t.Errorf("%q, want %q", got, c.want)
				}
				for line := range strings.SplitSeq(got, "\n") {
					if len(line) > 410 {
						t.Errorf("%d octets in a line", len(line))
					}
				}
				cl.run("> NOOP", "< 250")
			}
		})
	}
}

// Everything outside has to come from the app or from us, and nothing of what
// we add may tell where the app is.
func TestAddedFields(t *testing.T) {
	r := start(t, nil)
	c := r.dial(t)
	c.run("< 220", "> HELO web01.corp.internal", "< 250")
	c.run(transaction...)
	c.run("> Subject: x", "> ", "> text", "> .", "< 250")
	c.run("> EHLO [10.1.2.3]", "< 250", "> MAIL FROM:<ä@example.org> SMTPUTF8", "< 250", "> RCPT TO:<b@example.net>", "< 250",
		"> DATA", "< 354", "> Message-ID: <m@example.org>", "> Date: x", "> .", "< 250")
	m := r.taken()
	if !strings.HasPrefix(m[0].added, "Received: from localhost (local app)\r\n\tby relay.example (Kurir) with SMTP id "+m[0].id+";\r\n\t") ||
		!strings.HasSuffix(m[0].added, "\r\nMessage-ID: <"+m[0].id+"@relay.example>\r\nFrom: a@example.org\r\n") || !strings.Contains(m[0].added, "\r\nDate: ") ||
		m[0].messageID != "<"+m[0].id+"@relay.example>" {
		t.Errorf("%q", m[0].added)
	}
	if !strings.Contains(m[1].added, " with UTF8SMTP id ") || strings.Contains(m[1].added, "Date") || m[1].messageID != "<m@example.org>" {
		t.Errorf("%q %v", m[1].added, m[1].messageID)
	}
}

// A broken part of ours must cost one client its session and nobody else
// anything.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, bad := 0, 2
		r := build(t, func(o *listener.Options) {
			o.MaxMessageSize = func() int64 {
				if calls++; calls == bad {
					panic("boo")
				}
				return 0
			}
		})
		l := newPipes()
		go r.Serve(listener.Port{Listener: l})
		for bad = range 4 { // none, in EHLO, in MAIL, in DATA
			calls = 0
			c := l.dial(t, "127.0.0.1")
			c.run("< 220")
			steps := append([]string{"> EHLO x", "< 250"}, transaction[:4]...)
			for _, step := range append(steps, "> BDAT 0 LAST", "< 250 2.0.0 queued") {
				if strings.HasPrefix(step, ">") {
					c.run(step)
				} else if got := c.reply(); strings.HasPrefix(got, "421 4.") {
					c.run("<")
					break
				}
			}
		}
		shut(t, r)
		rejected, _, _ := r.logs()
		if len(rejected) < 2 || !strings.Contains(rejected[0], "This is a defect of Kurir") {
			t.Errorf("log: %q", rejected)
		}
		if n := len(r.taken()); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}
