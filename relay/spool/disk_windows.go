package spool

import (
	"os"

	"golang.org/x/sys/windows"
)

// FlushesNames tells that this system can flush a directory, so that the name
// of a new file survives a power cut as its content does. Windows documents no
// way to do that: content is flushed here as elsewhere, but a power cut can
// take the names that were made in the moments before it, and with them
// messages that were accepted. NTFS writes names in order, so that nothing
// older is lost. A process that is killed loses nothing.
const FlushesNames = false

var (
	errHeld    error = windows.ERROR_LOCK_VIOLATION // from hold: another process has it
	fullErrors       = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}
)

// openFile lets a file be renamed and removed while it is open, as the spool
// does; os.OpenFile does not.
func openFile(path string, flag int) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	access := uint32(windows.GENERIC_READ)
	switch {
	case flag&os.O_WRONLY != 0:
		access = windows.GENERIC_WRITE
	case flag&os.O_RDWR != 0:
		access |= windows.GENERIC_WRITE
	}
	disposition := uint32(windows.OPEN_EXISTING)
	switch flag & (os.O_CREATE | os.O_EXCL | os.O_TRUNC) {
	case os.O_CREATE | os.O_EXCL, os.O_CREATE | os.O_EXCL | os.O_TRUNC:
		disposition = windows.CREATE_NEW
	case os.O_CREATE | os.O_TRUNC:
		disposition = windows.CREATE_ALWAYS
	case os.O_CREATE:
		disposition = windows.OPEN_ALWAYS
	case os.O_TRUNC:
		disposition = windows.TRUNCATE_EXISTING
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(name, access, share, nil, disposition, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// hold locks a file until it is closed. The lock lies behind the content,
// since others could not read what is locked.
func hold(f *os.File) error {
	behind := &windows.Overlapped{OffsetHigh: 1}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, behind)
}

// syncDir cannot do anything; see FlushesNames.
func (osDisk) syncDir(string) error { return nil }

func (f *osFile) datasync() error { return f.Sync() }

func (f *osFile) allocate(size int64) error { return fill(f, size) }

func (osDisk) space(path string) (space, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return space{}, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return space{}, err
	}
	return space{free: int64(free)}, nil
}
