//go:build unix

package drop

import (
	"io/fs"
	"os"
	"syscall"
)

const (
	noFollow = syscall.O_NOFOLLOW
	noWait   = syscall.O_NONBLOCK
)

// supported tells whether this system has directories of this kind.
func supported() error { return nil }

// syncName makes the name of an open file in dir durable. Who may not list
// the directory cannot open it to flush it.
func syncName(f *os.File, dir string) error {
	if d, err := os.Open(dir); err == nil {
		defer d.Close()
		return d.Sync()
	}
	return syncAround(f)
}

// ownerOf is the user that a file belongs to.
func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// namesOf is how many names a file has.
func namesOf(info fs.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Nlink) }
