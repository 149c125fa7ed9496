package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// preferredEvery is how often the preferred candidate is tried again while
// another one is in use.
const preferredEvery = time.Hour

// candidates are the ways into a host, the best first: what its provider
// documents, else 587 STARTTLS and 465 implicit TLS (RFC 6409, RFC 8314).
// port and mode pin what is not zero; a pinned port of unknown habit is tried
// both ways.
func candidates(host string, port int, mode explain.TLSMode, p *provider.Provider) []explain.Candidate {
	ways := []explain.Candidate{{Port: 587, TLS: explain.STARTTLS}, {Port: 465, TLS: explain.Implicit}}
	if len(p.Candidates) > 0 {
		ways = ways[:0]
		for _, c := range p.Candidates {
			ways = append(ways, explain.Candidate{Port: c.Port, TLS: c.TLS})
		}
	}
	if port != 0 {
		known := slices.IndexFunc(ways, func(c explain.Candidate) bool { return c.Port == port })
		first := explain.STARTTLS
		if known >= 0 {
			first = ways[known].TLS
		}
		ways = []explain.Candidate{{Port: port, TLS: first}, {Port: port, TLS: otherMode(first)}}
	}
	var found []explain.Candidate
	for _, c := range ways {
		if mode == "" || c.TLS == mode {
			c.Host = host
			found = append(found, c)
		}
	}
	if len(found) == 0 && port == 0 { // a mode that the provider does not document
		return candidates(host, 0, mode, &provider.Provider{})
	}
	return found
}

func otherMode(m explain.TLSMode) explain.TLSMode {
	if m == explain.Implicit {
		return explain.STARTTLS
	}
	return explain.Implicit
}

// A route finds the way in and remembers it.
type route struct {
	o *Options

	mu      sync.Mutex
	memory  memory
	proven  bool    // signing in worked when it was last tried
	told    bool    // Selected has heard of the way in
	flight  *flight // the search that all others wait for, nil if none is under way
	leaving sync.WaitGroup
}

// A flight is a search for the way in, or a first sign-in: one at a time, so
// that a wrong password is not tried by every connection at once.
type flight struct {
	done    chan struct{}
	failure error
}

func newRoute(o *Options) *route {
	r := &route{o: o}
	r.memory = readMemory(o.StateFile)
	if r.memory.Host != o.Host || r.memory.Way != nil &&
		!slices.ContainsFunc(o.Candidates, func(c explain.Candidate) bool { return sameWay(c, *r.memory.Way) }) {
		r.memory = memory{Host: o.Host}
	}
	return r
}

func (r *route) remembered() memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memory
}

// is tells whether c is the way in that is used now.
func (r *route) is(c explain.Candidate) bool {
	way := r.remembered().Way
	return way != nil && sameWay(*way, c)
}

// connect opens a session and signs in. While the way in is not proven, one
// caller searches and the others wait and share what it finds out.
func (r *route) connect(ctx context.Context) (*session, error) {
	for {
		r.mu.Lock()
		if r.proven {
			r.mu.Unlock()
			return r.enter(ctx)
		}
		f := r.flight
		if f == nil {
			f = &flight{done: make(chan struct{})}
			r.flight = f
			r.mu.Unlock()
			s, err := r.enter(ctx)
			r.mu.Lock()
			r.flight = nil
			r.mu.Unlock()
			f.failure = err
			close(f.done)
			return s, err
		}
		r.mu.Unlock()
		select {
		case <-f.done:
			if failure, ok := errors.AsType[*explain.Failure](f.failure); ok {
				return nil, failure
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// enter races the candidates and signs in over the winner.
func (r *route) enter(ctx context.Context) (*session, error) {
	s, left, err := r.signIn(ctx)
	if ctx.Err() != nil { // says nothing of the route
		if s != nil {
			_ = s.wire.conn.Close()
		}
		return nil, context.Cause(ctx)
	}
	r.mu.Lock()
	r.proven = err == nil
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	r.use(s.candidate, left)
	return s, nil
}

// signIn signs in over the winner of a race. A candidate that breaks off
// before it has answered to AUTH is left for the others.
func (r *route) signIn(ctx context.Context) (s *session, left []*explain.Failure, err error) {
	order := r.order()
	for len(order) > 0 {
		s, behind, err := r.race(ctx, order)
		if err != nil {
			return nil, nil, err
		}
		left = append(left, behind...)
		if !r.o.signsIn() {
			return s, left, nil
		}
		f := s.authenticate(ctx)
		if f == nil {
			return s, left, nil
		}
		r.leave(s)
		if !f.Elsewhere() || ctx.Err() != nil {
			return nil, nil, f
		}
		left = append(left, f)
		order = slices.DeleteFunc(slices.Clone(order), func(c explain.Candidate) bool { return sameWay(c, s.candidate) })
	}
	return nil, nil, explain.Whole(left)
}

// order is the remembered way first, then all others as they are preferred.
func (r *route) order() []explain.Candidate {
	way := r.remembered().Way
	if way == nil {
		return r.o.Candidates
	}
	order := []explain.Candidate{*way}
	for _, c := range r.o.Candidates {
		if !sameWay(c, *way) {
			order = append(order, c)
		}
	}
	return order
}

// use remembers the way in, and tells of it when it is another one than before.
func (r *route) use(c explain.Candidate, left []*explain.Failure) {
	r.mu.Lock()
	changed := r.memory.Way == nil || !sameWay(*r.memory.Way, c)
	tell := changed || !r.told
	r.told = true
	if changed {
		way := c
		way.Addr = ""
		r.memory.Way, r.memory.Since = &way, time.Now()
		r.save()
	}
	r.mu.Unlock()
	if tell && r.o.Selected != nil {
		r.o.Selected(c, left)
	}
}

// run tries the preferred candidate every hour while another one is used, until
// ctx ends.
func (r *route) run(ctx context.Context) {
	tick := time.NewTicker(preferredEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.tryPreferred(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// tryPreferred goes as far as EHLO behind TLS, so it costs no login.
func (r *route) tryPreferred(ctx context.Context) {
	preferred := r.o.Candidates[0]
	if r.is(preferred) {
		return
	}
	s, f := open(ctx, r.o, preferred, nil)
	if f != nil {
		return
	}
	r.use(s.candidate, nil)
	s.leave()
}
