package main_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
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
	if code != 1 || !strings.Contains(out, "works, signed in") || !strings.Contains(out, "\nThe provider would take mail, but ") {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(out, "wrong  listen.smtp") || !strings.Contains(out, "is taken by ") {
		t.Error("who has the address is not told")
	}
}

// Whoever is tired of waiting for a server that says nothing ends the check,
// which hangs up then and says so.
func TestCheckInterrupted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cmd := exec.CommandContext(t.Context(), "kurir", "check")
	cmd.Env = plainEnviron()
	cmd.Env = append(cmd.Env, "KURIR_UPSTREAM_HOST=127.0.0.1", "KURIR_UPSTREAM_TLS=starttls", "KURIR_UPSTREAM_PORT="+port,
		"KURIR_STATE_DIR="+t.TempDir(), "KURIR_LISTEN_SMTP=127.0.0.1:0")
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("it did not hang up: %v", err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || out.Len() > 0 || complaint.String() != "kurir check: interrupted\n" {
		t.Errorf("%v\n%s%s", err, out.String(), complaint.String())
	}
}
