package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/upstream"
	"kurir/upstream/sandbox"
)

// serveSandbox runs the relay with a provider of its own beside it, so that
// nothing needs to be configured and nothing leaves the machine.
func serveSandbox(ctx context.Context, o relay.Options, std streams) int {
	c := o.Config
	made := ""
	if c.StateDir == "" {
		var err error
		if made, err = os.MkdirTemp("", "kurir-sandbox-"); err != nil {
			return complain(std.err, exitFailed, err)
		}
		c.StateDir = made
	}
	c.Spool.Dir = cmp.Or(c.Spool.Dir, filepath.Join(c.StateDir, "spool"))
	if err := claimSpool(c.Spool.Dir); err != nil {
		return complain(std.err, exitConfig, err)
	}
	// Who watches a failure being mended does not want to wait for an hour.
	c.Delivery.RetryMin, c.Delivery.RetryMax = config.Duration(time.Second), config.Duration(5*time.Second)
	o.Maildir = filepath.Join(c.StateDir, "Maildir")
	p, err := sandbox.New(sandbox.Options{Maildir: o.Maildir})
	if err != nil {
		return complain(std.err, exitFailed, err)
	}
	o.Sandbox = &upstream.Options{
		Host: "localhost", Candidates: p.Candidates(), RootCAs: p.Pool(),
		Username: "sandbox", Password: "sandbox",
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	code := exitOK
	if r, err := relay.New(o); err != nil {
		code = complain(std.err, exitCodeOf(err), err)
		if made != "" {
			_ = os.RemoveAll(made)
		}
	} else {
		fmt.Fprint(std.out, sandboxHint(r.Addrs()[0], c.StateDir, o.Maildir, r.Page()))
		code = serveUntil(ctx, r, std.err)
	}
	stop()
	if err := <-ended; err != nil {
		return complain(std.err, exitFailed, err)
	}
	return code
}

// sandboxMark is a file in the spool of a sandbox.
const sandboxMark = "sandbox"

// claimSpool marks a spool as that of a sandbox. One that holds the mail of a
// real relay is left alone: the sandbox would deliver it to itself.
func claimSpool(dir string) error {
	mark := filepath.Join(dir, sandboxMark)
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("spool.dir: %w", err)
	case len(entries) > 0:
		if _, err := os.Lstat(mark); err != nil {
			return fmt.Errorf("spool.dir: %s holds the mail of a real relay, which the sandbox would take for its own: run the sandbox with another state_dir, or with none", dir)
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("spool.dir: %w", err)
	}
	return os.WriteFile(mark, nil, 0o600)
}

// sandboxHint says what to do in a sandbox.
func sandboxHint(smtp net.Addr, stateDir, maildir, page string) string {
	if page != "" {
		page = "See what happens at " + page + "\n"
	}
	return fmt.Sprintf(`Kurir's sandbox: a mail provider on this machine, no mail leaves it.
Send it something, in another terminal:

  printf 'Subject: hello\n\nIt works.\n' | curl -sT - smtp://%[1]s \
    --mail-from app@example.com --mail-rcpt you@example.com

Mail arrives in %[2]s/new
%[3]sTo see a failure explained, send to an address that names it, such as
recipient.unknown@example.com, message.spam@example.com or limit.quota@example.com.
What became of it is told by

  KURIR_STATE_DIR=%[4]s kurir why recipient.unknown@example.com

Ctrl-C ends it; the mail stays there.

`, smtp, maildir, page, shellWord(stateDir))
}
