package history

import (
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"kurir/upstream/envelope"
)

// A Reader reads what a Writer has written. Its methods may be called from any
// goroutine.
type Reader struct {
	dir string

	mu     sync.Mutex // guards what hours.go has counted
	counts map[int64]*Hour
	read   map[string]int64 // how far each file has been counted
}

// NewReader makes a Reader; a directory that is missing is an empty history.
func NewReader(dir string) *Reader {
	return &Reader{dir: dir, counts: map[int64]*Hour{}, read: map[string]int64{}}
}

// A Query chooses records.
type Query struct {
	// Text is an ID, a Message-ID with or without its brackets, an address, or
	// "@" and a domain; case does not matter. "" chooses all.
	Text string

	Limit int // 0 = no limit
}

// Recent gives the last n records, newest first.
func (r *Reader) Recent(n int) ([]Record, error) {
	var all []Record
	for rec, err := range r.Find(Query{Limit: n}) {
		if err != nil {
			return all, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// Story gives all records of one message, oldest first.
func (r *Reader) Story(id string) ([]Record, error) {
	var all []Record
	for rec, err := range r.Find(Query{Text: id}) {
		if err != nil {
			return nil, err
		}
		if rec.ID == id {
			all = append(all, rec)
		}
	}
	slices.Reverse(all)
	return all, nil
}

// Oldest is the day that history goes back to, zero if there is none.
func (r *Reader) Oldest() (time.Time, error) {
	all, err := list(r.dir)
	if err != nil || len(all) == 0 {
		return time.Time{}, err
	}
	return time.Parse(time.DateOnly, all[0].day)
}

// Find gives the records that a query chooses, newest first. An error is the
// last that it gives.
func (r *Reader) Find(q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		all, err := list(r.dir)
		if err != nil {
			yield(Record{}, err)
			return
		}
		slices.Reverse(all)
		left := q.Limit
		for _, f := range all {
			found, err := q.in(r.dir, f, left)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, rec := range slices.Backward(found) {
				if !yield(rec, nil) {
					return
				}
				if left--; q.Limit > 0 && left == 0 {
					return
				}
			}
		}
	}
}

// in gives what is chosen of one file, oldest first; of more than limit the
// last ones, unless that is 0.
func (q *Query) in(dir string, f part, limit int) ([]Record, error) {
	var found []Record
	take := func(line []byte) {
		var rec Record
		if json.Unmarshal(line, &rec) != nil || !q.chooses(&rec) { // torn, or it only looked like it
			return
		}
		if limit > 0 && len(found) >= 2*limit {
			found = append(found[:0], found[len(found)-limit:]...)
		}
		found = append(found, rec)
	}
	var err error
	if q.Text == "" {
		err = tail(dir, f, limit, take)
	} else {
		err = grep(dir, f, needle(q.Text), take)
	}
	if limit > 0 && len(found) > limit {
		found = found[len(found)-limit:]
	}
	return found, err
}

func (q *Query) chooses(r *Record) bool {
	text := strings.Trim(q.Text, "<>")
	if text == "" {
		return true
	}
	if strings.EqualFold(r.ID, text) || strings.EqualFold(strings.Trim(r.MessageID, "<>"), text) || envelope.Path(r.From).Is(text) {
		return true
	}
	return slices.ContainsFunc(r.To, func(to string) bool { return envelope.Path(to).Is(text) })
}
