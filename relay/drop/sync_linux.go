package drop

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncAround flushes the file system that an open file is in.
func syncAround(f *os.File) error { return unix.Syncfs(int(f.Fd())) }
