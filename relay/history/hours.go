package history

import (
	"bytes"
	"maps"
	"time"
)

// An Hour is how many deliveries came to which end in an hour.
type Hour struct {
	Start                  time.Time
	Sent, Deferred, Failed int
}

// Hours gives the n hours up to the present one, oldest first. Each file is
// read once: the next call goes on where this one ended.
func (r *Reader) Hours(now time.Time, n int) ([]Hour, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	present := now.UTC().Truncate(time.Hour)
	first := present.Add(-time.Duration(n-1) * time.Hour)
	if err := r.count(first); err != nil {
		return nil, err
	}
	hours := make([]Hour, n)
	for i := range hours {
		start := first.Add(time.Duration(i) * time.Hour)
		hours[i].Start = start
		if h := r.counts[start.Unix()]; h != nil {
			hours[i] = *h
		}
	}
	return hours, nil
}

// count counts what was written since it was last called, from an hour on.
func (r *Reader) count(first time.Time) error {
	all, err := list(r.dir)
	if err != nil {
		return err
	}
	for hour := range r.counts {
		if hour < first.Unix() {
			delete(r.counts, hour)
		}
	}
	seen := map[string]int64{}
	for _, f := range all {
		if f.day < first.Format(time.DateOnly) {
			continue
		}
		name := f.String()
		offset := r.read[name]
		err := lines(r.dir, f, offset, func(b []byte) {
			offset += int64(len(b))
			for line := range bytes.Lines(b) {
				r.add(line, first)
			}
		})
		seen[name] = offset
		if err != nil {
			maps.Copy(r.read, seen) // what is counted is not counted again
			return err
		}
	}
	r.read = seen
	return nil
}

var (
	eventKey = []byte(`"event":"delivery.`)
	timeKey  = []byte(`"time":"`)
)

// add counts a line, without decoding it: most are none of these.
func (r *Reader) add(line []byte, first time.Time) {
	i, at := bytes.Index(line, eventKey), bytes.LastIndex(line, timeKey)
	if i < 0 || at < 0 {
		return
	}
	event, text := line[i+len(eventKey):], line[at+len(timeKey):]
	end := bytes.IndexByte(text, '"')
	if end < 0 {
		return
	}
	t, err := time.Parse(time.RFC3339, string(text[:end]))
	if err != nil || t.Before(first) {
		return
	}
	hour := t.UTC().Truncate(time.Hour)
	h := r.counts[hour.Unix()]
	if h == nil {
		h = &Hour{Start: hour}
		r.counts[hour.Unix()] = h
	}
	switch {
	case bytes.HasPrefix(event, []byte(`sent"`)):
		h.Sent++
	case bytes.HasPrefix(event, []byte(`deferred"`)), bytes.HasPrefix(event, []byte(`held"`)):
		h.Deferred++
	case bytes.HasPrefix(event, []byte(`failed"`)):
		h.Failed++
	}
}
