package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/explain"
	"kurir/upstream/provider"
	"kurir/upstream/token"
)

// prepareServe is "kurir serve", which runs the relay until SIGTERM or SIGINT.
func prepareServe(flags *flag.FlagSet) action {
	path := configFlag(flags)
	inSandbox := flags.Bool("sandbox", false, "try it out with a provider of its own; no mail leaves the machine")
	return func(_ []string, std streams) int {
		ctx, stop := interruptible()
		defer stop()
		c, err := loadConfig(ctx, *path, *inSandbox)
		if err != nil {
			return complain(std.err, exitConfig, err)
		}
		o := relay.Options{
			Config:  c,
			Version: version(),
			Log: maillog.New(std.err, maillog.Options{
				Level: c.Log.Level, Format: c.Log.Format, Language: explain.Language(c.Log.Language),
				Subject: c.Log.Subject, Priority: isJournal(std.err),
			}),
		}
		if o.Listeners, err = passedListeners(); err != nil {
			return complain(std.err, exitConfig, err)
		}
		if *inSandbox {
			return serveSandbox(ctx, o, std)
		}
		return runRelay(ctx, o, *path, std.err)
	}
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
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // which ends nothing from here on
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
