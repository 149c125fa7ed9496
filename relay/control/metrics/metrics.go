// Package metrics counts what happens to mail, for Prometheus.
//
// A Meter is told of each line of the log that is about mail, a route or the
// spool, and so has the same names as the log: event, cause, stage, upstream.
// It promises that its labels have only so many values: causes and stages are
// those of package explain, routes and ways in those of the configuration;
// nothing comes from an app or a server. How the queue and the routes are
// doing is found out when somebody asks.
//
// Read Meter first, then state.go.
package metrics

import (
	"bytes"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"kurir/relay/maillog"
	"kurir/relay/queue"
)

// Options of a meter.
type Options struct {
	Version string // told as it is
}

// A Meter counts. It has a registry of its own, so that several relays in one
// program do not count together. Its methods may be called from any goroutine.
type Meter struct {
	registry   *prometheus.Registry
	events     *prometheus.CounterVec
	deliveries *prometheus.HistogramVec
	answers    *prometheus.HistogramVec
}

// Both histograms reach from what a provider nearby needs to the longest that
// anybody waits for the final reply (RFC 5321, section 4.5.3.2.6).
var seconds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600}

// New makes a meter in which nothing has happened.
func New(o Options) *Meter {
	m := &Meter{
		registry: prometheus.NewRegistry(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kurir_events_total",
			Help: "Lines of the log by event; cause, stage, upstream and tls are empty where there is none.",
		}, []string{"event", "cause", "stage", "upstream", "tls"}),
		deliveries: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kurir_delivery_seconds", Buckets: seconds,
			Help: "How long a delivery took that the provider accepted, by the way in.",
		}, []string{"upstream", "tls"}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kurir_answer_seconds", Buckets: seconds,
			Help: "How long an app waited for the reply to its final dot, by the class of the reply.",
		}, []string{"class"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kurir_build_info", Help: "1; its labels say what runs.",
		ConstLabels: prometheus.Labels{"version": o.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.events, m.deliveries, m.answers, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Count counts one line of the log.
func (m *Meter) Count(c maillog.Count) {
	upstream := ""
	if c.Candidate.Host != "" {
		upstream = c.Candidate.HostPort()
	}
	m.events.WithLabelValues(c.Event, string(c.Cause), string(c.Stage), upstream, string(c.Candidate.TLS)).Inc()
	if c.Event == "delivery.sent" {
		m.deliveries.WithLabelValues(upstream, string(c.Candidate.TLS)).Observe(c.Elapsed.Seconds())
	}
}

// Answered counts the reply to an app's final dot, and how long the app waited
// for it.
func (m *Meter) Answered(a queue.Answer, took time.Duration) {
	class := "4xx"
	switch a.Code / 100 {
	case 2:
		class = "2xx"
	case 5:
		class = "5xx"
	}
	m.answers.WithLabelValues(class).Observe(took.Seconds())
}

// Handler answers scrapes, in the text format that every Prometheus reads. What
// cannot be found out is left out of the answer.
func (m *Meter) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		families, _ := m.registry.Gather() // what it has is good, whatever else failed
		var b bytes.Buffer
		for _, f := range families {
			_, _ = expfmt.MetricFamilyToText(&b, f)
		}
		w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
		_, _ = b.WriteTo(w) // who asked has gone, if this fails
	})
}
