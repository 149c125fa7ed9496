package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kurir/relay/control"
	"kurir/relay/queue"
)

// A State tells how a relay is doing now. Its functions are called at each
// scrape, by several goroutines at once.
type State struct {
	Routes func() []queue.RouteState
	Usage  func() (messages int, bytes int64) // of the spool
	Ready  func() error                       // why no mail is taken; nil if it is
	Ends   func() []control.End
}

// Watch has the state told at each scrape from now on. It is called once.
func (m *Meter) Watch(s State) { m.registry.MustRegister(watcher{s}) }

type watcher struct{ State }

func description(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	ready    = description("kurir_ready", "1 if mail is taken from apps.")
	messages = description("kurir_spool_messages", "Messages in the spool that wait or are under way.")
	octets   = description("kurir_spool_bytes", "Octets of their content.")
	waiting  = description("kurir_queue_messages", "Messages that wait, without those under way, by route.", "route")
	age      = description("kurir_queue_oldest_seconds", "How long the oldest of them has been waiting; 0 if there is none.", "route")
	state    = description("kurir_route_state", "1 for the state that the route is in: open, down (it will pass) or held (a person must act).", "route", "state")
	trouble  = description("kurir_route_trouble", "1 for the cause that keeps a route from being open; nothing for open routes.", "route", "cause")
	since    = description("kurir_route_trouble_start_timestamp_seconds", "When that began.", "route")
	begin    = description("kurir_valid_since_timestamp_seconds", "Since when our certificates and tokens are valid, by the key of the configuration.", "what")
	end      = description("kurir_valid_until_timestamp_seconds", "When the first of our certificates or tokens is no longer valid, by the key of the configuration.", "what")
)

func (watcher) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ready, messages, octets, waiting, age, state, trouble, since, begin, end} {
		to <- d
	}
}

func (w watcher) Collect(to chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	number := map[bool]float64{true: 1}
	tell(ready, number[w.Ready() == nil])
	n, size := w.Usage()
	tell(messages, float64(n))
	tell(octets, float64(size))
	told := make(map[string]bool) // two routes may have the same name
	for _, r := range w.Routes() {
		if told[r.Name] {
			continue
		}
		told[r.Name] = true
		tell(waiting, float64(r.Waiting), r.Name)
		var oldest time.Duration
		if !r.Oldest.IsZero() {
			oldest = time.Since(r.Oldest)
		}
		tell(age, oldest.Seconds(), r.Name)
		for _, s := range []string{"open", "down", "held"} {
			tell(state, number[s == r.Condition], r.Name, s)
		}
		if r.Trouble != nil {
			tell(trouble, 1, r.Name, string(r.Trouble.Cause))
			tell(since, float64(r.Since.Unix()), r.Name)
		}
	}
	// Whose they are is nobody's business here; of several the first to end counts.
	first := make(map[string]control.End)
	for _, e := range w.Ends() {
		if known, ok := first[e.What]; !ok || e.Until.Before(known.Until) {
			first[e.What] = e
		}
	}
	for what, e := range first {
		tell(begin, float64(e.Since.Unix()), what)
		tell(end, float64(e.Until.Unix()), what)
	}
}
