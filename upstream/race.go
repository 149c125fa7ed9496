package upstream

import (
	"context"
	"fmt"
	"os"
	"time"

	"kurir/upstream/explain"
)

// An entrant is one candidate in a race.
type entrant struct {
	candidate explain.Candidate
	progress  progress
	session   *session
	failure   *explain.Failure
	ended     bool
}

// race starts the candidates one after the other, the next when the one
// before has failed or taken FallbackAfter, and returns the first session
// that is ready; of those ready at the same moment, the earlier candidate's.
// left says why the candidates before the winner were left.
func (r *route) race(ctx context.Context, order []explain.Candidate) (winner *session, left []*explain.Failure, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		entrants = make([]*entrant, len(order))
		results  = make(chan *entrant, len(order))
		started  int
	)
	start := func() {
		e := &entrant{candidate: order[started]}
		entrants[started] = e
		started++
		r.leaving.Add(1)
		go func() {
			defer r.leaving.Done()
			e.session, e.failure = open(ctx, r.o, e.candidate, &e.progress)
			results <- e
		}()
	}
	defer func() {
		cancel()
		r.leaveLosers(entrants[:started], results, winner)
	}()

	start()
	patience := time.NewTimer(r.o.FallbackAfter)
	defer patience.Stop()
	for ended := 0; ; {
		outOfPatience := false
		select {
		case e := <-results:
			e.ended = true
			ended++
		case <-patience.C:
			outOfPatience = true
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // what failed now, failed because of that
			return nil, nil, context.Cause(ctx)
		}
		for len(results) > 0 {
			e := <-results
			e.ended = true
			ended++
		}
		for i, e := range entrants[:started] {
			if e.ended && e.session != nil {
				return e.session, r.leftBehind(entrants[:i]), nil
			}
		}
		if started < len(order) && (outOfPatience || entrants[started-1].ended) {
			start()
			patience.Reset(r.o.FallbackAfter)
		} else if ended == len(order) {
			return nil, nil, explain.Whole(r.leftBehind(entrants))
		}
	}
}

// leftBehind are the failures of entrants that did not win, those included
// that had not come to an end.
func (r *route) leftBehind(entrants []*entrant) []*explain.Failure {
	var failures []*explain.Failure
	for _, e := range entrants {
		if e.ended {
			failures = append(failures, e.failure)
			continue
		}
		cause, stage := explain.ConnectTimeout, e.progress.stage()
		if stage == explain.StageDNS {
			cause = explain.DNSFailure
		}
		failures = append(failures, explain.Explain(explain.Failure{
			Cause: cause, Stage: stage,
			Candidate: e.candidate, Provider: r.o.provider.Name,
			Err: fmt.Errorf("not ready after %s: %w", r.o.FallbackAfter, os.ErrDeadlineExceeded),
		}))
	}
	return failures
}

// leaveLosers waits, in the background, for all that are still under way and
// says farewell to those that were ready too.
func (r *route) leaveLosers(entrants []*entrant, results <-chan *entrant, winner *session) {
	pending := 0
	for _, e := range entrants {
		if !e.ended {
			pending++
		} else if e.session != nil && e.session != winner {
			r.leave(e.session)
		}
	}
	r.leaving.Add(1)
	go func() {
		defer r.leaving.Done()
		for ; pending > 0; pending-- {
			if e := <-results; e.session != nil {
				e.session.leave()
			}
		}
	}()
}

func (r *route) leave(s *session) {
	r.leaving.Add(1)
	go func() {
		defer r.leaving.Done()
		s.leave()
	}()
}
