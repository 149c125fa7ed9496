package upstream

import (
	"slices"
	"sync"
	"time"

	"kurir/upstream/explain"
)

// progress is how far a session has come and how long each step took, for
// whoever waits for it. Its methods may be called from any goroutine, and on
// nil, where nobody does.
type progress struct {
	mu    sync.Mutex
	steps []Step
	since time.Time // the last step began; zero when it has ended
}

// at begins a step, which ends the one before.
func (p *progress) at(stage explain.Stage) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin(stage)
}

// dialling begins StageConnect, once: addresses are dialled side by side.
func (p *progress) dialling() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.steps); n > 0 && p.steps[n-1].Stage == explain.StageDNS {
		p.begin(explain.StageConnect)
	}
}

func (p *progress) begin(stage explain.Stage) {
	if n := len(p.steps); n > 0 && !p.since.IsZero() {
		if p.steps[n-1].Stage == stage {
			return
		}
		p.steps[n-1].Elapsed = time.Since(p.since)
	}
	p.steps, p.since = append(p.steps, Step{Stage: stage}), time.Now()
}

// rest ends the last step: what follows is waiting for others.
func (p *progress) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.steps); n > 0 && !p.since.IsZero() {
		p.steps[n-1].Elapsed, p.since = time.Since(p.since), time.Time{}
	}
}

// stage is the step under way, StageDNS before the first.
func (p *progress) stage() explain.Stage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.steps); n > 0 {
		return p.steps[n-1].Stage
	}
	return explain.StageDNS
}

func (p *progress) passed() []Step {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.steps)
}
