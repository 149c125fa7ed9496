package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"

	"kurir/relay"
	"kurir/relay/control"
	"kurir/relay/maillog"
)

// A reloader reads the configuration again when it is asked to, by a signal or
// over the control socket, one after the other.
type reloader struct {
	path string
	log  *maillog.Log

	mu    sync.Mutex
	relay *relay.Relay
}

// on reloads at each hangup, until ctx ends.
func (l *reloader) on(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_, _ = l.reload(ctx) // the log has it
		}
	}
}

// reload puts what the file says now into place. A file that is of no use
// changes nothing; the log is told, and the error says why.
func (l *reloader) reload(ctx context.Context) (needRestart []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	notify(reloading())
	defer notify("READY=1")
	c, err := loadConfig(ctx, l.path, false)
	if err == nil {
		needRestart, err = l.relay.Reload(c)
	}
	if err != nil {
		l.log.NotReloaded(err)
	}
	return needRestart, err
}

func prepareReload(flags *flag.FlagSet) action {
	return asking(flags, nothing, (*clerk).reload)
}

// reload is "kurir reload".
func (c *clerk) reload(ctx context.Context) int {
	needRestart, err := c.client.Reload(ctx)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return c.fail(err)
	case err != nil:
		return c.fail(fmt.Errorf("%w\nKurir goes on with the configuration that it has", err))
	}
	if len(needRestart) > 0 {
		fmt.Fprintf(c.stdout, "Kurir goes on with the configuration as it is now, but for what needs a restart: %s.\n", strings.Join(needRestart, ", "))
		return exitOK
	}
	fmt.Fprintln(c.stdout, "Kurir goes on with the configuration as it is now.")
	return exitOK
}
