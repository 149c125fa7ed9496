package drop

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	atOnce  = 1024 // names that are read at a time
	perUser = 256  // files of a user in a round
)

// A sample is what a round deals with. Memory depends on the number of users
// that have left something, not of files.
type sample struct {
	byUser  map[int][]waiting
	foreign []string
	more    bool // there are others
}

type waiting struct {
	name string
	left time.Time
}

// sample reads the directory, removes what was never finished, and chooses
// among the rest what is due.
func (t *Taker) sample(now time.Time) (*sample, error) {
	d, err := os.Open(t.o.Dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	s := &sample{byUser: map[int][]waiting{}}
	gone := maps.Clone(t.later)
	for {
		entries, err := d.ReadDir(atOnce)
		for _, e := range entries {
			delete(gone, e.Name())
			t.sort(s, e.Name(), now)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	for name := range gone {
		delete(t.later, name)
	}
	return s, nil
}

// sort puts a name where it belongs.
func (t *Taker) sort(s *sample, name string, now time.Time) {
	if strings.HasSuffix(name, badSuffix) || strings.HasSuffix(name, refusedSuffix) || now.Before(t.later[name]) {
		return
	}
	path := filepath.Join(t.o.Dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return // it is gone
	}
	if strings.HasSuffix(name, tmpSuffix) {
		if age := now.Sub(info.ModTime()); age > tmpKept {
			_ = os.Remove(path)
		}
		return
	}
	if !isName(name) || info.Mode()&fs.ModeType != 0 {
		if len(s.foreign) == atOnce {
			s.more = true
			return
		}
		s.foreign = append(s.foreign, name)
		return
	}
	user := ownerOf(info)
	if len(s.byUser[user]) == perUser {
		s.more = true
		return
	}
	s.byUser[user] = append(s.byUser[user], waiting{name, info.ModTime()})
}

// inTurn lists a file of each user, then another one of each, the oldest of
// each first.
func (s *sample) inTurn() []string {
	users := slices.Collect(maps.Values(s.byUser))
	for _, files := range users {
		slices.SortFunc(files, func(a, b waiting) int { return a.left.Compare(b.left) })
	}
	var names []string
	for i := range perUser {
		for _, files := range users {
			if i < len(files) {
				names = append(names, files[i].name)
			}
		}
	}
	return names
}
