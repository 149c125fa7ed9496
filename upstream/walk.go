package upstream

import (
	"context"
	"crypto/tls"
	"maps"
	"sync"
	"time"

	"kurir/upstream/explain"
)

// RenewalTime is how long before the end of a certificate a person is told to
// renew it: one that renews itself has been renewed by then.
const RenewalTime = 14 * 24 * time.Hour

// A Step is one stage that a session has passed, or ended at.
type Step struct {
	Stage   explain.Stage
	Elapsed time.Duration
}

// A Walked is what one candidate was like when it was walked.
type Walked struct {
	Candidate explain.Candidate

	// Steps are the stages in the order in which they were passed; EHLO is
	// there twice with STARTTLS. The last one is that of Failure, if there is one.
	Steps []Step

	// Failure is why the candidate could not be used; nil if it was ready,
	// and signed in where SignedIn says so.
	Failure  *explain.Failure
	SignedIn bool

	TLS        *tls.ConnectionState // nil without a handshake that succeeded
	Extensions map[string]string    // the EHLO keywords in upper case with their parameters; behind TLS only
}

// Walk walks every candidate to the end of its handshake, all side by side
// and also when the first one works, and signs in once, over the one that a
// first delivery would most likely choose: the first that is ready, where
// FallbackAfter bounds the wait for those before it. Only if that one breaks off without an
// answer to AUTH is the next one used. All sessions are left with QUIT; no
// mail is sent and nothing is remembered. The results are in the order of the
// candidates. When ctx ends, what is not ready yet has failed because of that.
func (h *SmartHost) Walk(ctx context.Context) []Walked {
	var (
		walkers = make([]*walker, len(h.o.Candidates))
		results = make(chan *walker, len(walkers))
		leaving sync.WaitGroup
	)
	for i, c := range h.o.Candidates {
		w := &walker{session: newSession(&h.o, c, new(progress))}
		walkers[i] = w
		leaving.Go(func() {
			w.failure = w.session.open(ctx)
			w.ready = w.failure == nil
			w.session.progress.rest()
			results <- w
		})
	}
	patience := time.NewTimer(h.o.FallbackAfter)
	defer patience.Stop()
	outOfPatience := false
	chosen := !h.o.signsIn() // nothing to sign in with
	for pending := len(walkers); pending > 0; {
		select {
		case w := <-results:
			w.ended = true
			pending--
		case <-patience.C:
			outOfPatience = true
		}
		for w := next(walkers, outOfPatience); w != nil && !chosen; w = next(walkers, outOfPatience) {
			w.failure = w.session.authenticate(ctx)
			w.session.progress.rest()
			w.signedIn = w.failure == nil
			chosen = w.signedIn || !w.failure.Elsewhere() || ctx.Err() != nil
		}
	}
	for _, w := range walkers {
		if w.ready {
			leaving.Go(w.session.leave)
		}
	}
	leaving.Wait()
	walked := make([]Walked, len(walkers))
	for i, w := range walkers {
		walked[i] = w.walked()
	}
	return walked
}

// next is the first walker that is ready. Those before it have failed, or
// have taken longer than anyone waits for them.
func next(walkers []*walker, outOfPatience bool) *walker {
	for _, w := range walkers {
		switch {
		case w.ended && w.failure == nil:
			return w
		case !w.ended && !outOfPatience:
			return nil
		}
	}
	return nil
}

// A walker is one candidate on its walk.
type walker struct {
	session  *session
	failure  *explain.Failure
	ended    bool // the fields above and below belong to Walk now
	ready    bool // the handshake succeeded, so that there is somebody to take leave of
	signedIn bool
}

func (w *walker) walked() Walked {
	s := w.session
	result := Walked{
		Candidate: s.candidate, Failure: w.failure, SignedIn: w.signedIn,
		Steps: s.progress.passed(),
	}
	if s.wire == nil {
		return result
	}
	if conn, ok := s.wire.conn.(*tls.Conn); ok {
		state := conn.ConnectionState()
		result.TLS, result.Extensions = &state, maps.Clone(s.extensions)
	}
	return result
}
