package listener_test

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"kurir/relay/listener"
	"kurir/relay/queue"
)

var (
	replyLine = regexp.MustCompile(`^[2345][0-9][0-9][ -][ -~]+\r$`)

	// RFC 5321, section 4.1.1.4; after DATA itself the CRLF may be an LF alone,
	// as after any command.
	dataEnd = regexp.MustCompile(`(?i)(\r\n|data[ \t\r]*\n)\.\r\n`)
)

// No octets a client sends may make the server panic, write something that is
// no reply, or take a message that was not ended (P9).
func FuzzSession(f *testing.F) {
	const begin = "EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
	for _, seed := range []string{
		begin + "DATA\r\nSubject: x\r\n\r\ntext\r\n.\r\nQUIT\r\n",
		begin + "DATA\r\ntext\n.\nMAIL FROM:<c@example.org>\r\n\r\n..\r\n.\r\r\n.\r\n",
		begin + "DATA\n.\r\n",
		begin + "BDAT 3\r\na\r\nBDAT 4 LAST\r\nb\n.\r\nRSET\r\n",
		begin + "BDAT 1\r\naRSET\r\nBDAT 1\r\na",
		"BDAT 5 LAST\r\nNOOP\r\nHELO\r\n",
		"HELO  x\nmail from: \"a b\"@example.org SIZE=1 X\r\nRCPT TO:<@x:b@y> NOTIFY=NEVER ORCPT=rfc822;b+20\r\n",
		"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "\xff\xf4\xff\xfd\x06", "EHLO \x00\r\n", "RCPT TO:<postmaster>\r\n",
	} {
		f.Add([]byte(seed), 7)
	}
	r := build(f, func(o *listener.Options) { o.MaxMessageSize = func() int64 { return 5000 } })
	r.answer = queue.Answer{Code: 250}
	l := newPipes()
	r.serve(f, l)
	f.Fuzz(func(t *testing.T, in []byte, part int) {
		ours, theirs := net.Pipe()
		over := make(chan struct{})
		l.conns <- watched{pipeConn{theirs, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}, over}
		replies := make(chan []byte)
		go func() {
			all, _ := io.ReadAll(ours)
			replies <- all
		}()
		before := len(r.taken())
		part = min(max(part, 1), 4096)
		for rest := in; len(rest) > 0; {
			n := min(part, len(rest))
			if _, err := ours.Write(rest[:n]); err != nil {
				break
			}
			rest = rest[n:]
		}
		ours.Close()
		<-over
		said := <-replies

		lines := strings.Split(string(said), "\n")
		for _, line := range lines[:len(lines)-1] { // the last may be cut by our close
			if !replyLine.MatchString(line) {
				t.Errorf("no reply: %q", line)
			}
		}
		taken := r.taken()[before:]
		if ends := len(dataEnd.FindAll(in, -1)); len(taken) > ends && !bytes.Contains(bytes.ToUpper(in), []byte("BDAT")) {
			t.Errorf("%d messages with %d ends", len(taken), ends)
		}
		for _, m := range taken {
			if rest := strings.ReplaceAll(m.content, "\r\n", ""); strings.ContainsAny(rest, "\r\n") {
				t.Errorf("line ends: %q", m.content)
			}
			if m.content != "" && !strings.HasSuffix(m.content, "\r\n") {
				t.Errorf("last line: %q", m.content)
			}
			for _, to := range m.env.To {
				if strings.ContainsAny(string(to.To+m.env.From), "\r\n\x00") || to.To == "" {
					t.Errorf("envelope %+v", m.env)
				}
			}
		}
		if rejected, _, _ := r.logs(); strings.Contains(strings.Join(rejected, ""), "defect") {
			t.Errorf("log: %q", rejected)
		}
		r.mu.Lock()
		r.messages, r.refused, r.rejected = nil, nil, nil
		r.mu.Unlock()
	})
}

type watched struct {
	pipeConn
	over chan struct{}
}

func (c watched) Close() error {
	defer close(c.over)
	return c.pipeConn.Close()
}
