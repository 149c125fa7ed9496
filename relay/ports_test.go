package relay_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kurir/relay"
	"kurir/relay/maillog"
	"kurir/upstream"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// sendOver is an app that has connected somehow.
func sendOver(t *testing.T, conn net.Conn, login smtp.Auth, config *tls.Config) {
	t.Helper()
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if config != nil {
		err = c.StartTLS(config)
	}
	if err == nil && login != nil {
		err = c.Auth(login)
	}
	if err == nil {
		err = c.Mail("app@example.com")
	}
	if err == nil {
		err = c.Rcpt("you@example.org")
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// A unix socket takes mail as a port does, from every user of the machine; one
// that a dead relay has left is replaced, one that answers is not.
func TestUnixSocket(t *testing.T) {
	c := settings(t, "through")
	path := filepath.Join(c.StateDir, "smtp.sock")
	c.Listen.SMTP = []string{"unix:" + path}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	sendOver(t, conn, nil, nil)
	h.arrived(1)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	other := settings(t, "through")
	other.Listen.SMTP = c.Listen.SMTP
	_, err = relay.New(relay.Options{Config: other, Log: maillog.New(h.log, maillog.Options{}), Sandbox: &upstream.Options{Host: "localhost"}})
	var taken *relay.ListenError
	if !errors.As(err, &taken) || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "taken by another program") {
		t.Errorf("a second relay on the socket: %v", err)
	}
}

// Where it is configured apps get STARTTLS, implicit TLS and a login that is
// always right; elsewhere nothing is offered (TestDialogues).
func TestSecurePorts(t *testing.T) {
	provider := upstreamtest.Sandbox(t, sandbox.Options{})
	c := settings(t, "through")
	c.Listen.SMTP = []string{"127.0.0.1:0", "tls://127.0.0.1:0"}
	c.Listen.Auth = "any"
	authority, err := sandbox.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(sandbox.Good)
	if err != nil {
		t.Fatal(err)
	}
	c.Listen.TLSCert = filepath.Join(c.StateDir, "pair.pem")
	if err := upstreamtest.WritePair(c.Listen.TLSCert, pair); err != nil {
		t.Fatal(err)
	}
	c.Listen.TLSKey = c.Listen.TLSCert
	h := open(t, provider, c)
	config := &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"}

	plain, err := net.Dial("tcp", h.smtp)
	if err != nil {
		t.Fatal(err)
	}
	sendOver(t, plain, smtp.PlainAuth("", "app", "whatever", "localhost"), config)
	secure, err := tls.Dial("tcp", h.second, config)
	if err != nil {
		t.Fatal(err)
	}
	sendOver(t, secure, smtp.CRAMMD5Auth("app", "whatever"), nil)
	h.arrived(2)
	if strings.Contains(h.log.String(), "whatever") {
		t.Error("P7: a login is in the log")
	}
}

// A certificate that ends soon, or has ended, must be known before an app
// fails on it.
func TestEnds(t *testing.T) {
	authority, err := sandbox.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[sandbox.Certificate]bool{sandbox.Good: false, sandbox.Expired: true} {
		pair, err := authority.Issue(kind)
		if err != nil {
			t.Fatal(err)
		}
		c := settings(t, "through")
		c.Listen.TLSCert = filepath.Join(c.StateDir, "pair.pem")
		c.Listen.TLSKey = c.Listen.TLSCert
		if err := upstreamtest.WritePair(c.Listen.TLSCert, pair); err != nil {
			t.Fatal(err)
		}
		h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
		conn, err := net.Dial("tcp", h.smtp)
		if err != nil {
			t.Fatal(err)
		}
		sendOver(t, conn, nil, nil)
		h.arrived(1)
		h.stop()
		if told := strings.Contains(h.log.String(), "the certificate ends on"); told != want {
			t.Errorf("%q: told %v; log:\n%s", kind, told, h.log)
		}
	}
}
