package drop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"kurir/upstream/envelope"
)

const (
	tmpSuffix     = ".tmp"
	badSuffix     = ".bad"
	refusedSuffix = ".refused"

	pollEvery  = 10 * time.Second
	retryAfter = time.Minute    // for what could not be taken
	tmpKept    = 24 * time.Hour // who still writes after a day never ends
	badTold    = 20             // of a round, one by one
)

const notAFile = "it is no file"

// A Fate is what came of a message.
type Fate int

const (
	Taken   Fate = iota // it is safe: the file goes
	Later               // try again in a while
	Refused             // nobody will ever take it
)

// A Log is told what a person should know.
type Log interface {
	Warning(where, text string)
}

// Options of a Taker. All must be set.
type Options struct {
	Dir string // as Make has made it

	// MaxSize and MaxRecipients limit a message, of whose content they count
	// the octets; both are asked anew for each.
	MaxSize       func() int64
	MaxRecipients func() int

	Address Address

	// Room tells whether there is room for a message of size octets. As long
	// as it gives an error, all stay where they are.
	Room func(size int64) error

	// Take takes a message over and says what came of it, in words too if it
	// was not Taken. env is its own.
	Take func(ctx context.Context, env envelope.Envelope, content io.Reader) (Fate, string)

	Log Log
}

// A Taker takes the messages of a directory, one at a time.
type Taker struct {
	o       Options
	seen    time.Time            // the directory's own time at the last look; zero: look again
	later   map[string]time.Time // when to try again what could not be taken
	taken   map[string]bool      // and could not be removed yet
	trouble string               // that was told already
}

// NewTaker makes a Taker.
func NewTaker(o Options) *Taker {
	return &Taker{o: o, later: map[string]time.Time{}, taken: map[string]bool{}}
}

// Run takes what is there, and then what comes, until ctx ends.
func (t *Taker) Run(ctx context.Context) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		t.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

// look takes what there is, if something changed since the last look or is
// due again.
func (t *Taker) look(ctx context.Context) {
	now := time.Now()
	info, err := os.Stat(t.o.Dir)
	if err == nil && info.ModTime().Equal(t.seen) && !t.isDue(now) {
		return
	}
	for more := true; more && err == nil && ctx.Err() == nil; {
		more, err = t.round(ctx)
	}
	switch {
	case err != nil:
		if t.trouble != err.Error() {
			t.trouble = err.Error()
			t.o.Log.Warning("spool.drop", "mail that kurir sendmail left waits in "+t.o.Dir+": "+t.trouble)
		}
		t.seen = time.Time{}
		return
	case now.Sub(info.ModTime()) < 2*time.Second: // what comes in the same tick of the clock would not show
		t.seen = time.Time{}
	default:
		t.seen = info.ModTime()
	}
	t.trouble = ""
}

func (t *Taker) isDue(now time.Time) bool {
	for _, at := range t.later {
		if !now.Before(at) {
			return true
		}
	}
	return false
}

// round takes a limited number of files, in turn of their owners, and tells
// whether there may be more. An error is one of the directory.
func (t *Taker) round(ctx context.Context) (more bool, err error) {
	s, err := t.sample(time.Now())
	if err != nil {
		return false, err
	}
	bad := 0
	for _, name := range s.foreign {
		if err := t.putAside(name, badSuffix, "it is no file that kurir sendmail leaves", &bad); err != nil {
			return false, err
		}
	}
	for _, name := range s.inTurn() {
		if ctx.Err() != nil {
			return false, nil
		}
		if err := t.take(ctx, name, &bad); err != nil {
			return false, err
		}
	}
	if bad > badTold {
		t.o.Log.Warning("spool.drop", fmt.Sprintf("%d more files in %s are no messages and were renamed to *%s", bad-badTold, t.o.Dir, badSuffix))
	}
	return s.more, nil
}

// take takes one file. An error is not the file's, so that others have it too.
func (t *Taker) take(ctx context.Context, name string, bad *int) error {
	if t.taken[name] {
		return t.remove(name)
	}
	f, size, problem, err := t.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // who left it took it back
		return nil
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return err
	case err != nil: // such as a lease that its owner has on it
		t.postpone(name, err.Error())
		return nil
	case problem != "":
		return t.putAside(name, badSuffix, problem, bad)
	}
	defer f.Close()
	if err := t.o.Room(size); err != nil {
		return err
	}
	r := bufio.NewReader(io.LimitReader(f, t.most()+1))
	env, err := Read(r, t.o.MaxRecipients(), t.o.Address)
	if err != nil {
		return t.putAside(name, badSuffix, err.Error(), bad)
	}
	fate, why := t.o.Take(ctx, env, r)
	switch {
	case fate == Taken:
		return t.remove(name)
	case fate == Refused:
		return t.putAside(name, refusedSuffix, why, new(int))
	case ctx.Err() == nil: // else it is we who end
		t.postpone(name, why)
	}
	return nil
}

// remove ends with a file that was taken. As long as that fails, as on a disk
// that has become read-only, it is not taken again.
func (t *Taker) remove(name string) error {
	err := os.Remove(filepath.Join(t.o.Dir, name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		delete(t.taken, name)
		return nil
	}
	t.taken[name] = true
	return fmt.Errorf("a message that was taken cannot be removed, and will be sent again if Kurir is restarted: %w", err)
}

// postpone leaves a file where it is for a while.
func (t *Taker) postpone(name, why string) {
	if _, told := t.later[name]; !told {
		t.o.Log.Warning("spool.drop", fmt.Sprintf("%s stays in %s and is tried again: %s", name, t.o.Dir, why))
	}
	t.later[name] = time.Now().Add(retryAfter)
}

// most is how long a file may be.
func (t *Taker) most() int64 { return maxHead + t.o.MaxSize() }

// open opens a file that anybody may have put there. A problem is the file's.
func (t *Taker) open(name string) (f *os.File, size int64, problem string, err error) {
	f, err = os.OpenFile(filepath.Join(t.o.Dir, name), os.O_RDONLY|noFollow|noWait, 0)
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		return nil, 0, notAFile, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, 0, "Kurir may not read it", nil
	case err != nil:
		return nil, 0, "", err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		problem = notAFile
	case namesOf(info) > 1:
		problem = "it has another name as well, so that it may be somebody else's"
	case info.Size() > t.most():
		problem = fmt.Sprintf("it has %d octets, more than a message may have", info.Size())
	}
	if problem != "" || err != nil {
		_ = f.Close()
		return nil, 0, problem, err
	}
	return f, info.Size(), "", nil
}

// putAside gives a file a name under which it is left alone. An error means
// that this cannot be done, so that the same file would come up for ever.
func (t *Taker) putAside(name, suffix, why string, told *int) error {
	path := filepath.Join(t.o.Dir, name)
	aside := name + suffix
	err := os.Rename(path, filepath.Join(t.o.Dir, aside))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the name is taken, or too long
		aside = newName() + suffix
		err = os.Rename(path, filepath.Join(t.o.Dir, aside))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if *told++; err == nil && *told <= badTold {
		t.o.Log.Warning("spool.drop", fmt.Sprintf("%q in %s is not sent and is now %q: %s", name, t.o.Dir, aside, why))
	}
	return err
}
