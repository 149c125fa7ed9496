package drop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const noFollow, noWait = 0, 0

// supported tells whether this system has directories of this kind. Windows
// has no mode by which everybody may leave a file and nobody may look, and no
// owner that is a number, so Make and Put refuse: sendmail fails there while
// no relay runs, and the mail stays with its caller.
func supported() error { return fmt.Errorf("drop directory: %w on Windows", errors.ErrUnsupported) }

// What follows is never reached, as Make does not make a directory.

func ownerOf(fs.FileInfo) int { return os.Geteuid() }

func namesOf(fs.FileInfo) uint64 { return 1 }

func syncName(*os.File, string) error { return supported() }
