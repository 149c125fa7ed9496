package upstreamtest_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"kurir/upstream/explain"
	"kurir/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a test that may fail without failing ours.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	errors []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// serve plays a script made of text and returns its first address.
func serve(t *testing.T, text string) (*upstreamtest.Server, *recorder, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.txtar")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	s := upstreamtest.Load(t, path).Serve(r)
	return s, r, address(s.Candidates()[0])
}

func address(c explain.Candidate) string { return fmt.Sprintf("%s:%d", c.Host, c.Port) }

// talk says all of it at once and returns what came back until the end.
func talk(t *testing.T, addr, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(conn) // a reset is an end as well
	return string(got)
}

// TestClient plays a dialogue to a client that is not ours.
func TestClient(t *testing.T) {
	script := upstreamtest.Load(t, "testdata/refused-recipient.txtar")
	if !strings.HasPrefix(script.Comment, "Two recipients") || script.Explanation != "The recipient does not exist.\n" {
		t.Errorf("comment %q, explanation %q", script.Comment, script.Explanation)
	}
	s := script.Serve(t)
	defer s.Close()
	way := s.Candidates()[0]
	if way.TLS != explain.STARTTLS || s.Public(way.String()) != "127.0.0.1:587 STARTTLS" {
		t.Errorf("candidate %v, in public %s", way, s.Public(way.String()))
	}
	c, err := smtp.Dial(address(way))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{RootCAs: s.Pool(), ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		c.Auth(smtp.PlainAuth("", "u", "p", "127.0.0.1")), c.Mail("app@example.com"), c.Rcpt("known@example.org"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var refused *textproto.Error
	if err := c.Rcpt("unknown@example.org"); !errors.As(err, &refused) || refused.Code != 550 || !strings.Contains(refused.Msg, "\n") {
		t.Errorf("refusal %v, want both lines", err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "Subject: x\r\n\r\n.\r\nQUIT\r\n")
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

// TestCandidates plays several ways in, each with another end.
func TestCandidates(t *testing.T) {
	s := upstreamtest.Load(t, "testdata/fallback.txtar").Serve(t)
	defer s.Close()
	ways := s.Candidates()
	if len(ways) != 4 || ways[1].TLS != explain.Implicit || ways[2].TLS != explain.Implicit || ways[3].TLS != explain.STARTTLS {
		t.Fatalf("candidates %v", ways)
	}
	if got := talk(t, address(ways[0]), "EHLO x\r\n"); !strings.HasSuffix(got, "XXXXXXXA\r\n") {
		t.Errorf("stripped: %q", got)
	}
	config := &tls.Config{RootCAs: s.Pool(), ServerName: "localhost"}
	if _, err := tls.Dial("tcp", address(ways[1]), config); err == nil {
		t.Error("an expired certificate passed")
	}
	conn, err := tls.Dial("tcp", address(ways[2]), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "EHLO x\r\nBDAT 3 LAST\r\na\r\n")
	text := textproto.NewConn(conn)
	for _, want := range []string{"220 smtp.example.com ESMTP", "250-smtp.example.com", "250 CHUNKING", "250 2.0.0 OK"} {
		if got, err := text.ReadLine(); got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := net.Dial("tcp", address(ways[3])); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed: %v", err)
	}
}

// TestMismatch holds what a test is told, with the line of the script.
func TestMismatch(t *testing.T) {
	const head = "Why.\n-- dialogue --\n"
	tests := []struct{ name, script, said, want string }{
		{"as scripted", head + "S: 220 a\nC: EHLO *\nS: 250 b\n", "EHLO x\r\nQUIT\r\n", ""},
		{"other words", head + "S: 220 a\nC: EHLO x*\n", "HELO x\r\n", `:4: client says "HELO x", want "EHLO x*"`},
		{"less than scripted", head + "C: EHLO *\n", "", `:3: want "EHLO *": the client left`},
		{"half a line", head + "C: EHLO *\n", "EHL", `:3: client says "EHL" and no more`},
		{"bare LF", head + "C: EHLO *\n", "EHLO x\n", `without CR`},
		{"more than scripted", head + "S: 220 a\n", "EHLO x\r\n", `:3: after the end the client says "EHLO x"`},
		{"it should leave", head + "S: 554 a\nC: * close\n", "QUIT\r\n", `:4: client says "QUIT", want it to leave`},
		{"closing", head + "S: 554 a\nS: * close\n", "", ""},
		{"no end of the body", head + "C: * body\n", "a\r\n..\r\n", `:3: the client left`},
		{"a chunk cut short", head + "C: BDAT *\n", "BDAT 9\r\nabc", `:3: the client left`},
		{"no handshake", head + "S: * tls\n", "", `:3: the client left`},
		{"speaking before it", head + "C: STARTTLS\nS: 220 a\nS: * tls\n", "STARTTLS\r\nEHLO x\r\n", `:5: the client speaks on`},
		{"optional", head + "optional\nC: EHLO *\nC: AUTH *\n", "EHLO x\r\nQUIT\r\n", ""},
		{"optional, left", head + "optional\nC: EHLO *\n", "", ""},
		{"optional is no licence", head + "optional\nC: EHLO *\n", "MAIL\r\n", `:4: client says "MAIL"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, r, addr := serve(t, tt.script)
			talk(t, addr, tt.said)
			s.Close()
			got := strings.Join(r.errors, "; ")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}

// TestConnections covers how connections and dialogues are counted.
func TestConnections(t *testing.T) {
	s, r, addr := serve(t, "Why.\n-- dialogue --\nS: 1\n-- dialogue --\nS: 2\n")
	for _, want := range []string{"1\r\n", "2\r\n", ""} {
		if got := talk(t, addr, ""); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s.Close()
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], ":4: a connection more") {
		t.Errorf("told %q", r.errors)
	}

	s, r, addr = serve(t, "Why.\n-- dialogue --\nrepeat\nS: 1\n-- candidate 25 --\nS: 2\n-- candidate 80 --\noptional\nS: 3\n")
	for range 3 {
		if got := talk(t, addr, ""); got != "1\r\n" {
			t.Errorf("%q", got)
		}
	}
	s.Close()
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], ":5: nobody came") {
		t.Errorf("told %q", r.errors)
	}
}

// TestTLSLimits exists because a client that accepts what it must refuse is
// the worst mismatch of all (P3).
func TestTLSLimits(t *testing.T) {
	for _, option := range []string{"certificate: expired", "certificate: wrong-name", "certificate: untrusted", "version: 1.1"} {
		s, r, addr := serve(t, "Why.\n-- candidate 465 --\n"+option+"\nS: * tls\n")
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		s.Close()
		if len(r.errors) != 1 || !strings.Contains(r.errors[0], "accepts TLS that it should refuse") {
			t.Errorf("%s: told %q", option, r.errors)
		}
	}
}

// TestSave shows that -update changes the explanation and nothing else.
func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script.txtar")
	for _, text := range []string{"Why.\n-- dialogue --\nS: 1\n", "Why.\n-- dialogue --\nS: 1\n-- explanation --\nold\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := upstreamtest.Load(t, path)
		if err := s.Save("new\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if want := "Why.\n-- dialogue --\nS: 1\n-- explanation --\nnew\n"; err != nil || string(got) != want || s.Explanation != "new\n" {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}
