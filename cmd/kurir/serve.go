package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream"
	"kurir/upstream/explain"
	"kurir/upstream/provider"
	"kurir/upstream/sandbox"
	"kurir/upstream/token"
)

// prepareServe is "kurir serve".
func prepareServe(flags *flag.FlagSet) action {
	path := configFlag(flags)
	inSandbox := flags.Bool("sandbox", false, "try it out with a provider of its own; no mail leaves the machine")
	return func(_ []string, std streams) int { return serve(*path, *inSandbox, std.out, std.err) }
}

// serve runs the relay until SIGTERM or SIGINT.
func serve(path string, inSandbox bool, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	c, err := loadConfig(ctx, path, inSandbox)
	if err != nil {
		return complain(stderr, exitConfig, err)
	}
	o := relay.Options{
		Config:  c,
		Version: version(),
		Log: maillog.New(stderr, maillog.Options{
			Level: c.Log.Level, Format: c.Log.Format, Language: explain.Language(c.Log.Language),
			Subject: c.Log.Subject, Priority: isJournal(stderr),
		}),
	}
	if o.Listeners, err = passedListeners(); err != nil {
		return complain(stderr, exitConfig, err)
	}
	if inSandbox {
		return serveSandbox(ctx, o, stdout, stderr)
	}
	return runRelay(ctx, o, path, stderr)
}

func loadConfig(ctx context.Context, path string, inSandbox bool) (*config.Config, error) {
	var providers []string
	for _, p := range provider.All() {
		providers = append(append(providers, p.Name), p.Aliases...)
	}
	c, err := config.Load(config.Options{Path: path, Environ: os.Environ(), Sandbox: inSandbox, Providers: providers})
	if err != nil {
		return nil, err
	}
	return c, c.Resolve(ctx)
}

// complain prints an error as it is meant to be read, and passes the code on.
func complain(stderr io.Writer, code int, err error) int {
	fmt.Fprintln(stderr, err)
	return code
}

// runRelay runs a relay of o, which was read from path, until ctx ends.
func runRelay(ctx context.Context, o relay.Options, path string, stderr io.Writer) int {
	hangup := hangups()
	defer signal.Stop(hangup)
	l := &reloader{path: path, log: o.Log}
	o.Reload = l.reload
	r, err := relay.New(o)
	if err != nil {
		return complain(stderr, exitCodeOf(err), err)
	}
	l.relay = r
	_ = os.Remove(filepath.Join(o.Config.Spool.Dir, sandboxMark)) // from here on the mail in it is real
	reloads, stop := context.WithCancel(ctx)
	defer stop()
	go l.on(reloads, hangup)
	return serveUntil(ctx, r, stderr)
}

// exitCodeOf translates what kept a relay from starting.
func exitCodeOf(err error) int {
	var (
		address *relay.ListenError
		locked  *spool.LockedError
		option  *token.OptionError
	)
	switch {
	case errors.As(err, &locked), errors.As(err, &address) && address.Taken():
		return exitUnavailable
	case errors.As(err, &address), errors.As(err, &option), errors.Is(err, os.ErrPermission):
		return exitConfig
	}
	return exitFailed
}

// settleAfter is when all that is done once at the start has been done.
const settleAfter = 2 * time.Second

// serveUntil runs a relay until ctx ends, and tells the service manager.
func serveUntil(ctx context.Context, r *relay.Relay, stderr io.Writer) int {
	notify("READY=1")
	defer time.AfterFunc(settleAfter, settle).Stop()
	defer context.AfterFunc(ctx, func() { notify("STOPPING=1") })()
	watched, stop := context.WithCancel(ctx)
	defer stop()
	go keepWatched(watched, r)
	go giveBack(watched)
	if err := r.Run(ctx); err != nil {
		return complain(stderr, exitFailed, err)
	}
	return exitOK
}

// serveSandbox runs the relay with a provider of its own beside it, so that
// nothing needs to be configured and nothing leaves the machine.
func serveSandbox(ctx context.Context, o relay.Options, stdout, stderr io.Writer) int {
	c := o.Config
	made := ""
	if c.StateDir == "" {
		var err error
		if made, err = os.MkdirTemp("", "kurir-sandbox-"); err != nil {
			return complain(stderr, exitFailed, err)
		}
		c.StateDir = made
	}
	if c.Spool.Dir == "" {
		c.Spool.Dir = filepath.Join(c.StateDir, "spool")
	}
	if err := claimSpool(c.Spool.Dir); err != nil {
		return complain(stderr, exitConfig, err)
	}
	// Who watches a failure being mended does not want to wait for an hour.
	c.Delivery.RetryMin, c.Delivery.RetryMax = config.Duration(time.Second), config.Duration(5*time.Second)
	o.Maildir = filepath.Join(c.StateDir, "Maildir")
	p, err := sandbox.New(sandbox.Options{Maildir: o.Maildir})
	if err != nil {
		return complain(stderr, exitFailed, err)
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
		code = complain(stderr, exitCodeOf(err), err)
		if made != "" {
			_ = os.RemoveAll(made)
		}
	} else {
		fmt.Fprint(stdout, sandboxHint(r.Addrs()[0], o.Maildir, r.Page()))
		code = serveUntil(ctx, r, stderr)
	}
	stop()
	if err := <-ended; err != nil {
		return complain(stderr, exitFailed, err)
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
func sandboxHint(smtp net.Addr, maildir, page string) string {
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
Ctrl-C ends it; the mail stays there.

`, smtp, maildir, page)
}
