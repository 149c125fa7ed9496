package spool

import (
	"errors"

	"golang.org/x/sys/unix"
)

// datasync leaves out the times, which saves a write of the inode.
func (f *osFile) datasync() error {
	for {
		if err := unix.Fdatasync(f.fd); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (f *osFile) allocate(size int64) error {
	err := unix.Fallocate(f.fd, 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fill(f, size)
	}
	return err
}

func (osDisk) space(path string) (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return space{}, err
	}
	sp := space{free: int64(st.Bavail) * int64(st.Bsize), inodes: st.Files, freeInodes: st.Ffree}
	switch int64(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		sp.ephemeral = "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		sp.ephemeral = "overlay"
	}
	return sp, nil
}
