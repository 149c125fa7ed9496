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

func ephemeral(st *unix.Statfs_t) string {
	switch int64(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	}
	return ""
}
