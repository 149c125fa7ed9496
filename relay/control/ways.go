package control

import (
	"sync"
	"time"

	"kurir/upstream/explain"
)

// A Way is the way in that a route uses, and why those that are preferred are
// not.
type Way struct {
	Candidate string         `json:"candidate"`
	Since     time.Time      `json:"since"` // of this run of the relay
	Left      []explain.Told `json:"left,omitempty"`
}

// Ways remember what each route has told of its way in. Its methods may be
// called from any goroutine.
type Ways struct {
	mu  sync.Mutex
	now map[string]chosen
}

type chosen struct {
	way   explain.Candidate
	since time.Time
	left  []*explain.Failure
}

// Note takes what upstream.Options.Selected tells.
func (w *Ways) Note(route string, way explain.Candidate, left []*explain.Failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == nil {
		w.now = make(map[string]chosen)
	}
	w.now[route] = chosen{way, time.Now(), left}
}

func (w *Ways) of(route string) (chosen, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, known := w.now[route]
	return c, known
}
