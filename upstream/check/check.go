// Package check looks at a smart host as a delivery would meet it, and says
// what it saw: names and addresses, every candidate step by step with its
// times, certificate and offers, and whether mail would go out.
//
// It promises to sign in once, once more for a test mail, but never again with
// a password that was just refused, and to send nothing unless it is asked to.
// It speaks no SMTP of its own: SmartHost.Walk and SmartHost.Deliver do, and
// package explain has the words. A Report holds no password, and of what a
// server says no more than a person would read.
//
// Reading order: Run and Report here, then candidate.go (what one way in is
// like), and send.go (the test mail).
package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"kurir/upstream"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// lookupTime bounds the look at the name; the walk has its own deadlines.
const lookupTime = 10 * time.Second

// Options of a check.
type Options struct {
	// Upstreams are the smart hosts. Their StateFile and Selected are not used,
	// so that a check does not change what a relay has learned.
	Upstreams []upstream.Options

	// Send is the forward-path of a test mail, of which each smart host gets
	// one; "" = none is sent.
	Send envelope.Path

	// Language is that of the explanations; "" is English.
	Language explain.Language
}

// A Report is what a check saw. Its JSON form is the output for scripts.
type Report struct {
	Host       string      `json:"host"`
	OK         bool        `json:"ok"` // mail would go out, and the test mail did if there was one
	Names      Names       `json:"dns"`
	Candidates []Candidate `json:"candidates"`

	// Way is the candidate that mail would go out over; nil if there is none.
	Way *explain.Candidate `json:"way,omitempty"`

	// Trouble speaks for all candidates, or is why the test mail was not taken.
	Trouble *explain.Told `json:"failure,omitempty"`

	Sent *Sent `json:"sent,omitempty"` // nil unless a test mail was accepted

	// ClockSuspect tells that every certificate that was seen is out of its dates,
	// as it is when the clock of this machine is wrong.
	ClockSuspect bool `json:"clock_suspect,omitempty"`
}

// Names is what the host name leads to.
type Names struct {
	Addresses []string `json:"addresses"`
	ElapsedMS float64  `json:"elapsed_ms"`

	// LoopbackOnly tells that the name leads to this machine and nowhere else.
	LoopbackOnly bool `json:"loopback_only,omitempty"`
}

// Run checks smart hosts one after the other, and reports in their order. An
// error means that the options are faulty, which is told before anything is
// asked of the network; what is wrong with a smart host stands in its report.
// When ctx ends, whatever is under way has failed because of that.
func Run(ctx context.Context, o Options) ([]*Report, error) {
	hosts := make([]*upstream.SmartHost, len(o.Upstreams))
	for i, u := range o.Upstreams {
		var err error
		if hosts[i], err = newHost(u); err != nil {
			return nil, fmt.Errorf("upstream %s: %w", u.Name(), err)
		}
	}
	reports := make([]*Report, len(hosts))
	refused := map[account]*explain.Failure{}
	for i, host := range hosts {
		reports[i] = o.run(ctx, host, o.Upstreams[i], refused)
	}
	return reports, nil
}

func newHost(u upstream.Options) (*upstream.SmartHost, error) {
	u.StateFile, u.Selected = "", nil
	return upstream.New(u)
}

// An account is what a login is refused to, whichever way in it takes.
type account struct{ host, username, password string }

// run checks one smart host. The accounts that were refused are not signed in
// to again, and those that are now join them.
func (o *Options) run(ctx context.Context, host *upstream.SmartHost, u upstream.Options, refused map[account]*explain.Failure) *Report {
	a := account{strings.ToLower(strings.TrimSuffix(host.Name(), ".")), u.Username, u.Password}
	before := refused[a]
	if before != nil {
		u.Username, u.Password = "", "" // walk, but do not sign in
		host, _ = newHost(u)            // the same options were good with them
	}
	r := &Report{Host: host.Name()}
	walked := host.Walk(ctx)
	for _, w := range walked {
		r.Candidates = append(r.Candidates, candidate(w, o.Language))
	}
	if len(walked) > 0 {
		r.Names = lookUp(ctx, walked[0].Candidate.Host)
	}
	f := before
	if f == nil {
		f = r.judge(walked, u.Username != "")
	}
	if f == nil && o.Send != "" {
		r.Sent, f = send(ctx, host, sender(u.Username, o.Send), o.Send)
	}
	if f != nil {
		r.Trouble = f.ToldIn(o.Language)
	}
	if f != nil && f.Stage == explain.StageAuth && f.Reply != nil {
		refused[a] = f
	}
	r.OK = f == nil
	return r
}

// judge finds the way that mail would go, or the failure that speaks for all.
func (r *Report) judge(walked []upstream.Walked, login bool) *explain.Failure {
	var failures []*explain.Failure
	for _, w := range walked {
		switch {
		case w.SignedIn, w.Failure == nil && !login:
			r.Way = &w.Candidate
			return nil
		case w.Failure != nil && !w.Failure.Elsewhere():
			return w.Failure // the same account everywhere
		case w.Failure != nil:
			failures = append(failures, w.Failure)
		}
	}
	whole := explain.Whole(failures)
	r.ClockSuspect = outOfDate(failures)
	return whole
}

// outOfDate tells that certificates were seen, and that none was valid now.
func outOfDate(failures []*explain.Failure) bool {
	seen := false
	for _, f := range failures {
		switch f.Cause {
		case explain.TLSCertificateExpired:
			seen = true
		case explain.TLSCertificateName, explain.TLSCertificateUntrusted, explain.AuthMechanism:
			return false
		}
	}
	return seen
}

// lookUp asks for the addresses of a name, as the dialling before did. Its
// failure is not told: the candidates have met the same.
func lookUp(ctx context.Context, name string) Names {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	began := time.Now()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	n := Names{Addresses: []string{}, ElapsedMS: milliseconds(time.Since(began))}
	if err != nil {
		return n
	}
	n.LoopbackOnly = len(found) > 0
	for _, a := range found {
		a = a.Unmap()
		n.Addresses = append(n.Addresses, a.String())
		n.LoopbackOnly = n.LoopbackOnly && isLoopback(a)
	}
	return n
}

func isLoopback(a netip.Addr) bool { return a.IsLoopback() || a.IsUnspecified() }

// milliseconds is a time to the tenth of a millisecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond).Microseconds()) / 1000
}
