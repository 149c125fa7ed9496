package spool

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

var errPower = errors.New("the power is off")

// A faultDisk keeps files in memory, and beside them what would be left after
// a power cut. It fails calls, and cuts the power, when told to.
type faultDisk struct {
	mu       sync.Mutex
	dirs     map[string]*faultDir
	locked   bool
	calls    int
	cutAfter int // no call after this one is done; 0 is never
	failAt   int // this call fails, with failWith
	failOn   int // and so do the next ones, this many
	failWith error
	capacity int64 // octets of content; 0 is no limit
	failed   []string
}

type faultDir struct {
	now, durable map[string]*faultInode
	log          []dirChange // since the last flush, in order
}

type dirChange struct {
	name  string
	inode *faultInode // nil removes
}

type faultInode struct {
	now, durable []byte
	log          []fileChange // since the last flush
	modified     time.Time
}

type fileChange struct {
	off  int64
	data []byte // nil truncates at off
}

func newFaultDisk() *faultDisk { return &faultDisk{dirs: map[string]*faultDir{}} }

// call counts, and fails or cuts where it should. The caller holds mu.
func (d *faultDisk) call(name string) error {
	d.calls++
	if d.cutAfter > 0 && d.calls > d.cutAfter {
		return errPower
	}
	if d.failAt > 0 && d.calls >= d.failAt && d.calls < d.failAt+max(d.failOn, 1) {
		d.failed = append(d.failed, name)
		return d.failWith
	}
	return nil
}

func apply(b []byte, c fileChange) []byte {
	if c.data == nil {
		if int64(len(b)) > c.off {
			return b[:c.off]
		}
		return append(b, make([]byte, c.off-int64(len(b)))...)
	}
	if end := c.off + int64(len(c.data)); int64(len(b)) < end {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[c.off:], c.data)
	return b
}

// cut gives the disk as the next start finds it. pick chooses how much of n
// things that were not flushed the disk had got to by itself.
func (d *faultDisk) cut(pick func(n int) int) *faultDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newFaultDisk()
	seen := map[*faultInode]*faultInode{}
	keep := func(n *faultInode) *faultInode {
		if seen[n] == nil {
			b := append([]byte(nil), n.durable...)
			for _, c := range n.log {
				if len(c.data) > 0 { // blocks reach the disk in any order, and in part
					c.data = c.data[:pick(len(c.data))]
				} else if pick(1) == 0 {
					continue
				}
				if c.data == nil || len(c.data) > 0 {
					b = apply(b, c)
				}
			}
			seen[n] = &faultInode{now: b, durable: append([]byte(nil), b...), modified: n.modified}
		}
		return seen[n]
	}
	for path, dir := range d.dirs {
		names := map[string]*faultInode{}
		for name, n := range dir.durable {
			names[name] = n
		}
		for _, c := range dir.log[:pick(len(dir.log))] {
			if c.inode == nil {
				delete(names, c.name)
			} else {
				names[c.name] = c.inode
			}
		}
		to := &faultDir{now: map[string]*faultInode{}, durable: map[string]*faultInode{}}
		for name, n := range names {
			to.now[name] = keep(n)
			to.durable[name] = to.now[name]
		}
		after.dirs[path] = to
	}
	return after
}

func cutNothingKept(int) int { return 0 }
func cutAllKept(n int) int   { return n }
func cutSomeKept(r *rand.Rand) func(int) int {
	return func(n int) int { return r.IntN(n + 1) }
}

func (d *faultDisk) dirOf(path string) (*faultDir, string) {
	return d.dirs[filepath.Dir(path)], filepath.Base(path)
}

func (f *faultDir) set(name string, n *faultInode) {
	if n == nil {
		delete(f.now, name)
	} else {
		f.now[name] = n
	}
	f.log = append(f.log, dirChange{name, n})
}

func (d *faultDisk) mkdir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dirs[path] != nil {
		return nil
	}
	if err := d.call("mkdir " + filepath.Base(path)); err != nil {
		return err
	}
	d.dirs[path] = &faultDir{now: map[string]*faultInode{}, durable: map[string]*faultInode{}}
	return nil
}

func (d *faultDisk) open(path string, flag int) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("open " + filepath.Base(path)); err != nil {
		return nil, err
	}
	dir, name := d.dirOf(path)
	n := dir.now[name]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, fs.ErrNotExist
	case n == nil:
		n = &faultInode{modified: time.Now()}
		dir.set(name, n)
	case flag&os.O_EXCL != 0:
		return nil, fs.ErrExist
	}
	f := &faultFile{d: d, n: n, name: name}
	if flag&os.O_TRUNC != 0 {
		f.change(fileChange{off: 0})
	}
	return f, nil
}

func (d *faultDisk) link(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("link " + filepath.Base(to)); err != nil {
		return err
	}
	dir, name := d.dirOf(from)
	toDir, toName := d.dirOf(to)
	switch {
	case dir.now[name] == nil:
		return fs.ErrNotExist
	case toDir.now[toName] != nil:
		return fs.ErrExist
	}
	toDir.set(toName, dir.now[name])
	return nil
}

func (d *faultDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("rename " + filepath.Base(to)); err != nil {
		return err
	}
	dir, name := d.dirOf(from)
	toDir, toName := d.dirOf(to)
	n := dir.now[name]
	if n == nil {
		return fs.ErrNotExist
	}
	toDir.set(toName, n)
	dir.set(name, nil)
	return nil
}

func (d *faultDisk) remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("remove " + filepath.Base(path)); err != nil {
		return err
	}
	dir, name := d.dirOf(path)
	if dir.now[name] == nil {
		return fs.ErrNotExist
	}
	dir.set(name, nil)
	return nil
}

func (d *faultDisk) syncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("syncDir " + filepath.Base(path)); err != nil {
		return err
	}
	dir := d.dirs[path]
	dir.durable = map[string]*faultInode{}
	for name, n := range dir.now {
		dir.durable[name] = n
	}
	dir.log = nil
	return nil
}

func (d *faultDisk) list(path string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("list " + filepath.Base(path)); err != nil {
		return nil, err
	}
	var names []string
	for name := range d.dirs[path].now {
		names = append(names, name)
	}
	return names, nil
}

func (d *faultDisk) stat(path string) (info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("stat " + filepath.Base(path)); err != nil {
		return info{}, err
	}
	dir, name := d.dirOf(path)
	if dir.now[name] == nil {
		return info{}, fs.ErrNotExist
	}
	return info{int64(len(dir.now[name].now)), dir.now[name].modified}, nil
}

// used counts each file once, whatever its names. The caller holds mu.
func (d *faultDisk) used() (octets int64) {
	seen := map[*faultInode]bool{}
	for _, dir := range d.dirs {
		for _, n := range dir.now {
			if !seen[n] {
				seen[n] = true
				octets += int64(len(n.now))
			}
		}
	}
	return octets
}

func (d *faultDisk) space(string) (space, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("space"); err != nil {
		return space{}, err
	}
	if d.capacity > 0 {
		return space{free: d.capacity - d.used()}, nil
	}
	return space{free: 1 << 40}, nil
}

type faultLock struct{ d *faultDisk }

func (l faultLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	l.d.locked = false
	return nil
}

func (d *faultDisk) lock(string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("lock"); err != nil {
		return nil, err
	}
	if d.locked {
		return nil, &LockedError{}
	}
	d.locked = true
	return faultLock{d}, nil
}

type faultFile struct {
	d      *faultDisk
	n      *faultInode
	name   string
	closed bool
	broken bool // a flush of this descriptor has failed
}

func (f *faultFile) change(c fileChange) {
	f.n.now = apply(f.n.now, c)
	f.n.log = append(f.n.log, c)
	f.n.modified = time.Now()
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	if err := f.d.call("read " + f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	n := len(p)
	err := f.d.call("write " + f.name)
	if err == errPower {
		return 0, err
	}
	if err == nil && f.d.capacity > 0 {
		grow := max(off+int64(n)-int64(len(f.n.now)), 0)
		if room := f.d.capacity - f.d.used(); grow > room {
			n = max(n-int(grow-room), 0)
			err = fullErrors[0]
		}
	} else if err != nil {
		n /= 2 // a write that fails may have done a part
	}
	if n > 0 {
		f.change(fileChange{off, append([]byte(nil), p[:n]...)})
	}
	return n, err
}

func (f *faultFile) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.closed = true
	return nil
}

func (f *faultFile) datasync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		panic("flush of a closed file: another may have its descriptor by now")
	}
	if f.broken {
		panic("flush of " + f.name + " tried again after it had failed")
	}
	if err := f.d.call("datasync " + f.name); err != nil {
		if err != errPower {
			f.n.log = nil // the kernel forgets what it could not write
			f.broken = true
		}
		return err
	}
	for _, c := range f.n.log {
		f.n.durable = apply(f.n.durable, c)
	}
	f.n.log = nil
	return nil
}

func (f *faultFile) truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.call("truncate " + f.name); err != nil {
		return err
	}
	f.change(fileChange{off: size})
	return nil
}

func (f *faultFile) allocate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.call("allocate " + f.name); err != nil {
		return err
	}
	if f.d.capacity > 0 && f.d.capacity-f.d.used() < size {
		return fullErrors[0]
	}
	f.change(fileChange{off: size})
	return nil
}
