package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/relay/spool"
)

// Real mail that waits is none of the sandbox's, which would "send" it to
// itself (P2); a sandbox finds its own again.
func TestSandboxTakesNoRealMail(t *testing.T) {
	open := func(dir string) {
		s, _, err := spool.Open(spool.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	real, own := filepath.Join(t.TempDir(), "spool"), filepath.Join(t.TempDir(), "state", "spool")
	open(real)
	if err := claimSpool(real); err == nil || !strings.Contains(err.Error(), "another state_dir") {
		t.Errorf("a real spool: %v", err)
	}
	for range 2 {
		if err := claimSpool(own); err != nil {
			t.Fatal(err)
		}
		open(own)
	}
	if err := os.Remove(filepath.Join(own, sandboxMark)); err != nil { // as a real relay does
		t.Fatal(err)
	}
	if err := claimSpool(own); err == nil {
		t.Error("what a real relay has taken over is taken back")
	}
}
