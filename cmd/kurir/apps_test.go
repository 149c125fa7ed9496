//go:build linux

package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A crowd is unmodified apps that hand in mail at the same time. Each tells,
// a line each, when it tries to send the message with a token, and whether it
// got a 250; what it did not get a 250 for it sends again.
type crowd struct {
	*scene
	directory string // has the body of each message, by token, as it was sent

	// Under the lock.
	tries   map[string]int
	taken   map[string]bool
	refused []string // 5xx replies
	delays  int      // everything else that was no 250
	running int
	failed  []error
}

// An app sends count messages to a port.
type app struct {
	name  string
	share int // of a hundred messages
	send  func(ctx context.Context, c *crowd, port, count int) error
}

// apps are the peers that can be had on this machine.
func apps(t *testing.T) []app {
	t.Helper()
	needPeers(t, "swaks", "php", "python3", "node")
	if err := exec.Command("node", "-e", "require('nodemailer')").Run(); err != nil {
		missingPeer(t, "nodemailer is not installed in $NODE_PATH")
	}
	all := []app{
		{"swaks", 15, runSwaks},
		{"php", 25, script("php", "fsockopen.php")},
		{"python", 30, script("python3", "python_smtplib.py")},
		{"node", 30, script("node", "nodemailer.js")},
	}
	if err := exec.Command("php", "-r", "require '/usr/share/php/libphp-phpmailer/autoload.php';").Run(); err == nil {
		all[1].share = 10
		all = append(all, app{"phpmailer", 15, script("php", "phpmailer.php")})
	} else if os.Getenv("KURIR_PEERS") == "required" {
		t.Fatal("libphp-phpmailer is not installed")
	}
	return all
}

// start sets all apps going; count messages in all, at least one of each.
func (c *crowd) start(ctx context.Context, all []app, port, count int) {
	c.running = len(all)
	for i, a := range all {
		n := max(1, count*a.share/100)
		if i == 0 {
			n = count
			for _, other := range all[1:] {
				n -= max(1, count*other.share/100)
			}
			n = max(1, n)
		}
		go func() {
			err := a.send(ctx, c, port, n)
			c.change(func() {
				c.running--
				if err != nil {
					c.failed = append(c.failed, fmt.Errorf("%s: %w", a.name, err))
				}
			})
		}()
	}
}

// hear takes in a line of an app.
func (c *crowd) hear(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	token, reply, _ := strings.Cut(rest, " ")
	switch verb {
	case "try":
		c.tries[token]++
	case "ok":
		c.taken[token] = true
	case "no":
		if strings.HasPrefix(reply, "5") {
			c.refused = append(c.refused, line)
		}
		c.delays++
	default:
		c.failed = append(c.failed, fmt.Errorf("an app said %q", line))
	}
}

// script runs an app that lies in testdata/peers.
func script(interpreter string, args ...string) func(context.Context, *crowd, int, int) error {
	return func(ctx context.Context, c *crowd, port, count int) error {
		args := slices.Clone(args)
		last := len(args) - 1
		args[last] = filepath.Join("testdata", "peers", args[last])
		args = append(args, strconv.Itoa(port), strconv.Itoa(count), c.directory)
		cmd := exec.CommandContext(ctx, interpreter, args...)
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		var complaint bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &complaint
		err = cmd.Start()
		w.Close()
		gone := c.follow(r, c.hear)
		if err == nil {
			err = cmd.Wait()
		}
		<-gone
		if err != nil {
			return fmt.Errorf("%w: %s", err, complaint.Bytes())
		}
		return nil
	}
}

// runSwaks sends each message by a process of its own, as cron jobs do.
func runSwaks(ctx context.Context, c *crowd, port, count int) error {
	for n := range count {
		token := fmt.Sprintf("swaks-%05d", n)
		attachment := make([]byte, 9000)
		_, _ = rand.Read(attachment)
		body := "Grüße von swaks\n.\n..\n.versteckt\n" + strings.Repeat("läng", 400) + "\n\n" +
			wrapped(base64.StdEncoding.EncodeToString(attachment))
		message := "Message-ID: <" + token + "@swaks.peers.test>\nFrom: app@peers.test\nTo: you@example.com\nSubject: swaks\n" +
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + body
		file := filepath.Join(c.directory, token)
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(body, "\n", "\r\n")), 0o600); err != nil {
			return err
		}
		for {
			c.change(func() { c.hear("try " + token) })
			said, err := swaks(ctx, nil, "127.0.0.1:"+strconv.Itoa(port), message)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.change(func() { c.hear("no " + token + " " + lastReply(said)) })
		}
		c.change(func() { c.hear("ok " + token) })
	}
	return nil
}

// swaks sends one message, and returns the dialogue.
func swaks(ctx context.Context, prefix []string, server, message string) (string, error) {
	argv := append(slices.Clone(prefix), "swaks", "--server", server, "--ehlo", "localhost", "--timeout", "60",
		"--from", "app@peers.test", "--to", "you@example.com", "--data", "-", "--suppress-data")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(strings.TrimSuffix(message, "\n")) // swaks adds one
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// lastReply is the refusal in a dialogue of swaks, without its marks.
func lastReply(dialogue string) string {
	reply := "000 connection lost"
	for line := range strings.Lines(dialogue) {
		if refusal, found := strings.CutPrefix(line, "<** "); found {
			reply = strings.TrimSpace(refusal)
		}
	}
	return reply
}

func wrapped(s string) string {
	var b strings.Builder
	for part := range slices.Chunk([]byte(s), 76) {
		b.Write(part)
		b.WriteByte('\n')
	}
	return b.String()
}
