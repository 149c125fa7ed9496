package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// settle gives back what only starting needed: memory that is free again, and
// the pages of the program's own file that were mapped on the way, more than
// half of it. What is needed again is mapped again, from the page cache.
func settle() {
	debug.FreeOSMemory()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	type mapping struct{ from, to uintptr }
	var m mapping
	var clean []mapping
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasSuffix(line, " "+program):
			var mode string
			if n, _ := fmt.Sscanf(line, "%x-%x %s", &m.from, &m.to, &mode); n == 3 && !strings.Contains(mode, "w") {
				clean = append(clean, m)
			}
		// What was written is nowhere else, be it by the loader, before it gave up the right to.
		case strings.HasPrefix(line, "Anonymous:") && strings.Fields(line)[1] != "0":
			clean = slices.DeleteFunc(clean, func(c mapping) bool { return c == m })
		}
	}
	for _, c := range clean {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, c.from, c.to-c.from, unix.MADV_DONTNEED)
	}
}
