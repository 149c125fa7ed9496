package upstream

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"kurir/upstream/explain"
)

// A pool lends sessions: kept ones first, new ones up to the limit.
type pool struct {
	o     *Options
	route *route
	slots chan struct{}
	idle  time.Duration

	mu      sync.Mutex
	kept    []*kept        // the last one rested least
	retired bool           // nothing is kept any more
	ending  sync.WaitGroup // sessions that are being left
}

// kept is a session at rest, with the timer that ends it before the server does.
type kept struct {
	*session
	timer *time.Timer
}

func newPool(o *Options, r *route) *pool {
	return &pool{
		o: o, route: r,
		slots: make(chan struct{}, o.Connections),
		idle:  cmp.Or(o.provider.Idle, defaultIdle),
	}
}

// get lends a session, which must be given back with put.
func (p *pool) get(ctx context.Context) (*session, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s, err := p.find(ctx)
	if err != nil {
		<-p.slots
	}
	return s, err
}

// find gives a kept session, or a new one.
func (p *pool) find(ctx context.Context) (*session, error) {
	for {
		s := p.take()
		if s == nil {
			return p.route.connect(ctx)
		}
		if s.awake(ctx) {
			return s, nil
		}
		p.end(s)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// take removes the session that rested least, nil if none is kept.
func (p *pool) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.kept) - 1
	if last < 0 {
		return nil
	}
	k := p.kept[last]
	p.kept = p.kept[:last]
	k.timer.Stop() // if it has fired already, it finds the session gone
	return k.session
}

// put takes a lent session back and keeps it if it can serve again. The slot
// of one that cannot is free when the server has let it go: until then it
// counts against the provider's limit.
func (p *pool) put(s *session) {
	current := p.route.is(s.candidate)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired || s.broken || s.transactions >= p.o.MessagesPerConnection || !current {
		p.endLocked(s, func() { <-p.slots })
		return
	}
	defer func() { <-p.slots }()
	s.rested = time.Now()
	k := &kept{session: s}
	k.timer = time.AfterFunc(p.idle, func() { p.tooLong(k) })
	p.kept = append(p.kept, k)
}

// tooLong ends a session that rested as long as it may, unless somebody else
// has taken it meanwhile.
func (p *pool) tooLong(k *kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.kept, k)
	if i < 0 {
		return
	}
	p.kept = slices.Delete(p.kept, i, i+1)
	p.endLocked(k.session, func() {})
}

func (p *pool) end(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked(s, func() {})
}

// endLocked leaves a session without making anyone wait for its farewell, and
// calls left when it is gone.
func (p *pool) endLocked(s *session, left func()) {
	p.ending.Go(func() {
		s.leave()
		left()
	})
}

// retire ends all kept sessions, and waits for those that are lent. A delivery
// that begins meanwhile, or has more than one transaction, gets what it needs:
// nobody else would serve it.
func (p *pool) retire() {
	p.mu.Lock()
	p.retired = true
	for _, k := range p.kept {
		k.timer.Stop()
		p.endLocked(k.session, func() {})
	}
	p.kept = nil
	p.mu.Unlock()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	for range cap(p.slots) {
		<-p.slots
	}
	p.ending.Wait()
}

// sameWay tells whether two candidates are the same way in, whatever address
// they were reached at.
func sameWay(a, b explain.Candidate) bool {
	return a.Host == b.Host && a.Port == b.Port && a.TLS == b.TLS
}
