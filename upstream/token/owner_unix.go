//go:build unix

package token

import (
	"errors"
	"os"
	"syscall"
)

// giveTo lets the owner of like have paths too: who signs in as root does it
// for a relay that is not.
func giveTo(like string, paths ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	var errs []error
	for _, p := range paths {
		errs = append(errs, os.Chown(p, int(owner.Uid), int(owner.Gid)))
	}
	return errors.Join(errs...)
}
