package notice_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kurir/relay/maillog"
	"kurir/relay/notice"
	"kurir/relay/queue"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A message is what a webhook gets.
type message struct {
	Host, Version, Text string
	Time                time.Time
	Events              []event
	Omitted             int
}

type event struct {
	Time                             time.Time
	Event, ID, From, Route, Upstream string
	To                               []string
	Stage, Cause, Enhanced           string
	Reply, Error, Explanation, Fix   string
	Code, Waiting, Count, Elapsed_ms int
}

// names are the events of a message in short.
func (m message) names() string {
	var all []string
	for _, e := range m.Events {
		all = append(all, fmt.Sprintf("%s×%d", e.Event, e.Count))
	}
	return strings.Join(all, " ")
}

// A hook is a webhook that needs no network.
type hook struct {
	URL string

	mu     sync.Mutex
	status int // of its answers
	tries  int
	got    []message // those that it took
	header http.Header
}

func newHook() *hook {
	return &hook{URL: "https://hooks.example.com/secret", status: http.StatusOK}
}

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries++
	var m message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	h.header = r.Header
	w.WriteHeader(h.status)
	if h.status == http.StatusOK {
		h.got = append(h.got, m)
	}
}

// answer changes what it says, and tells how often it was asked so far.
func (h *hook) answer(status int) (tries int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
	return h.tries
}

// take returns what it got since the last time.
func (h *hook) take() []message {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.got
	h.got = nil
	return got
}

// one is take where there must be one.
func (h *hook) one(t *testing.T) message {
	t.Helper()
	got := h.take()
	if len(got) != 1 {
		t.Fatalf("%d notices, want 1", len(got))
	}
	return got[0]
}

// A journal is a log that can be read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func options(j *journal, s notice.Settings) notice.Options {
	return notice.Options{
		Settings: s, Host: "relay.example.com", Version: "1.2.3",
		Log:    maillog.New(j, maillog.Options{Level: "info", Format: "json"}),
		Routes: func() []queue.RouteState { return nil },
	}
}

// running runs a notifier until the test ends, and waits for it.
func running(t *testing.T, h *hook, o notice.Options) (*notice.Notifier, *maillog.Log) {
	n := notice.New(o)
	n.Through(h)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return n, o.Log.Telling(n.Tell)
}

// pass lets time go by in a bubble, until all is quiet.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func held() *explain.Failure {
	return explain.Explain(explain.Failure{
		Stage:     explain.StageAuth,
		Candidate: explain.Candidate{Host: "smtp.example.com", Port: 587, TLS: explain.STARTTLS},
		Reply:     explain.NewReply(535, []string{"5.7.8 Username and Password not accepted"}),
	})
}

func refused(to string) (maillog.Mail, *explain.Failure) {
	return maillog.Mail{ID: "6h0b", From: "app@example.com", To: []envelope.Recipient{{To: envelope.Path(to)}}},
		explain.Explain(explain.Failure{
			Stage: explain.StageRcpt, Recipient: envelope.Path(to),
			Candidate: explain.Candidate{Host: "smtp.example.com", Port: 587, TLS: explain.STARTTLS},
			Reply:     explain.NewReply(550, []string{"5.1.1 no such user"}),
		})
}

// The operator hears of trouble within seconds, of what follows at most once
// in a while, and of the same thing once, with a count.
func TestGatheredAndLimited(t *testing.T) {
	h := newHook()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		_, log := running(t, h, options(&j, notice.Settings{Webhook: h.URL, Every: 15 * time.Minute}))
		log.RouteHeld("smtp.example.com", held(), time.Time{}, 3)
		pass(2 * time.Second)
		log.Failed(refused("a@example.org"))
		log.GivenUp(maillog.Mail{ID: "x"}, held(), time.Hour)
		log.Failed(refused("b@example.org"))
		if got := h.take(); len(got) > 0 {
			t.Error("not gathered:", got)
		}
		pass(4 * time.Second)
		m := h.one(t)
		if m.names() != "upstream.held×1 delivery.failed×2 delivery.failed×1" || m.Omitted != 0 {
			t.Error(m.names())
		}
		if m.Host != "relay.example.com" || m.Version != "1.2.3" || m.Time.IsZero() || h.header.Get("User-Agent") != "Kurir/1.2.3" || h.header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v, sent with %v", m, h.header)
		}
		e := m.Events[0]
		if e.Route != "smtp.example.com" || e.Upstream != "smtp.example.com:587" || e.Stage != "auth" || e.Cause != "auth.rejected" || e.Code != 535 ||
			e.Enhanced != "5.7.8" || e.Reply != "535 5.7.8 Username and Password not accepted" || e.Waiting != 3 || e.Explanation == "" || e.Fix == "" || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
		if e = m.Events[1]; e.ID != "6h0b" || e.From != "app@example.com" || e.To[0] != "a@example.org" || e.Cause != "recipient.unknown" {
			t.Errorf("%+v", e)
		}

		for range 10 {
			pass(time.Minute)
			log.Failed(refused("c@example.org"))
		}
		if got := h.take(); len(got) > 0 {
			t.Error("not limited:", got)
		}
		log.Recovered("smtp.example.com", held(), 10*time.Minute, 3)
		pass(5 * time.Minute)
		if m = h.one(t); m.names() != "delivery.failed×10 upstream.recovered×1" {
			t.Error(m.names())
		}
		pass(24 * time.Hour)
		if got := h.take(); len(got) > 0 {
			t.Error("without an event:", got)
		}
		if n := strings.Count(j.String(), `"event":"notice.sent"`); n != 2 {
			t.Errorf("%d notices in the log, want 2: %s", n, j.String())
		}
	})
}

// When mail is in trouble the network often is: what could not be told is told
// later, first things first. What the webhook refuses for good it would refuse
// for ever.
func TestKeptUntilTaken(t *testing.T) {
	h := newHook()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		n, log := running(t, h, options(&j, notice.Settings{Webhook: h.URL, Every: time.Hour}))
		h.answer(http.StatusServiceUnavailable)
		log.RouteHeld("smtp.example.com", held(), time.Time{}, 3)
		pass(time.Minute)
		if tries := h.answer(http.StatusOK); tries != 3 {
			t.Errorf("%d tries, want 3", tries)
		}
		log.Failed(refused("a@example.org"))
		pass(time.Hour)
		if m := h.one(t); m.names() != "upstream.held×1 delivery.failed×1" {
			t.Error(m.names())
		}

		h.answer(http.StatusNotFound)
		log.Failed(refused("a@example.org"))
		pass(2 * time.Hour)
		if tries := h.answer(http.StatusOK); tries != 5 {
			t.Errorf("%d tries, want 5", tries)
		}
		pass(2 * time.Hour)
		if got := h.take(); len(got) > 0 {
			t.Error("refused, and sent again:", got)
		}

		// A webhook that was put right is told at once.
		h.answer(http.StatusBadGateway)
		log.Failed(refused("a@example.org"))
		pass(time.Minute)
		h.answer(http.StatusOK)
		n.Configure(notice.Settings{Webhook: h.URL + "/other", Every: time.Hour})
		pass(time.Second)
		if m := h.one(t); m.names() != "delivery.failed×1" {
			t.Error(m.names())
		}
		for _, want := range []string{`"error":"the answer was 503 Service Unavailable"`, `"error":"the answer was 404 Not Found"`, `"again":true`, `"again":false`} {
			if !strings.Contains(j.String(), want) {
				t.Errorf("the log lacks %s: %s", want, j.String())
			}
		}
	})
}

// Whoever sent a thousand mails to nobody gets one notice of bounded size,
// and the relay never waits for it.
func TestBounded(t *testing.T) {
	h := newHook()
	var j journal
	o := options(&j, notice.Settings{Webhook: h.URL, Every: time.Hour})
	n := notice.New(o)
	n.Through(h)
	log := o.Log.Telling(n.Tell)
	for i := range 1000 {
		m, f := refused("a@example.org")
		f.Candidate.Port = 1 + i%300
		f.Reply, f.Err = nil, errors.New(strings.Repeat("no ", 1000))
		m.To = make([]envelope.Recipient, 1000)
		log.Failed(m, f)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	n.Run(ended)
	m := h.one(t)
	told := m.Omitted
	for _, e := range m.Events {
		told += e.Count
		if len(e.To) != 20 || len(e.Error) != 2000 {
			t.Fatalf("%d recipients, %d bytes of error", len(e.To), len(e.Error))
		}
	}
	if len(m.Events) != 100 || told != 1000 || len(m.Text) > 10_000 {
		t.Errorf("%d events of %d, %d bytes of text", len(m.Events), told, len(m.Text))
	}
}

// That mail waits for over an hour is told once until it is better, and not of
// what waits because the route is held.
func TestQueueAge(t *testing.T) {
	h := newHook()
	synctest.Test(t, func(t *testing.T) {
		var (
			j     journal
			mu    sync.Mutex
			state = queue.RouteState{Name: "smtp.example.com", Condition: "open"}
		)
		set := func(condition string, oldest time.Time) {
			mu.Lock()
			defer mu.Unlock()
			state.Condition, state.Oldest, state.Waiting = condition, oldest, 7
		}
		o := options(&j, notice.Settings{Webhook: h.URL, Every: time.Second})
		o.Routes = func() []queue.RouteState {
			mu.Lock()
			defer mu.Unlock()
			return []queue.RouteState{state}
		}
		running(t, h, o)
		pass(3 * time.Hour) // nothing waits
		set("open", time.Now())
		pass(time.Hour - time.Minute)
		if got := h.take(); len(got) > 0 {
			t.Error("too early:", got)
		}
		pass(10 * time.Minute)
		m := h.one(t)
		e := m.Events[0]
		if m.names() != "queue.age×1" || e.Waiting != 7 || e.Explanation != "Mail over smtp.example.com has been waiting for 1h1m, 7 in all." || e.Fix == "" {
			t.Errorf("%+v", m)
		}
		set("open", time.Now())
		pass(5 * time.Minute)
		set("held", time.Now().Add(-5*time.Hour))
		pass(5 * time.Minute)
		set("open", time.Now().Add(-5*time.Hour)) // it recovers, and works off what was held
		pass(5 * time.Minute)
		if got := h.take(); len(got) > 0 {
			t.Error("told again, or of a held route:", got)
		}
		set("open", time.Time{})
		pass(5 * time.Minute)
		set("down", time.Now().Add(-2*time.Hour))
		mu.Lock()
		state.Trouble = explain.Explain(explain.Failure{Cause: explain.ConnectTimeout, Stage: explain.StageConnect})
		mu.Unlock()
		pass(5 * time.Minute)
		if e := h.one(t).Events[0]; e.Event != "queue.age" || e.Cause != "connect.timeout" {
			t.Errorf("%+v", e)
		}
	})
}

// That mail flows again is news only to who was told that it does not.
func TestRecovered(t *testing.T) {
	h := newHook()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		_, log := running(t, h, options(&j, notice.Settings{Webhook: h.URL, Every: time.Second}))
		log.Recovered("smtp.example.com", held(), time.Second, 0)
		pass(time.Minute)
		if got := h.take(); len(got) > 0 {
			t.Error("of a trouble nobody was told of:", got)
		}
		for range 2 {
			log.RouteHeld("smtp.example.com", held(), time.Time{}, 1)
			log.Recovered("smtp.example.com", held(), 90*time.Minute, 1)
		}
		pass(time.Minute)
		m := h.one(t)
		if m.names() != "upstream.held×1 upstream.recovered×1 upstream.held×1 upstream.recovered×1" {
			t.Error(m.names())
		}
		if e := m.Events[1]; e.Explanation != "Mail over smtp.example.com flows again, after 1h30m." || e.Cause != "auth.rejected" || e.Elapsed_ms != 5_400_000 || e.Reply != "" {
			t.Errorf("%+v", e)
		}
	})
}
