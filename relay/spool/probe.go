package spool

import (
	"errors"
	"os"
	"path/filepath"
)

// InUse looks whether a process uses the spool in dir: a *LockedError if one
// does, nil if not. It changes nothing.
func InUse(dir string) error {
	f, err := os.Open(lockFile(dir))
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return wrap("look who uses it", err)
	}
	defer f.Close()
	if err := hold(f); errors.Is(err, errHeld) {
		return &LockedError{Dir: dir, PID: holder(f)}
	}
	return nil
}

// Probe sees whether a spool could be kept in dir, without touching one that
// is there or in use: it writes a small file and removes it again, in dir or,
// if that is still to be made, in the directory above it that exists.
// ephemeral names a file system that a restart empties, as in Recovery.
func Probe(dir string) (ephemeral string, err error) {
	for {
		_, err := os.Stat(dir)
		above := filepath.Dir(dir)
		if !errors.Is(err, os.ErrNotExist) || above == dir {
			break
		}
		dir = above
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString("Kurir was here to see whether it can write.\n")
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	if err != nil {
		return "", err
	}
	sp, err := osDisk{}.space(dir)
	return sp.ephemeral, err
}
