package spool

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kurir/upstream/envelope"
)

// Options say where a spool lies and how much it may hold.
type Options struct {
	Dir string // made with mode 0700 if it is missing

	// MaxSize is how many octets of content may wait at most; 0 means as many
	// as the disk takes. What lies in failed/ does not count.
	MaxSize int64
}

// ErrFull says that there is no room for a message: MaxSize, the disk, its
// inodes or a quota. Errors wrap it together with the cause. It passes when
// messages leave or space is made; nothing needs to be restarted.
var ErrFull = errors.New("no room in the spool")

// ErrNotFound says that no message with that ID waits.
var ErrNotFound = errors.New("no such message in the spool")

// errDamaged is what a reader says in place of io.EOF when the content it
// gave is not what was once written.
var errDamaged = errors.New("the stored content is damaged: its checksum does not agree")

// A LockedError says that another process uses the spool.
type LockedError struct {
	Dir string
	PID int // as that process sees itself, which in a container may differ; 0 if it is not known
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("spool %s is in use by another process: stop that Kurir, or set another state_dir", e.Dir)
	}
	return fmt.Sprintf("spool %s is in use by process %d: stop that Kurir, or set another state_dir", e.Dir, e.PID)
}

// A VersionError says that the spool was written by a version that this one
// does not know. Nothing was changed in it.
type VersionError struct {
	Dir   string
	Found string // what VERSION says
	Known int    // the newest that this program reads
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("spool %s has format version %q, this program knows version %d", e.Dir, e.Found, e.Known)
}

const version = 1

// tuning holds the sizes that tests make small.
type tuning struct {
	inline  int   // octets of content that go into the journal
	segment int64 // a segment that has reached this takes no more records
	reserve int64 // size of the reserve file
	margin  int64 // octets of the disk that intake leaves free
	marks   int   // marks that may wait for a flush
}

func defaultTuning() tuning {
	return tuning{inline: maxInline, segment: 16 << 20, reserve: 4 << 20, margin: 4 << 20, marks: 4096}
}

// A Spool keeps messages over restarts and power cuts. Its methods may be
// called by several goroutines, those about one message by one at a time.
type Spool struct {
	max  atomic.Int64
	dir  dirs
	disk disk
	tune tuning
	lock io.Closer

	buffers  sync.Pool // *buffer
	encoders sync.Pool // *encoder

	streaming atomic.Int64 // octets in drafts that are not committed
	buffered  atomic.Int64 // octets of memory that drafts have

	tidying sync.Mutex // held while files in deferred/ are made or removed out of turn; before mu

	mu       sync.Mutex // guards all below, and orders the records of the journal
	closed   bool
	last     ID
	index    map[ID]*entry
	used     int64 // octets of content waiting
	journal  journal
	reserve  bool // the reserve file exists
	stopped  trouble
	avail    space // as of checked, less what was written since
	checked  time.Time
	dirtyDir bool // deferred/ has removals that are not flushed
	stuck    []ID // messages that are done, and could not be removed from deferred/
}

// dirs are the paths inside the spool's directory.
type dirs struct {
	root, journal, big, deferred, failed, bad string
}

func newDirs(root string) dirs {
	return dirs{
		root:     root,
		journal:  filepath.Join(root, "journal"),
		big:      filepath.Join(root, "big"),
		deferred: filepath.Join(root, "deferred"),
		failed:   filepath.Join(root, "failed"),
		bad:      filepath.Join(root, "bad"),
	}
}

func (d dirs) subdirs() []string { return []string{d.journal, d.big, d.deferred, d.failed, d.bad} }

func eml(dir string, id ID) string  { return filepath.Join(dir, id.String()+".eml") }
func meta(dir string, id ID) string { return filepath.Join(dir, id.String()+".json") }

// An entry is what memory keeps of a waiting message.
type entry struct {
	id            ID
	from          envelope.Path
	received, due int64 // nanoseconds since 1970
	size          int64
	attempts      int

	record           // where its PUT or BIG record is; seg is nil when it lies in deferred/
	attempt uint32   // that has come to its dot and is not concluded; 0 if there is none
	mark    *segment // that has its last Sending mark; nil if its record tells of it
	stray   bool     // a Defer that failed may have left files in deferred/
}

// Open takes the spool in o.Dir for this process, makes it if it is not
// there, and recovers what waits in it. It fails with a *LockedError, a
// *VersionError or the error of the disk; a full disk alone is no failure, as
// what waits can then still be delivered.
func Open(o Options) (*Spool, Recovery, error) {
	return open(o, osDisk{}, defaultTuning())
}

func lockFile(dir string) string { return filepath.Join(dir, "LOCK") }

func open(o Options, d disk, t tuning) (*Spool, Recovery, error) {
	start := time.Now()
	s := &Spool{dir: newDirs(o.Dir), disk: d, tune: t, index: make(map[ID]*entry)}
	s.SetMaxSize(o.MaxSize)
	if err := d.mkdir(o.Dir); err != nil {
		return nil, Recovery{}, wrap("make the directory", err)
	}
	lock, err := d.lock(lockFile(o.Dir))
	if err != nil {
		if locked, ok := errors.AsType[*LockedError](err); ok {
			locked.Dir = o.Dir
			return nil, Recovery{}, locked
		}
		return nil, Recovery{}, wrap("lock", err)
	}
	s.lock = lock
	r, err := s.start()
	if err != nil {
		s.journal.closeFiles()
		lock.Close()
		return nil, Recovery{}, err
	}
	r.Elapsed = time.Since(start)
	return s, r, nil
}

func (s *Spool) start() (Recovery, error) {
	err := s.checkVersion()
	if isMissing(err) {
		err = wrap("write VERSION", s.writeFile(s.versionPath(), strings.NewReader(strconv.Itoa(version)+"\n")))
		if errors.Is(err, ErrFull) {
			err = nil // the next start writes it
		}
	}
	if err != nil {
		return Recovery{}, err
	}
	for _, dir := range s.dir.subdirs() {
		if err := s.disk.mkdir(dir); err != nil {
			return Recovery{}, wrap("make a directory", err)
		}
	}
	if err := s.disk.syncDir(s.dir.root); err != nil {
		return Recovery{}, wrap("flush the directory", err)
	}
	r, err := s.recover()
	if err != nil {
		return Recovery{}, err
	}
	if sp, err := s.disk.space(s.dir.root); err == nil {
		r.Ephemeral = sp.ephemeral
	}
	return r, nil
}

func (s *Spool) versionPath() string { return filepath.Join(s.dir.root, "VERSION") }

// checkVersion refuses a format that is not known before anything is touched.
func (s *Spool) checkVersion() error {
	b, err := s.readFile(s.versionPath(), 2048)
	if err != nil {
		return wrap("read VERSION", err)
	}
	found := string(bytes.TrimSpace(b))
	if n, err := strconv.Atoi(found); err != nil || n < 1 || n > version {
		return &VersionError{Dir: s.dir.root, Found: clip(found), Known: version}
	}
	return nil
}

// SetMaxSize changes Options.MaxSize.
func (s *Spool) SetMaxSize(n int64) { s.max.Store(n) }

// Usage tells how many messages wait and how many octets of content they have.
func (s *Spool) Usage() (messages int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.index), s.used
}

// An Entry is what a queue needs to order a waiting message.
type Entry struct {
	ID            ID
	From          envelope.Path
	Received, Due time.Time // Received is Stored.Since; Due is the same until a Defer says otherwise
	Size          int64
	Attempts      int
	Uncertain     bool // the last attempt may have succeeded; see Recovery
}

// Waiting lists all messages that wait, oldest first. It is meant to be
// called once, after Open.
func (s *Spool) Waiting() []Entry {
	s.mu.Lock()
	all := make([]Entry, 0, len(s.index))
	for _, e := range s.index {
		all = append(all, Entry{
			ID: e.id, From: e.from, Size: e.size, Attempts: e.attempts, Uncertain: e.attempt > 0,
			Received: time.Unix(0, e.received), Due: time.Unix(0, e.due),
		})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Sync flushes the marks that still wait for a flush. Idle time is a good
// moment, since the next Commit would do it too.
func (s *Spool) Sync() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return os.ErrClosed
	}
	return s.unlockSync()
}

// unlockSync flushes the journal and the removals in deferred/. The caller
// holds mu, which is released.
func (s *Spool) unlockSync() error {
	dirty, stuck := s.dirtyDir, s.stuck
	s.dirtyDir, s.stuck = false, nil
	err := s.unlockFlush()
	if len(stuck) > 0 {
		err = errors.Join(err, s.removeStuck(stuck))
	}
	if dirty || len(stuck) > 0 {
		if e := s.disk.syncDir(s.dir.deferred); e != nil {
			err = errors.Join(err, wrap("flush the directory", e))
			s.mu.Lock()
			s.dirtyDir = true
			s.mu.Unlock()
		}
	}
	return err
}

// Close flushes, and gives the spool free for another process. Drafts that
// are not committed are lost.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.takeBack()    // while something can still be written
	s.closed = true // before the last flush, so that none can begin behind it
	err := s.unlockSync()
	s.mu.Lock()
	s.journal.closeFiles()
	s.mu.Unlock()
	return errors.Join(err, wrap("unlock", s.lock.Close()))
}

// writeFile makes a file with that content and flushes it, under another name
// until it is whole. The caller flushes the directory.
func (s *Spool) writeFile(path string, content io.Reader) error {
	tmp := path + ".tmp"
	f, err := s.disk.open(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, 0), content)
	if err == nil {
		err = f.datasync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = s.disk.rename(tmp, path)
	}
	if err != nil {
		s.disk.remove(tmp) // what stays of it, recovery removes
	}
	return err
}

// readFile reads a file of at most limit octets. A disk that fails once is
// asked again, since what cannot be read is set aside.
func (s *Spool) readFile(path string, limit int64) ([]byte, error) {
	b, err := s.readFileOnce(path, limit)
	if err != nil && !isMissing(err) {
		b, err = s.readFileOnce(path, limit)
	}
	return b, err
}

// stat asks twice too.
func (s *Spool) stat(path string) (info, error) {
	fi, err := s.disk.stat(path)
	if err != nil && !isMissing(err) {
		fi, err = s.disk.stat(path)
	}
	return fi, err
}

// checkContent tells what is wrong with a file that should have size octets.
func (s *Spool) checkContent(path string, size int64) error {
	fi, err := s.stat(path)
	if err != nil {
		return fmt.Errorf("its content: %w", err)
	}
	if fi.size != size {
		return fmt.Errorf("its content has %d octets, and should have %d", fi.size, size)
	}
	return nil
}

func (s *Spool) readFileOnce(path string, limit int64) ([]byte, error) {
	f, err := s.disk.open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	b.Grow(2048) // most have less
	if _, err := b.ReadFrom(io.NewSectionReader(f, 0, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, fmt.Errorf("%s has more than %d octets", path, limit)
	}
	return b.Bytes(), nil
}
