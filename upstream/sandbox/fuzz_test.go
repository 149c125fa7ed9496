package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"kurir/upstream/explain"
)

// FuzzContent proves that what is dot-stuffed comes back as it was, however
// the reader's buffer cuts it (P9), and that nothing but CRLF.CRLF ends it.
func FuzzContent(f *testing.F) {
	for _, seed := range []string{"", "a\r\n", ".\r\n", "..\r\n", "a\n.\nb", "a\r\n\n.\r\n", "\r.\r", "\r\r\n.", strings.Repeat("x", 14) + "\r\n.y\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		if content != "" && !strings.HasSuffix(content, "\r\n") {
			content += "\r\n"
		}
		wire := strings.ReplaceAll("\r\n"+content, "\r\n.", "\r\n..")[2:] + ".\r\nREST"
		r := bufio.NewReaderSize(strings.NewReader(wire), 16)
		var got bytes.Buffer
		if err := copyContent(&got, r); err != nil {
			t.Fatal(err)
		}
		if got.String() != content {
			t.Errorf("%q came out as %q", content, &got)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "REST" {
			t.Errorf("%q left %q", content, rest)
		}
	})
}

// A wire is a connection on which everything has been said already.
type wire struct {
	net.Conn
	in *strings.Reader
}

func (w wire) Read(p []byte) (int, error)      { return w.in.Read(p) }
func (w wire) Write(p []byte) (int, error)     { return len(p), nil }
func (w wire) Close() error                    { return nil }
func (w wire) SetReadDeadline(time.Time) error { return nil }

// FuzzSession feeds commands to a session that has logged in; none may make
// it panic, and no message may be kept that breaks the rules for line ends.
func FuzzSession(f *testing.F) {
	f.Add("MAIL FROM:<a@b> SIZE=3\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n")
	f.Add("MAIL FROM:<>\r\nRCPT TO:<\"\\>\"@d>\r\nBDAT 2\r\n\r\nBDAT 0 LAST\r\n")
	f.Add("AUTH\r\nRCPT TO:<reply-@x>\r\nBDAT 99999999999999999999\r\n")
	f.Add("EHLO \xff\r\nHELO a\r\nMAIL\r\nMAIL FROM:\r\n")
	srv, err := New(Options{Size: 1000})
	if err != nil {
		f.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := srv.Run(ended); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, said string) {
		p := &port{mode: explain.Implicit}
		s := newSession(context.Background(), srv, p, wire{in: strings.NewReader(said)})
		s.client, s.authed, s.secure = "x", true, &tls.ConnectionState{}
		s.offer = []string{"PIPELINING", "CHUNKING", "DSN", "8BITMIME", "SIZE 1000", "SMTPUTF8"}
		var err error
		for err == nil {
			var line string
			if line, err = s.readLine(); err == nil {
				err = s.command(line)
			}
		}
		s.forget()
		for _, m := range srv.Messages() {
			var ends lineEnds
			if ends.check(m.Content); ends.bare || m.Size > 1000 {
				t.Errorf("kept %q", m.Content)
			}
		}
		srv.mail.messages = nil
	})
}
