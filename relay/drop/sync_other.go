//go:build unix && !linux

package drop

import "os"

// syncName makes the name of an open file in dir durable. Where the directory
// cannot be opened, to flush the file once more is all that can be done; file
// systems that keep a journal write the name with it.
func syncName(f *os.File, dir string) error {
	if d, err := os.Open(dir); err == nil {
		defer d.Close()
		return d.Sync()
	}
	return f.Sync()
}
