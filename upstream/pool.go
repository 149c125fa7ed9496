package upstream

import (
	"context"
	"errors"
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

	mu     sync.Mutex
	kept   []*kept // the last one rested least
	closed bool
	ending sync.WaitGroup // sessions that are being left
}

// kept is a session at rest, with the timer that ends it before the server does.
type kept struct {
	*session
	timer *time.Timer
}

var errClosed = errors.New("the smart host is being closed")

func newPool(o *Options, r *route) *pool {
	return &pool{
		o: o, route: r,
		slots: make(chan struct{}, o.Connections),
		idle:  firstSet(o.provider.Idle, defaultIdle),
	}
}

// get lends a session, which must be given back with put.
func (p *pool) get(ctx context.Context) (*session, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		s, err := p.take()
		if err != nil {
			<-p.slots
			return nil, err
		}
		if s == nil {
			break
		}
		if s.awake() {
			return s, nil
		}
		p.end(s)
	}
	s, f := p.route.connect(ctx)
	if f != nil {
		<-p.slots
		return nil, f
	}
	return s, nil
}

// take removes the session that rested least, nil if none is kept.
func (p *pool) take() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	for len(p.kept) > 0 {
		k := p.kept[len(p.kept)-1]
		p.kept = p.kept[:len(p.kept)-1]
		if k.timer.Stop() {
			return k.session, nil
		}
	}
	return nil, nil
}

// put takes a lent session back and keeps it if it can serve again.
func (p *pool) put(s *session) {
	defer func() { <-p.slots }()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || s.broken || s.transactions >= p.o.MessagesPerConnection || !p.route.is(s.candidate) {
		p.endLocked(s)
		return
	}
	s.rested = time.Now()
	k := &kept{session: s}
	k.timer = time.AfterFunc(p.idle, func() { p.tooLong(k) })
	p.kept = append(p.kept, k)
}

// tooLong ends a session that rested as long as it may.
func (p *pool) tooLong(k *kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.kept {
		if p.kept[i] == k {
			p.kept = append(p.kept[:i], p.kept[i+1:]...)
			break
		}
	}
	p.endLocked(k.session)
}

func (p *pool) end(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked(s)
}

// endLocked leaves a session without making anyone wait for its farewell.
func (p *pool) endLocked(s *session) {
	p.ending.Add(1)
	go func() {
		defer p.ending.Done()
		s.leave()
	}()
}

// close ends all kept sessions and lends no more.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, k := range p.kept {
		if k.timer.Stop() {
			p.endLocked(k.session)
		}
	}
	p.kept = nil
	p.mu.Unlock()
	p.ending.Wait()
}

// sameWay tells whether two candidates are the same way in, whatever address
// they were reached at.
func sameWay(a, b explain.Candidate) bool {
	return a.Host == b.Host && a.Port == b.Port && a.TLS == b.TLS
}
