package token

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A record is what a file holds of one account. It is replaced as a whole, so
// that a power cut leaves the old one or the new one.
type record struct {
	Refresh string    `json:"refresh_token,omitempty"`
	Access  string    `json:"access_token,omitempty"`
	Got     time.Time `json:"got,omitzero"`
	End     time.Time `json:"end,omitzero"`
	Scope   string    `json:"scope,omitempty"` // of the access token

	// Seed is the digest of the configured refresh token that Refresh came of.
	// Another one in the configuration is newer than all that is here.
	Seed string `json:"seed,omitempty"`
}

func (r record) access() access { return access{token: r.Access, got: r.Got, end: r.End, kept: true} }

// A file keeps the record of one account; one without a path keeps nothing.
type file struct {
	path, scope, seed string
}

// newFile names the file by account, endpoint and application: who changes
// one of them has another file, and finds the old one when going back.
func newFile(o Options) *file {
	f := &file{scope: o.Scope}
	if o.RefreshToken != "" {
		f.seed = digest(o.RefreshToken)
	}
	if o.Dir == "" {
		return f
	}
	plain := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("@.-_", r) {
			return r
		}
		return '_'
	}
	name := strings.TrimLeft(strings.Map(plain, strings.ToLower(o.Account)), ".")
	if len(name) > 64 {
		name = name[:64]
	}
	f.path = filepath.Join(o.Dir, name+"-"+digest(o.Account, o.TokenURL, o.ClientID)[:12]+".json")
	return f
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// read gives what is kept, and nothing where that cannot be used.
func (f *file) read() record {
	if f.path == "" {
		return record{}
	}
	open, err := os.Open(f.path)
	if err != nil {
		return record{}
	}
	defer func() { _ = open.Close() }() // it was only read
	var r record
	if err := json.NewDecoder(io.LimitReader(open, maxAnswer)).Decode(&r); err != nil || f.seed != "" && r.Seed != f.seed {
		return record{}
	}
	if r.Scope != f.scope {
		r.Access = ""
	}
	return r
}

// write replaces the file, flushed before it has its name.
func (f *file) write(a access, refresh string) error {
	if f.path == "" {
		return nil
	}
	data, err := json.Marshal(record{
		Refresh: refresh, Access: a.token, Got: a.got, End: a.end, Scope: f.scope, Seed: f.seed,
	})
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }() // after a failure; else it is gone
	_, err = draft.Write(data)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := giveTo(filepath.Dir(dir), dir, draft.Name()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), f.path); err != nil {
		return err
	}
	opened, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// Keep puts a refresh token that a person signed in for where the Source of
// the same options finds it, one that is running too, and returns the path.
func Keep(o Options, refresh string) (path string, err error) {
	if err := o.fill(); err != nil {
		return "", err
	}
	f := newFile(o)
	if f.path == "" {
		return "", errors.New("there is no directory to keep it in")
	}
	return f.path, f.write(access{}, refresh)
}
