//go:build unix

package token_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"kurir/upstream/token"
)

// Who signs in as root does it for a relay that is not, and that has to read
// and replace what was kept.
func TestRootKeepsForTheRelay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const somebody = 12345
	state := t.TempDir()
	if err := os.Chown(state, somebody, somebody); err != nil {
		t.Fatal(err)
	}
	path, err := token.Keep(token.Options{
		Flow: token.RefreshToken, Issuer: token.Google, Account: "app@example.com", ClientID: "app",
		Dir: filepath.Join(state, "tokens"),
	}, "refresh-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != somebody || owner.Gid != somebody {
			t.Errorf("%s belongs to %d", p, owner.Uid)
		}
	}
}
