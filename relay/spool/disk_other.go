//go:build unix && !linux

package spool

import "golang.org/x/sys/unix"

func (f *osFile) datasync() error { return f.Sync() }

func (f *osFile) allocate(size int64) error { return fill(f, size) }

func (osDisk) space(path string) (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return space{}, err
	}
	return space{
		free:       int64(st.Bavail) * int64(st.Bsize),
		inodes:     uint64(st.Files),
		freeInodes: uint64(st.Ffree),
	}, nil
}
