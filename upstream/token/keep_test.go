package token_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/upstream/token"
)

// rotating gives another refresh token each time, as Microsoft does, and takes
// only the last one, as some others do. Its access tokens live five seconds.
func rotating() *provider {
	valid := "refresh-0"
	return &provider{reply: func(n int, form url.Values) answer {
		if form.Get("refresh_token") != valid {
			return refusal(400, "invalid_grant", "this one was used before")
		}
		valid = fmt.Sprint("refresh-", n)
		return good(fmt.Sprint("access-", n), 5, valid)
	}}
}

func only(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(files) != 1 || len(hidden) != 0 {
		t.Fatalf("%q and %q lie in %s: %v", files, hidden, dir, err)
	}
	return files[0]
}

// A rotated refresh token is all that stands between a restart and a sign-in,
// so it is on the disk at once, whole, and for its owner alone.
func TestRotatedTokenIsKept(t *testing.T) { synctest.Test(t, rotatedTokenIsKept) }

func rotatedTokenIsKept(t *testing.T) {
	p := rotating()
	o := p.of(nil)
	o.Flow, o.RefreshToken, o.Dir = token.RefreshToken, "refresh-0", filepath.Join(t.TempDir(), "tokens")
	s := source(t, o)
	for n := 1; n <= 3; n++ {
		if got := get(t, s); got != fmt.Sprint("access-", n) {
			t.Errorf("got %q", got)
		}
		time.Sleep(5 * time.Second)
		path := only(t, o.Dir)
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), fmt.Sprintf(`"refresh_token":"refresh-%d"`, n)) {
			t.Errorf("after request %d the file has %s (%v)", n, data, err)
		}
		for path, want := range map[string]os.FileMode{path: 0o600, o.Dir: 0o700} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v %v", path, info.Mode(), err)
			}
		}
	}
	if name := filepath.Base(only(t, o.Dir)); !strings.HasPrefix(name, "app@example.com-") {
		t.Errorf("the file is called %s", name)
	}
	// After a restart it goes on with the last one, not with the configured one.
	if got := get(t, source(t, o)); got != "access-4" {
		t.Errorf("after a restart: %q", got)
	}
	// Another one in the configuration is newer than what is kept.
	o.RefreshToken = "refresh-new"
	fails(t, o)
	if got := p.last().Get("refresh_token"); got != "refresh-new" {
		t.Errorf("with another configured token, %q was used", got)
	}
}

// A good token outlives a restart, so that none costs a request.
func TestAccessTokenIsKept(t *testing.T) {
	p := numbered()
	o := p.serve(t)
	o.Dir = t.TempDir()
	get(t, source(t, o))
	log := &told{}
	o.Log = log
	s := source(t, o)
	if got := get(t, s); got != "access-1" || p.requests() != 1 || log.refreshed != 0 {
		t.Errorf("got %q with %d requests, %d told", got, p.requests(), log.refreshed)
	}
	// One that is refused is not found there again.
	s.Refused("access-1")
	if got := get(t, s); got != "access-2" {
		t.Errorf("got %q", got)
	}
	o.Scope = "another"
	if got := get(t, source(t, o)); got != "access-3" {
		t.Errorf("for another scope: %q", got)
	}
}

// A file that is damaged, or cannot be written, costs a request or a warning
// and no mail.
func TestBrokenFile(t *testing.T) {
	p := numbered()
	o := p.serve(t)
	o.Dir = t.TempDir()
	get(t, source(t, o))
	if err := os.WriteFile(only(t, o.Dir), []byte(`{"access_token":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := get(t, source(t, o)); got != "access-2" {
		t.Errorf("got %q", got)
	}
	log := &told{}
	o.Log, o.Dir = log, filepath.Join(only(t, o.Dir), "below-a-file")
	if got := get(t, source(t, o)); got != "access-3" || len(log.warnings) != 1 {
		t.Errorf("got %q, warnings %q", got, log.warnings)
	}
}

// Who signs in anew is heard by a relay that runs, without a restart.
func TestKeepIsFoundByARunningSource(t *testing.T) {
	p := &provider{reply: func(_ int, form url.Values) answer {
		if form.Get("refresh_token") != "signed-in" {
			return refusal(400, "invalid_grant", "AADSTS50173: revoked")
		}
		return good("access", 5, "")
	}}
	o := p.serve(t)
	o.Flow, o.Dir = token.RefreshToken, filepath.Join(t.TempDir(), "tokens")
	f := fails(t, o)
	if n := p.requests(); n != 0 || !strings.Contains(f.Explanation().Fix, "kurir login") {
		t.Errorf("%d requests without a token to go on with, and %q", n, f.Explanation().Fix)
	}
	if _, err := token.Keep(o, "revoked"); err != nil {
		t.Fatal(err)
	}
	s := source(t, o)
	if _, err := s.Token(t.Context()); err == nil {
		t.Fatal("a revoked token works")
	}
	path, err := token.Keep(o, "signed-in")
	if err != nil || path != only(t, o.Dir) {
		t.Fatal(path, err)
	}
	if got := get(t, source(t, o)); got != "access" {
		t.Errorf("got %q", got)
	}
}
