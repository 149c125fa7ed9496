package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"kurir/relay"
)

// firstPassed is the first descriptor that a service manager passes
// (sd_listen_fds(3)).
const firstPassed = 3

// passedListeners are the sockets that the service manager opened for us,
// none if it did not. With them the port stays open while Kurir restarts.
func passedListeners() ([]net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || count < 0 || count > 100 {
		return nil, fmt.Errorf("LISTEN_FDS=%q is not a number of sockets", os.Getenv("LISTEN_FDS"))
	}
	var listeners []net.Listener
	for fd := firstPassed; fd < firstPassed+count; fd++ {
		file := os.NewFile(uintptr(fd), "passed socket")
		l, err := net.FileListener(file)
		_ = file.Close() // FileListener has a copy
		if err != nil {
			return nil, fmt.Errorf("socket %d of the service manager: %w", fd, err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// notify tells the service manager about our state (sd_notify(3)). Without
// one, and when it does not listen, nobody needs to know.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}

// statusEvery is how often the service manager hears how the relay is doing,
// if it does not watch us more closely.
const statusEvery = 10 * time.Second

// keepWatched tells the service manager how the relay is doing, and that it is
// alive (WatchdogSec=), until ctx ends. A relay that hangs does not answer, so
// that the service manager starts another.
func keepWatched(ctx context.Context, r *relay.Relay) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	every := statusEvery
	if usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		every = min(every, time.Duration(usec)*time.Microsecond/2)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		notify("STATUS=" + r.State() + "\nWATCHDOG=1")
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// isJournal tells whether w goes to the journal of systemd, which reads a
// priority at the start of a line (sd-daemon(3)).
func isJournal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && os.Getenv("JOURNAL_STREAM") != "" && os.Getenv("JOURNAL_STREAM") == deviceAndInode(info)
}
