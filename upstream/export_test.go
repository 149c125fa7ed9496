package upstream

import (
	"net"
	"testing"
	"time"
)

// WithResolver returns o with names looked up by r.
func WithResolver(o Options, r *net.Resolver) Options {
	o.resolver = r
	return o
}

// Hurry has clients wait no longer than a moment for a server that says
// nothing from the start, until the test is over.
func Hurry(t *testing.T) {
	before := timeouts
	t.Cleanup(func() { timeouts = before })
	timeouts.greeting, timeouts.tls = 200*time.Millisecond, 200*time.Millisecond
}

// Dawdle has clients wait for ever for the answer to RSET, until the test is
// over.
func Dawdle(t *testing.T) {
	before := timeouts
	t.Cleanup(func() { timeouts = before })
	timeouts.rset = 24 * time.Hour
}
