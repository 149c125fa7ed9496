package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A disk is every call by which the spool touches the file system. It exists
// so that tests can fail each call and cut the power after it.
type disk interface {
	mkdir(path string) error // with mode 0700; none if it is there already
	open(path string, flag int) (file, error)
	link(from, to string) error
	rename(from, to string) error
	remove(path string) error
	syncDir(path string) error
	list(path string) ([]string, error)
	stat(path string) (info, error)
	space(path string) (space, error)
	lock(path string) (io.Closer, error) // *LockedError without Dir if another holds it
}

// A file is an open file of a disk.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	datasync() error // content and size, not the times
	truncate(size int64) error
	allocate(size int64) error
}

type info struct {
	size     int64
	modified time.Time
}

type space struct {
	free       int64  // octets that we may use
	inodes     uint64 // 0 if the file system has no fixed number of them
	freeInodes uint64
	ephemeral  string // name of a file system that a restart empties, else ""
}

// osDisk is the real one.
type osDisk struct{}

type osFile struct {
	*os.File
	fd int // File.Fd on each flush would cost a lock and change the descriptor's mode
}

func (osDisk) mkdir(path string) error { return os.MkdirAll(path, 0o700) }

func (osDisk) open(path string, flag int) (file, error) {
	f, err := openFile(path, flag)
	if err != nil {
		return nil, err
	}
	return &osFile{f, int(f.Fd())}, nil
}

func (osDisk) link(from, to string) error   { return os.Link(from, to) }
func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) remove(path string) error     { return os.Remove(path) }

func (osDisk) list(path string) ([]string, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (osDisk) stat(path string) (info, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return info{}, err
	}
	return info{fi.Size(), fi.ModTime()}, nil
}

func (osDisk) lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = hold(f)
	for tries := 0; errors.Is(err, errHeld) && tries < 10; tries++ { // InUse holds it for a moment
		time.Sleep(10 * time.Millisecond)
		err = hold(f)
	}
	if errors.Is(err, errHeld) {
		defer f.Close()
		return nil, &LockedError{PID: holder(f)}
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil && !full(err) { // a full disk only costs the number that names us
		f.Close()
		return nil, err
	}
	return f, nil
}

// holder is the number of the process that holds a lock, 0 if it is not known.
func holder(lock *os.File) int {
	var b [20]byte
	n, _ := lock.ReadAt(b[:], 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid
}

func (f *osFile) truncate(size int64) error { return f.Truncate(size) }

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// full tells whether err says that there is no room, be it on the disk, in
// the quota or among the inodes.
func full(err error) bool {
	return slices.ContainsFunc(fullErrors, func(e error) bool { return errors.Is(err, e) })
}

// wrap names the operation, and says ErrFull where that is what happened.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case full(err) && !errors.Is(err, ErrFull):
		return fmt.Errorf("spool: %s: %w: %w", op, ErrFull, err)
	}
	return fmt.Errorf("spool: %s: %w", op, err)
}

// fill takes space by writing zeros, where it cannot be asked for.
func fill(f file, size int64) error {
	zeros := make([]byte, 64<<10)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}
