//go:build unix && !linux

package spool

import "golang.org/x/sys/unix"

func (f *osFile) datasync() error { return f.Sync() }

func (f *osFile) allocate(size int64) error { return fill(f, size) }

func ephemeral(*unix.Statfs_t) string { return "" }
