package listener_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"kurir/relay/listener"
	"kurir/upstream/sandbox"
)

// certificate makes one for localhost, and a pool that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	authority, err := sandbox.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(sandbox.Good)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, authority.Pool()
}

// startAt is start with a port of another kind.
func startAt(t *testing.T, p listener.Port, change func(*listener.Options)) *relay {
	t.Helper()
	r := build(t, change)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr, p.Listener = l.Addr().String(), l
	r.serveAt(t, p)
	return r
}

// secure goes on over TLS; it verifies the certificate.
func (c *client) secure(pool *x509.CertPool) {
	c.t.Helper()
	conn := tls.Client(c.conn, &tls.Config{RootCAs: pool, ServerName: "localhost"})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
}

// STARTTLS is offered where there is a certificate, once; what was said before
// the handshake counts for nothing, and what was sent behind STARTTLS in the
// clear is never taken for a command (RFC 3207, section 6).
func TestStartTLS(t *testing.T) {
	config, pool := certificate(t)
	r := start(t, func(o *listener.Options) { o.TLS = config })
	c := r.dial(t)
	c.run("< 220", "> EHLO x")
	if got := c.reply(); !strings.Contains(got, "250-STARTTLS\n") {
		t.Errorf("not offered: %q", got)
	}
	c.run("> MAIL FROM:<forged@example.org>", "< 250", "> STARTTLS now", "< 501", `>> STARTTLS\r\nRCPT TO:<forged@example.net>\r\n`, "< 220")
	c.secure(pool)
	c.run("> RCPT TO:<b@example.net>", "< 503", "> EHLO x")
	if got := c.reply(); strings.Contains(got, "STARTTLS") {
		t.Errorf("offered twice: %q", got)
	}
	c.run("> STARTTLS", "< 503")
	c.run(transaction...)
	c.run("> Subject: x", "> ", "> text", "> .", "< 250 2.0.0 queued", "> QUIT", "< 221", "<")
	m := r.taken()
	if len(m) != 1 || len(m[0].env.To) != 1 || m[0].env.To[0].To != "b@example.net" || !strings.Contains(m[0].added, "with ESMTPS id") {
		t.Errorf("arrived: %+v", m)
	}
}

// A client that begins with TLS gets TLS where the port has it, before a word
// is said; a large message comes through as well.
func TestImplicitTLS(t *testing.T) {
	config, pool := certificate(t)
	r := startAt(t, listener.Port{ImplicitTLS: true}, func(o *listener.Options) { o.TLS = config })
	c := r.dial(t)
	c.secure(pool)
	c.run("< 220", "> EHLO x", "< 250")
	c.run(transaction...)
	c.send(strings.Repeat("a line of a large message\r\n", 10_000) + ".\r\n")
	c.run("< 250 2.0.0 queued", "> QUIT", "< 221", "<")
	if m := r.taken(); len(m) != 1 || strings.Count(m[0].content, "a line of a large message\r\n") != 10_000 {
		t.Errorf("%d arrived", len(m))
	}
}

// Why a handshake failed is told to who looks after the relay: the app shows
// it to nobody.
func TestHandshakeFailures(t *testing.T) {
	config, _ := certificate(t)
	for _, c := range []struct {
		name string
		fail func(c *client)
		want string
	}{
		{"untrusted", func(c *client) {
			if err := tls.Client(c.conn, &tls.Config{ServerName: "localhost"}).Handshake(); err == nil {
				t.Error("a certificate of nobody was trusted")
			}
		}, "An app does not trust the certificate"},
		{"too old", func(c *client) {
			if err := tls.Client(c.conn, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true}).Handshake(); err == nil {
				t.Error("TLS 1.1 was taken")
			}
		}, "The TLS handshake of an app failed"},
		{"plain", func(c *client) {
			c.run("> EHLO app.example and some more words", "<")
		}, "No TLS was begun where TLS comes first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startAt(t, listener.Port{ImplicitTLS: true}, func(o *listener.Options) { o.TLS = config })
			cl := r.dial(t)
			c.fail(cl)
			_, _ = io.Copy(io.Discard, cl.conn) // until the relay has closed it
			if rejected, _, _ := r.logs(); len(rejected) != 1 || !strings.Contains(rejected[0], c.want) {
				t.Errorf("log: %q", rejected)
			}
		})
	}
}

// Apps that insist on signing in may do so where that is configured: any
// login is right, in any of the ways that they know.
func TestAnyLogin(t *testing.T) {
	for name, script := range map[string][]string{
		"PLAIN at once":        {"> AUTH PLAIN AGEAYg==", "< 235 2.7.0"},
		"PLAIN in two steps":   {"> auth plain", "< 334 ", "> AGEAYg==", "< 235"},
		"LOGIN":                {"> AUTH LOGIN", "< 334 VXNlcm5hbWU6", "> YQ==", "< 334 UGFzc3dvcmQ6", "> Yg==", "< 235"},
		"LOGIN with a name":    {"> AUTH LOGIN YQ==", "< 334 UGFzc3dvcmQ6", "> Yg==", "< 235"},
		"LOGIN with nothing":   {"> AUTH LOGIN", "< 334", "> ", "< 334", "> ", "< 235"},
		"CRAM-MD5":             {"> AUTH CRAM-MD5", "< 334 P", "> YSBi", "< 235"},
		"cancelled, and again": {"> AUTH LOGIN", "< 334", "> *", "< 501 5.7.0", "> AUTH PLAIN *", "< 501", "> AUTH PLAIN AGEAYg==", "< 235"},
		"another mechanism":    {"> AUTH NTLM", "< 504 5.5.4 Say one of AUTH PLAIN", "> AUTH", "< 504", "> AUTH PLAIN AGEAYg==", "< 235"},
		"twice":                {"> AUTH PLAIN AGEAYg==", "< 235", "> AUTH PLAIN AGEAYg==", "< 503"},
		"inside a message":     {"> AUTH PLAIN AGEAYg==", "< 235", "> MAIL FROM:<a@example.org>", "< 250", "> AUTH PLAIN AGEAYg==", "< 503", "> RSET", "< 250"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *listener.Options) { o.AnyLogin = true })
			c := r.dial(t)
			c.run("< 220", "> EHLO x")
			if got := c.reply(); !strings.Contains(got, "250-AUTH PLAIN LOGIN CRAM-MD5\n") {
				t.Errorf("not offered: %q", got)
			}
			c.run(script...)
			c.run(transaction...)
			c.run("> Subject: x", "> .", "< 250 2.0.0 queued")
			if m := r.taken(); len(m) != 1 || !strings.Contains(m[0].added, "with ESMTPA id") {
				t.Errorf("arrived: %+v", m)
			}
			if _, refused, _ := r.logs(); strings.Contains(strings.Join(refused, ""), "AGEAYg") {
				t.Errorf("P7: a login is in the log: %q", refused)
			}
		})
	}
}

// A device that ends its lines with LF alone gets its message through where
// that is configured. Elsewhere LF "." LF ends nothing (P9; TestSmuggling).
func TestLegacyLineEnds(t *testing.T) {
	r := startAt(t, listener.Port{LegacyLineEnds: true}, nil)
	c := r.dial(t)
	c.run("< 220", `>> EHLO x\n`)
	if got := c.reply(); strings.Contains(got, "CHUNKING") {
		t.Errorf("chunks are counted in octets, and these are changed: %q", got)
	}
	c.run(`>> MAIL FROM:<a@example.org>\n`, "< 250", `>> RCPT TO:<b@example.net>\n`, "< 250", `>> DATA\n`, "< 354",
		`>> Subject: x\n\n..dot\r\ntext\r`, `>> \n.\n`, "< 250 2.0.0 queued",
		`>> BDAT 3\nabc`, "< 502", "<")
	if m := r.taken(); len(m) != 1 || m[0].content != "Subject: x\r\n\r\n.dot\r\ntext\r\n" {
		t.Errorf("arrived: %+v", m)
	}
}

// Many commands at once, and a long one, are answered there as elsewhere.
func TestLegacyLineEndsPipelined(t *testing.T) {
	r := startAt(t, listener.Port{LegacyLineEnds: true}, func(o *listener.Options) { o.MaxRecipients = 1000 })
	for _, end := range []string{"\n", "\r\n"} {
		c := r.dial(t)
		c.run("< 220")
		var all strings.Builder
		all.WriteString("HELO x" + end + "MAIL FROM:<a@example.org>" + end)
		for n := range 400 {
			fmt.Fprintf(&all, "RCPT TO:<somebody%d@example.net>%s", n, end)
		}
		all.WriteString("NOOP " + strings.Repeat("x", 6000) + end + "QUIT" + end)
		go c.send(all.String())
		for range 403 {
			c.run("< 250")
		}
		c.run("< 221")
	}
}
