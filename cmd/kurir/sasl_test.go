//go:build linux

package main_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/upstream"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A dovecot is a real Dovecot that does nothing but check logins for Postfix.
type dovecot struct {
	*scene
	dir string
	key []byte // that tokens are signed with

	cmd  *exec.Cmd
	gone <-chan struct{}
}

const dovecotConf = `base_dir = DIR/run
instance_name = peer
log_path = /dev/stderr
auth_verbose = yes
auth_failure_delay = 0
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 xoauth2 oauthbearer
passdb {
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = scheme=PLAIN DIR/users
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = DIR/oauth2.conf
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  unix_listener SOCKET {
    mode = 0666
  }
}
`

const dovecotOAuth2Conf = `introspection_mode = local
local_validation_key_dict = fs:posix:prefix=DIR/keys/
`

// startDovecot starts one that answers on a socket.
func startDovecot(ctx context.Context, t *testing.T, s *scene, socket string) *dovecot {
	t.Helper()
	needPeers(t, "dovecot")
	d := &dovecot{scene: s, dir: t.TempDir(), key: []byte("a key of tests and of nobody else")}
	keys := filepath.Join(d.dir, "keys", "default", "HS256")
	if err := os.MkdirAll(keys, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := d.dir; dir != os.TempDir() && len(dir) > 4; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // its processes do not stay root
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{
		filepath.Join(d.dir, "conf"):        strings.NewReplacer("DIR", d.dir, "SOCKET", socket).Replace(dovecotConf),
		filepath.Join(d.dir, "oauth2.conf"): strings.ReplaceAll(dovecotOAuth2Conf, "DIR", d.dir),
		filepath.Join(d.dir, "users"):       postfixUser + ":{PLAIN.b64}" + base64.StdEncoding.EncodeToString([]byte(postfixPassword)) + "\n",
		filepath.Join(keys, "default"):      base64.StdEncoding.EncodeToString(d.key),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd = exec.Command("dovecot", "-F", "-c", filepath.Join(d.dir, "conf"))
	d.cmd.Stderr = w
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // its processes are one group
	err = d.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	ready := false
	d.gone = d.follow(r, func(line string) {
		lines = append(lines, line)
		ready = ready || strings.Contains(line, "starting up")
	})
	t.Cleanup(func() {
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // asked kindly, they wait for Postfix
		_ = d.cmd.Wait()
		<-d.gone
		if t.Failed() {
			t.Logf("Dovecot:\n%s", strings.Join(lines, "\n"))
		}
	})
	if err := d.until(ctx, "Dovecot to start", func() bool { return ready }); err != nil {
		t.Fatal(err)
	}
	return d
}

// token is an access token of that user, which ends at a time.
func (d *dovecot) token(t *testing.T, user string, end time.Time) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." +
		part(map[string]any{"sub": user, "email": user, "iat": end.Add(-time.Hour).Unix(), "exp": end.Unix()})
	mac := hmac.New(sha256.New, d.key)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Every mechanism must sign in to the servers that the world runs: Postfix with
// Cyrus SASL and with Dovecot. A wrong password and an old token are told as
// such.
func TestSASL(t *testing.T) {
	ctx := within(t, time.Minute)
	s := newScene()
	cyrus, byDovecot := freePort(t), freePort(t)
	local := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	mta := newPostfix(t, s, nil,
		submission{addr: local(cyrus)},
		submission{addr: local(byDovecot), options: []string{"smtpd_sasl_type=dovecot", "smtpd_sasl_path=private/auth"}})
	all := fmt.Sprintf("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256\nsasldb_path: %s/etc/sasl/users\n", mta.dir)
	if err := os.WriteFile(filepath.Join(mta.dir, "etc", "sasl", "smtpd.conf"), []byte(all), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := mta.start(ctx); err != nil {
		t.Fatal(err)
	}
	d := startDovecot(ctx, t, s, filepath.Join(mta.dir, "queue", "private", "auth"))
	good, old := d.token(t, postfixUser, time.Now().Add(time.Hour)), d.token(t, postfixUser, time.Now().Add(-time.Hour))

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(mta.ca)
	for _, c := range []struct {
		name, mechanism, good, bad string
		port                       int
		want                       explain.Cause
	}{
		{"Cyrus", "SCRAM-SHA-256", postfixPassword, "wrong", cyrus, explain.AuthRejected},
		{"Cyrus", "SCRAM-SHA-1", postfixPassword, "wrong", cyrus, explain.AuthRejected},
		{"Cyrus", "CRAM-MD5", postfixPassword, "wrong", cyrus, explain.AuthRejected},
		{"Cyrus", "PLAIN", postfixPassword, "wrong", cyrus, explain.AuthRejected},
		{"Cyrus", "LOGIN", postfixPassword, "wrong", cyrus, explain.AuthRejected},
		{"Dovecot", "SCRAM-SHA-256", postfixPassword, "wrong", byDovecot, explain.AuthRejected},
		{"Dovecot", "SCRAM-SHA-1", postfixPassword, "wrong", byDovecot, explain.AuthRejected},
		{"Dovecot", "CRAM-MD5", postfixPassword, "wrong", byDovecot, explain.AuthRejected},
		{"Dovecot", "PLAIN", postfixPassword, "wrong", byDovecot, explain.AuthRejected},
		{"Dovecot", "LOGIN", postfixPassword, "wrong", byDovecot, explain.AuthRejected},
		{"Dovecot", "XOAUTH2", good, old, byDovecot, explain.AuthToken},
		{"Dovecot", "OAUTHBEARER", good, old, byDovecot, explain.AuthToken},
		{"the best of Cyrus", "", postfixPassword, "wrong", cyrus, explain.AuthRejected},
	} {
		t.Run(c.name+" "+c.mechanism, func(t *testing.T) {
			deliver := func(secret string) error {
				h, err := upstream.New(upstream.Options{
					Host:       "localhost",
					Candidates: []explain.Candidate{{Host: "localhost", Port: c.port, TLS: explain.STARTTLS}},
					RootCAs:    pool, Username: postfixUser, Password: secret, Auth: c.mechanism,
				})
				if err != nil {
					return err
				}
				running, stop := context.WithCancel(ctx)
				ended := make(chan struct{})
				go func() { defer close(ended); h.Run(running) }()
				defer func() { stop(); <-ended }()
				text := "Subject: x\r\n\r\nx\r\n"
				_, err = h.Deliver(ctx, &envelope.Message{
					Envelope: envelope.Envelope{From: "app@peers.test", To: []envelope.Recipient{{To: "you@example.com"}}},
					Size:     int64(len(text)),
					Open:     func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
				})
				return err
			}
			if err := deliver(c.good); err != nil {
				t.Errorf("with the right one: %v", err)
			}
			var f *explain.Failure
			if err := deliver(c.bad); !errors.As(err, &f) || f.Cause != c.want {
				t.Errorf("with the wrong one: %v, want %s", err, c.want)
			}
		})
	}
}
