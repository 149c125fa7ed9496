package control

import (
	"errors"
	"iter"
	"os"
	"time"

	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// Files are what a desk reads: a *spool.Spool, or a *spool.View of one.
type Files interface {
	Load(id spool.ID) (*spool.Stored, error)
	Failed() iter.Seq2[spool.ID, error]
	LoadFailed(id spool.ID) (*spool.Stored, error)
	Usage() (messages int, bytes int64)
}

// Queue is what the door needs of a *queue.Queue.
type Queue interface {
	Routes() []queue.RouteState
	Waiting() []queue.Waiting
	Flush() int
	Retry(ids []spool.ID, told func(spool.ID, error))
	Drop(ids []spool.ID, told func(spool.ID, error))
	DropWaiting(ids []spool.ID, told func(spool.ID, error))
	DropFailed(ids []spool.ID, told func(spool.ID, error))
}

// A Desk answers what is asked about the messages of a relay.
type Desk struct {
	files    Files
	queue    interface{ Waiting() []queue.Waiting }
	routes   func() []queue.RouteState
	ways     *Ways // nil where there are no routes
	language explain.Language
	ends     func() []End // may be nil
	status   Status
}

// NewDesk is the desk of a relay that runs.
func NewDesk(o Options) *Desk {
	return &Desk{
		files: o.Spool, queue: o.Queue, routes: o.Queue.Routes, ways: o.Ways, language: o.Language, ends: o.Ends,
		status: Status{Running: true, Version: o.Version, PID: os.Getpid(), Started: time.Now(), Spool: o.SpoolDir},
	}
}

// OnFiles is the desk of a relay that does not run.
func OnFiles(v *spool.View, dir string) *Desk {
	return &Desk{
		files: v, queue: onFiles{v}, routes: func() []queue.RouteState { return nil },
		status: Status{Spool: dir},
	}
}

type onFiles struct{ *spool.View }

func (f onFiles) Waiting() []queue.Waiting {
	var all []queue.Waiting
	for _, e := range f.View.Waiting() {
		all = append(all, queue.Waiting{ID: e.ID, Received: e.Received, Due: e.Due, Attempts: e.Attempts})
	}
	return all
}

// List gives the messages that fit, oldest first, one by one.
func (d *Desk) List(f Filter) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		now := time.Now()
		if f.Failed {
			for id, err := range d.files.Failed() {
				if err != nil {
					yield(Message{}, err)
					return
				}
				st, err := d.files.LoadFailed(id)
				if errors.Is(err, spool.ErrNotFound) {
					continue // it went just now
				}
				if m := failed(id, st, err); f.fits(m, now) && !yield(m, nil) {
					return
				}
			}
			return
		}
		routes := d.routes()
		for _, w := range d.queue.Waiting() {
			st, err := d.files.Load(w.ID)
			if errors.Is(err, spool.ErrNotFound) {
				continue
			}
			if m := waiting(w, st, err, routes); f.fits(m, now) && !yield(m, nil) {
				return
			}
		}
	}
}

// waiting is a message that waits, whose record may be unreadable.
func waiting(w queue.Waiting, st *spool.Stored, err error, routes []queue.RouteState) Message {
	m := Message{ID: w.ID, State: Waiting, Route: w.Route, Received: w.Received, Due: w.Due, Attempts: w.Attempts}
	if err != nil {
		m.Error = err.Error()
		return m
	}
	m.fill(st)
	if w.Underway {
		m.State, m.Due = Underway, time.Time{}
	}
	if r := routeOf(routes, w.Route); r != nil {
		m.Cause = string(r.Trouble.Cause)
		if m.Due.Before(r.Probe) {
			m.Due = r.Probe
		}
	}
	return m
}

// routeOf is the route of that name if it is in trouble.
func routeOf(routes []queue.RouteState, name string) *queue.RouteState {
	for i := range routes {
		if routes[i].Name == name && routes[i].Trouble != nil {
			return &routes[i]
		}
	}
	return nil
}

func failed(id spool.ID, st *spool.Stored, err error) Message {
	m := Message{ID: id, State: Failed}
	if err != nil {
		m.Error = err.Error()
		return m
	}
	m.fill(st)
	return m
}

func (m *Message) fill(st *spool.Stored) {
	m.From, m.Received, m.Size, m.Attempts = st.Envelope.From, st.Received, st.Size, st.Tried
	for _, r := range st.Envelope.To {
		m.To = append(m.To, r.To)
	}
	if n := len(st.Attempts); n > 0 {
		m.Cause = st.Attempts[n-1].Cause
	}
}

// Show tells the story of a message. It fails with spool.ErrNotFound.
func (d *Desk) Show(id spool.ID) (*Story, error) {
	var s Story
	st, err := d.files.LoadFailed(id)
	if err != nil && !errors.Is(err, spool.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		s.Failed = st
		s.Message = failed(id, st, nil)
	}
	if s.Waiting, err = d.files.Load(id); err != nil {
		if s.Failed != nil && errors.Is(err, spool.ErrNotFound) {
			return &s, nil
		}
		return nil, err
	}
	w, routes := queue.Waiting{ID: id}, d.routes()
	for _, have := range d.queue.Waiting() {
		if have.ID == id {
			w = have
		}
	}
	s.Message = waiting(w, s.Waiting, nil, routes)
	if r := routeOf(routes, w.Route); r != nil {
		s.Trouble = d.trouble(r.Trouble)
	}
	return &s, nil
}

// Status tells how the relay is doing.
func (d *Desk) Status() (Status, error) {
	s := d.status
	s.Routes = []Route{}
	if d.ends != nil {
		s.Ends = d.ends()
	}
	for _, r := range d.routes() {
		s.Routes = append(s.Routes, Route{
			Name: r.Name, Condition: r.Condition, Way: d.way(r.Name), Trouble: d.trouble(r.Trouble),
			Since: r.Since, Probe: r.Probe, Waiting: r.Waiting, Oldest: r.Oldest,
		})
	}
	s.Waiting, s.Bytes = d.files.Usage()
	for _, w := range d.queue.Waiting() {
		if !w.Received.IsZero() {
			s.Oldest = w.Received
			break
		}
	}
	for _, err := range d.files.Failed() {
		if err != nil {
			return s, err
		}
		s.Failed++
	}
	return s, nil
}

// way is the way in of a route; nil while it is not known.
func (d *Desk) way(route string) *Way {
	c, known := d.ways.of(route)
	if !known {
		return nil
	}
	w := &Way{Candidate: c.way.String(), Since: c.since}
	for _, f := range c.left {
		w.Left = append(w.Left, *f.ToldIn(d.language))
	}
	return w
}

func (d *Desk) trouble(f *explain.Failure) *explain.Told {
	if f == nil {
		return nil
	}
	return f.ToldIn(d.language)
}
