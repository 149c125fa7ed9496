package token

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"kurir/upstream/explain"
)

const (
	aheadOfNeed = 10 * time.Minute // some providers refuse a token that ends soon
	tooLate     = 10 * time.Second // a token on its way must arrive before its end
	unknownLife = 30 * time.Minute // of a token that does not say how long it lives

	// How long a request may take, and how long when there is a good token and
	// somebody waits with it; commands are given ten seconds.
	requestTime = 20 * time.Second
	aheadTime   = 11 * time.Second

	firstPause  = 5 * time.Second
	longestWait = 5 * time.Minute
	forcedEvery = time.Minute
)

// A Source gives the tokens of one account. Its methods may be called from any
// goroutine.
type Source struct {
	account string
	log     Log
	renew   func(ctx context.Context, old access) (access, error)
	failure func(error) *explain.Failure

	busy chan struct{} // holds one while a token is being renewed

	mu       sync.Mutex
	now      access
	refused  string    // the token that is of no use, whatever its end is
	forced   time.Time // when a refusal last led to a renewal
	failed   *explain.Failure
	failures int       // one after the other
	next     time.Time // no request before
}

// An access is an access token with its life.
type access struct {
	token    string
	got, end time.Time
	kept     bool // it was found in the file
}

func newSource(account string, log Log) *Source {
	return &Source{account: account, log: log, busy: make(chan struct{}, 1)}
}

// fresh tells that the token need not be renewed yet.
func (a access) fresh(now time.Time) bool {
	return a.token != "" && a.end.Sub(now) > min(aheadOfNeed, a.end.Sub(a.got)/2)
}

// good tells that the token can be used.
func (a access) good(now time.Time) bool { return a.token != "" && a.end.Sub(now) > tooLate }

// An answer is what Token can say at once: a good token or a failure; renew
// tells that a request comes first.
type answer struct {
	token string
	err   error
	renew bool
}

func (s *Source) answer() answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	usable := s.now.token != s.refused
	a := answer{}
	if usable && s.now.good(now) {
		a.token = s.now.token
	}
	switch {
	case usable && s.now.fresh(now):
		a.token = s.now.token
	case !now.Before(s.next):
		a.renew = true
	case a.token == "" && s.failed != nil:
		a.err = copyOf(s.failed)
	}
	return a
}

// Life is when the present token was got and when it ends; zero without one.
func (s *Source) Life() (got, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.got, s.now.end
}

// Token gives a token that is good for some minutes. It is nearly always at
// hand; otherwise one caller asks for a new one, and the others wait for it or
// for the end of ctx. Its error is an *explain.Failure at explain.StageAuth,
// which belongs to the caller.
func (s *Source) Token(ctx context.Context) (string, error) {
	a := s.answer()
	if !a.renew {
		return a.token, a.err
	}
	if a.token != "" {
		select {
		case s.busy <- struct{}{}:
		default:
			return a.token, nil // somebody renews it already
		}
	} else {
		select {
		case s.busy <- struct{}{}:
		case <-ctx.Done():
			return "", s.failure(context.Cause(ctx))
		}
	}
	defer func() { <-s.busy }()
	if a = s.answer(); !a.renew {
		return a.token, a.err
	}
	return s.get(ctx, a.token)
}

// get renews the token; old is one that is good, "" if there is none. The
// caller holds busy.
func (s *Source) get(ctx context.Context, old string) (string, error) {
	limit := requestTime
	if old != "" {
		limit = aheadTime
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.mu.Lock()
	before := s.now
	if before.token == s.refused {
		before.end = time.Time{}
	}
	s.mu.Unlock()
	got, err := s.renew(limited, before)
	if err == nil {
		s.settle(got)
		return got.token, nil
	}
	f := s.failure(err)
	if errors.Is(ctx.Err(), context.Canceled) {
		return "", f // nobody waits any more, which says nothing of the provider
	}
	good := s.note(f, err)
	if !good.IsZero() {
		return old, nil
	}
	return "", copyOf(f)
}

// copyOf is a failure that its receiver may add to; the last one is told to
// many.
func copyOf(f *explain.Failure) *explain.Failure {
	own := *f
	own.Facts = slices.Clone(f.Facts)
	return &own
}

// settle takes a new token.
func (s *Source) settle(got access) {
	s.mu.Lock()
	s.now, s.failed, s.failures, s.next = got, nil, 0, time.Time{}
	s.mu.Unlock()
	if s.log != nil && !got.kept {
		s.log.TokenRefreshed(s.account, got.end)
	}
}

// note takes a failure, and gives the end of the token that can be used
// nevertheless, zero if there is none.
func (s *Source) note(f *explain.Failure, err error) (good time.Time) {
	s.mu.Lock()
	now := time.Now()
	pause := firstPause << min(s.failures, 10)
	if told, ok := errors.AsType[*Error](err); ok {
		pause = max(pause, told.RetryAfter)
	}
	s.failed, s.failures, s.next = f, s.failures+1, now.Add(min(pause, longestWait))
	if s.now.token != s.refused && s.now.good(now) {
		good = s.now.end
	}
	next := s.next
	s.mu.Unlock()
	if s.log != nil {
		s.log.TokenFailed(s.account, f, next, good)
	}
	return good
}

// Refused tells that the provider refused a token, though it should be good:
// it was revoked, or a permission came after it. The next Token gets another
// one, unless that was so within the last minute.
func (s *Source) Refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if token == "" || token != s.now.token || token == s.refused || !s.forced.IsZero() && now.Sub(s.forced) < forcedEvery {
		return
	}
	s.refused, s.forced = token, now
}
