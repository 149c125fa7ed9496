package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// reloading tells the service manager when a reload began, by the clock that
// it compares with (sd_notify(3)).
func reloading() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", time.Duration(now.Nano()).Microseconds())
}
