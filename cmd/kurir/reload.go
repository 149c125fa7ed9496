package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kurir/relay"
	"kurir/relay/maillog"
)

// hangups are the signals that ask for a reload. From here on they do not end
// the program.
func hangups() chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}

// reloadOn reads the configuration again at each hangup, until ctx ends. A file
// that is of no use changes nothing.
func reloadOn(ctx context.Context, hangup <-chan os.Signal, r *relay.Relay, log *maillog.Log, path string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		notify(reloading())
		c, err := loadConfig(ctx, path, false)
		if err == nil {
			err = r.Reload(c)
		}
		if err != nil {
			log.NotReloaded(err)
		}
		notify("READY=1")
	}
}

// reloading tells the service manager when a reload began, by the clock that
// it compares with (sd_notify(3)).
func reloading() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", time.Duration(now.Nano()).Microseconds())
}
