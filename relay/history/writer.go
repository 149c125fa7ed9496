package history

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Record is a line of the log, as far as it is about mail. Fields are zero
// where the event has none.
type Record struct {
	Time        time.Time `json:"time"`
	Event       string    `json:"event"`
	ID          string    `json:"id,omitempty"`
	MessageID   string    `json:"message_id,omitempty"`
	From        string    `json:"from,omitempty"`
	To          []string  `json:"to,omitempty"`
	Size        int64     `json:"size,omitempty"`
	Client      string    `json:"client,omitempty"`
	Route       string    `json:"route,omitempty"`
	Upstream    string    `json:"upstream,omitempty"`
	UpstreamID  string    `json:"upstream_id,omitempty"` // the provider's own name for the message
	TLS         string    `json:"tls,omitempty"`
	Stage       string    `json:"stage,omitempty"`
	Cause       string    `json:"cause,omitempty"`
	Code        int       `json:"code,omitempty"`
	Enhanced    string    `json:"enhanced,omitempty"`
	Reply       string    `json:"reply,omitempty"`
	Error       string    `json:"error,omitempty"`
	Explanation string    `json:"explanation,omitempty"`
	Fix         string    `json:"fix,omitempty"`
	Attempt     int       `json:"attempt,omitempty"`
	Next        time.Time `json:"next,omitzero"`
	ElapsedMS   int64     `json:"elapsed_ms,omitempty"`
	Subject     string    `json:"subject,omitempty"`
	Message     string    `json:"message,omitempty"`
	Transcript  []string  `json:"transcript,omitempty"` // of an attempt that failed, without credentials and content
}

// Options of a Writer.
type Options struct {
	Dir     string        // made with mode 0700 if it is missing
	Keep    time.Duration // how long; 0 = 14 days
	MaxSize int64         // of all files, in octets; 0 = 100 MB

	// Trouble is told why history is not kept, once until it is again; it may
	// be nil.
	Trouble func(error)
}

// Defaults of Options, and how it is written.
const (
	defaultKeep    = 14 * 24 * time.Hour
	defaultMaxSize = 100_000_000

	parts      = 8 // a file has at most this share of MaxSize
	flushEvery = time.Second
	flushAt    = 256 << 10 // octets that wait
	mostWaits  = 4 << 20   // what comes then is left out
)

// A Writer appends lines. It runs until Close.
type Writer struct {
	o     Options
	wake  chan struct{}
	asked chan chan struct{} // by Flush, which is answered by closing
	stop  chan struct{}
	done  chan struct{}

	mu    sync.Mutex
	waits []byte
	lost  bool // since the last flush

	// Of the goroutine that writes.
	file  *os.File
	name  part // of file
	tidy  time.Time
	told  bool // Trouble was, and it lasts
	spare []byte
}

// Open makes a Writer. An error is one of the directory.
func Open(o Options) (*Writer, error) {
	o.Keep = cmp.Or(o.Keep, defaultKeep)
	o.MaxSize = cmp.Or(o.MaxSize, defaultMaxSize)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	w := &Writer{o: o, wake: make(chan struct{}, 1), asked: make(chan chan struct{}), stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w, nil
}

// Write keeps a line that ends in LF. It never fails and never waits for the
// disk; line is the caller's again when it returns.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	if len(w.waits)+len(line) <= mostWaits {
		w.waits = append(w.waits, line...)
	} else {
		w.lost = true
	}
	full := len(w.waits) >= flushAt
	w.mu.Unlock()
	if full {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// Flush writes what waits, and returns when whoever reads finds it.
func (w *Writer) Flush() {
	written := make(chan struct{})
	select {
	case w.asked <- written:
		<-written
	case <-w.done:
	}
}

// Close writes what waits and ends the Writer.
func (w *Writer) Close() error {
	close(w.stop)
	<-w.done
	return nil
}

func (w *Writer) run() {
	defer close(w.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.wake:
		case written := <-w.asked:
			w.flush(time.Now())
			close(written)
			continue
		case <-w.stop:
			w.flush(time.Now())
			w.close()
			return
		}
		w.flush(time.Now())
	}
}

var errSlow = errors.New("the disk is too slow for it")

// flush writes what waits. What fails is left out: there may be no room for it
// for long.
func (w *Writer) flush(now time.Time) {
	w.mu.Lock()
	lines, lost := w.waits, w.lost
	w.waits, w.lost = w.spare[:0], false
	w.mu.Unlock()
	w.spare = lines
	var err error
	if len(lines) > 0 {
		err = w.append(now, lines)
	}
	if now.Sub(w.tidy) >= time.Hour {
		err = errors.Join(err, w.remove(now))
	}
	if err == nil && lost {
		err = errSlow
	}
	if err != nil && !w.told && w.o.Trouble != nil {
		w.o.Trouble(fmt.Errorf("history: %w", err))
	}
	w.told = err != nil || w.told && len(lines) == 0
}

func (w *Writer) append(now time.Time, lines []byte) error {
	day := now.UTC().Format(time.DateOnly)
	if w.file == nil || w.name.day != day || w.name.size >= w.o.MaxSize/parts {
		if err := w.next(day); err != nil {
			return err
		}
		if err := w.remove(now); err != nil {
			return err
		}
	}
	n, err := w.file.Write(lines)
	w.name.size += int64(n)
	if err != nil { // the next one begins with a line end of its own
		w.close()
	}
	return err
}

// close closes the file, if one is open.
func (w *Writer) close() {
	_ = w.file.Close()
	w.file = nil
}

// next opens the file to write to: the last one of the day, or one more.
func (w *Writer) next(day string) error {
	w.close()
	all, err := list(w.o.Dir)
	if err != nil {
		return err
	}
	w.name = part{day: day, number: 1}
	for _, f := range all {
		if f.day == day {
			w.name = f
		}
	}
	if w.name.size >= w.o.MaxSize/parts {
		w.name = part{day: day, number: w.name.number + 1}
	}
	f, err := os.OpenFile(filepath.Join(w.o.Dir, w.name.String()), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	w.file = f
	if w.name.size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, w.name.size-1); err == nil && last[0] != '\n' { // torn by a crash
		_, err = f.Write([]byte("\n"))
		return err
	}
	return nil
}

// remove removes the oldest files, as many as must go.
func (w *Writer) remove(now time.Time) error {
	w.tidy = now
	all, err := list(w.o.Dir)
	if err != nil {
		return err
	}
	var size int64
	for _, f := range all {
		size += f.size
	}
	oldest := now.Add(-w.o.Keep).UTC().Format(time.DateOnly)
	for _, f := range all {
		if f.day >= oldest && size <= w.o.MaxSize*(parts-1)/parts || w.file != nil && f.day == w.name.day && f.number == w.name.number {
			return nil
		}
		if err := os.Remove(filepath.Join(w.o.Dir, f.String())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		size -= f.size
	}
	return nil
}

// A part is one file: a day's first, or a further one of a busy day.
type part struct {
	day    string // "2026-11-23", in UTC
	number int    // from 1
	size   int64
}

const suffix = ".jsonl"

func (p part) String() string {
	if p.number == 1 {
		return p.day + suffix
	}
	return p.day + "." + strconv.Itoa(p.number) + suffix
}

func parsePart(name string) (p part, ok bool) {
	name, ok = strings.CutSuffix(name, suffix)
	day, number, more := strings.Cut(name, ".")
	if _, err := time.Parse(time.DateOnly, day); err != nil || !ok {
		return part{}, false
	}
	p = part{day: day, number: 1}
	if more {
		var err error
		if p.number, err = strconv.Atoi(number); err != nil || p.number < 2 {
			return part{}, false
		}
	}
	return p, true
}

// list gives the files of a directory, oldest first; none if there is no such
// directory.
func list(dir string) ([]part, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []part
	for _, e := range entries {
		p, ok := parsePart(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it went just now
		}
		p.size = info.Size()
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b part) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.number, b.number))
	})
	return all, nil
}
