package main_test

import (
	"net"
	"os"
	"strings"
	"testing"
)

// Where another program has the address, apps hand their mail to that one, so
// that a provider that works is of no use; the check says who it is.
func TestCheckAddressTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := checkConfig(t, provider(t), checkPassword, `tls = "starttls"`)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	taken := strings.ReplaceAll(string(text), "127.0.0.1:0", l.Addr().String())
	if err := os.WriteFile(file, []byte(taken), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := runCheck(t, "--config", file)
	if code != 1 || !strings.Contains(out, "works, signed in") || !strings.HasSuffix(out, "\nMail would not go out.\n") {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(out, "wrong  listen.smtp") || !strings.Contains(out, "is taken by ") {
		t.Error("who has the address is not told")
	}
}
