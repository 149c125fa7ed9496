package drop

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncName makes the name of an open file in dir durable. Who may not list
// the directory cannot open it to flush it, but can flush its file system.
func syncName(f *os.File, dir string) error {
	if d, err := os.Open(dir); err == nil {
		defer d.Close()
		return d.Sync()
	}
	return unix.Syncfs(int(f.Fd()))
}
