package spool_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kurir/relay/spool"
)

// Who checks an installation must neither change it nor leave anything
// behind, whether the spool exists already or not.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Join(dir, "state", "spool")} {
		if _, err := spool.Probe(d); err != nil {
			t.Errorf("Probe(%s): %v", d, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var path *fs.PathError
	if _, err := spool.Probe(filepath.Join(file, "spool")); !errors.As(err, &path) {
		t.Errorf("below a file: %v, want the error of that path", err)
	}
}
