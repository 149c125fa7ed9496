//go:build unix

package spool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// FlushesNames tells that this system can flush a directory, so that the name
// of a new file survives a power cut as its content does.
const FlushesNames = true

var (
	errHeld    error = unix.EWOULDBLOCK // from hold: another process has it
	fullErrors       = []error{unix.ENOSPC, unix.EDQUOT}
)

func openFile(path string, flag int) (*os.File, error) { return os.OpenFile(path, flag, 0o600) }

// hold locks a file until it is closed.
func hold(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

func (osDisk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) space(path string) (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return space{}, err
	}
	return space{
		free:       int64(st.Bavail) * int64(st.Bsize),
		inodes:     uint64(st.Files),
		freeInodes: uint64(st.Ffree),
		ephemeral:  ephemeral(&st),
	}, nil
}
