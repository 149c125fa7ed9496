package page_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kurir/relay/control"
	"kurir/relay/control/page"
	"kurir/relay/history"
	"kurir/relay/maillog"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "TOKEN"

// A relay is what a page is shown of, and what was done to it.
type relay struct {
	status  control.Status
	story   *control.Story
	records []history.Record
	ready   error

	done   []string
	failed error
}

func (r *relay) Status() (control.Status, error) { return r.status, nil }

func (r *relay) Show(id spool.ID) (*control.Story, error) {
	if r.story == nil || r.story.ID != id {
		return nil, spool.ErrNotFound
	}
	return r.story, nil
}

func (r *relay) List(control.Filter) iter.Seq2[control.Message, error] {
	return func(yield func(control.Message, error) bool) {
		if r.story != nil {
			yield(r.story.Message, nil)
		}
	}
}

func (r *relay) Recent(n int) ([]history.Record, error) {
	return r.records[:min(n, len(r.records))], nil
}

func (r *relay) Find(history.Query) iter.Seq2[history.Record, error] {
	return func(yield func(history.Record, error) bool) {
		for _, record := range r.records {
			if !yield(record, nil) {
				return
			}
		}
	}
}

func (r *relay) Story(string) ([]history.Record, error) { return r.records, nil }

func (r *relay) Hours(now time.Time, n int) ([]history.Hour, error) {
	hours := make([]history.Hour, n)
	for i := range hours {
		hours[i] = history.Hour{Start: now.Truncate(time.Hour).Add(time.Duration(i-n+1) * time.Hour), Sent: 100 * i, Failed: i % 2}
	}
	return hours, nil
}

func (r *relay) Routes() []queue.RouteState { return nil }
func (r *relay) Waiting() []queue.Waiting   { return nil }
func (r *relay) Flush() int                 { r.done = append(r.done, "flush"); return 1 }

func (r *relay) Retry(ids []spool.ID, told func(spool.ID, error)) {
	r.done = append(r.done, "retry "+ids[0].String())
	told(ids[0], r.failed)
}

func (r *relay) Drop(ids []spool.ID, told func(spool.ID, error)) {
	r.done = append(r.done, "drop "+ids[0].String())
	told(ids[0], r.failed)
}

func (r *relay) DropWaiting(ids []spool.ID, told func(spool.ID, error)) { r.Drop(ids, told) }
func (r *relay) DropFailed(ids []spool.ID, told func(spool.ID, error))  { r.Drop(ids, told) }

// hostile is what nobody may get into a page as more than text.
const hostile = `"><script>alert(1)</script>{{.Form}}` + "\x1b[2J\u202e"

// id of the message that waits in trouble has.
var id = spool.ID(1)

// trouble is a relay whose route is held, with one message whose every part is
// of somebody who means harm.
func trouble() *relay {
	t := &explain.Told{
		Cause: explain.SenderNotAllowed, Stage: explain.StageMail, Where: "smtp.example.com:587 STARTTLS",
		Reply: "550 secret@example.org " + hostile, Details: hostile,
		Explanation: explain.Explanation{Title: "secret@example.org may not send.", Meaning: hostile, Fix: hostile},
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	st := &spool.Stored{ID: id, MessageID: hostile, Received: now, Client: hostile, Envelope: envelope.Envelope{
		From: envelope.Path("secret@example.org" + hostile), To: []envelope.Recipient{{To: envelope.Path("secret@example.org" + hostile)}},
	}}
	return &relay{
		status: control.Status{
			Running: true, Version: "v1", Started: now, Waiting: 1, Bytes: 1234567, Oldest: now, Failed: 2, HTTP: "http://127.0.0.1/?token=" + token,
			Routes: []control.Route{
				{Name: "smtp.example.com", Condition: "held", Trouble: t, Since: now, Probe: now, Waiting: 1,
					Way: &control.Way{Candidate: "smtp.example.com:465 implicit TLS", Since: now, Left: []explain.Told{*t}}},
				{Name: "smtp.example.net", Condition: "open"},
			},
		},
		story: &control.Story{
			Message: control.Message{ID: id, State: control.Waiting, Route: "smtp.example.com", From: st.Envelope.From, To: []envelope.Path{st.Envelope.To[0].To}, Received: now, Due: now, Cause: hostile, Error: hostile},
			Trouble: t, Waiting: st,
		},
		records: []history.Record{{
			Time: now, Event: "delivery.held", ID: id.String(), MessageID: hostile, From: "secret@example.org" + hostile, To: []string{hostile, "secret@example.org"},
			Client: hostile, Upstream: hostile, TLS: hostile, Stage: hostile, Cause: hostile, Reply: hostile, Explanation: hostile, Fix: hostile,
			Subject: "secret@example.org" + hostile, Attempt: 2, Next: now, ElapsedMS: 12, Size: 100,
		}, {Time: now, Event: "delivery.transcript", ID: id.String(), Attempt: 2, Upstream: hostile, TLS: hostile, Transcript: []string{"S: 550 " + hostile}}},
	}
}

// A visit is a browser at a page of a relay.
type visit struct {
	*http.Client
	t    *testing.T
	base string
	log  *bytes.Buffer
}

func serve(t *testing.T, r *relay, language explain.Language) *visit {
	t.Helper()
	v := &visit{t: t, log: new(bytes.Buffer)}
	s := page.New(page.Options{
		Desk: r, Queue: r, History: r, Token: token, Language: language, Ready: func() error { return r.ready },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
		Log:     maillog.New(v.log, maillog.Options{Level: "debug", Format: "json"}),
	})
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v.base, v.Client = web.URL, &http.Client{Jar: jar, Transport: web.Client().Transport}
	return v
}

// signedIn is a visit with the token.
func signedIn(t *testing.T, r *relay, language explain.Language) *visit {
	t.Helper()
	v := serve(t, r, language)
	if res, body := v.get("/?token=" + token); res.StatusCode != http.StatusOK || strings.Contains(res.Request.URL.String(), token) || strings.Contains(body, token) {
		t.Fatalf("%s at %s", res.Status, res.Request.URL)
	}
	return v
}

func (v *visit) do(r *http.Request) (*http.Response, string) {
	v.t.Helper()
	res, err := v.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res, string(body)
}

func (v *visit) request(method, path string, form url.Values) *http.Request {
	v.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (v *visit) get(path string) (*http.Response, string) {
	v.t.Helper()
	return v.do(v.request(http.MethodGet, path, nil))
}

var formKey = regexp.MustCompile(`name="form" value="([0-9a-f]+)"`)

// key is what the forms of the page carry.
func (v *visit) key() string {
	v.t.Helper()
	_, body := v.get("/")
	m := formKey.FindStringSubmatch(body)
	if m == nil {
		v.t.Fatalf("no form in:\n%s", body)
	}
	return m[1]
}

// Whoever has no token may be any user of the machine: they see how mail is
// doing, and nobody's mail (P7).
func TestWithoutToken(t *testing.T) {
	r := trouble()
	v := serve(t, r, "")
	paths := []string{"/", "/message/" + id.String(), "/search?q=secret", "/livez", "/readyz", "/upstreamz", "/metrics", "/?token=wrong", "/page.js"}
	for _, path := range paths {
		res, body := v.get(path)
		for _, private := range []string{"secret", "alert", id.String(), token, `name="form"`} {
			if strings.Contains(body, private) {
				t.Errorf("%s shows %q:\n%s", path, private, body)
			}
		}
		if len(res.Cookies()) > 0 {
			t.Errorf("%s gives a cookie", path)
		}
	}
	if _, body := v.get("/"); !strings.Contains(body, "Mail flows, but not over 1 of 2 routes.") || !strings.Contains(body, "smtp.example.com") ||
		!strings.Contains(body, "sender.not_allowed") || !strings.Contains(body, "1.2 MB") || !strings.Contains(body, "kurir status") {
		t.Errorf("it is of no use:\n%s", body)
	}
	for _, path := range []string{"/flush", "/message/" + id.String() + "/retry", "/message/" + id.String() + "/drop"} {
		if res, _ := v.do(v.request(http.MethodPost, path, url.Values{"form": {""}})); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if len(r.done) > 0 || v.log.Len() > 0 {
		t.Errorf("done %q, logged %s", r.done, v.log)
	}
}

// What apps and servers said is text on every page, and the token is on none.
func TestEscaping(t *testing.T) {
	r := trouble()
	for _, language := range []explain.Language{explain.English, explain.Indonesian} {
		v := signedIn(t, r, language)
		for _, path := range []string{"/", "/message/" + id.String(), "/search?q=" + url.QueryEscape(hostile)} {
			res, body := v.get(path)
			if res.StatusCode != http.StatusOK || !strings.Contains(body, "&lt;script&gt;") || !strings.Contains(body, `lang="`+string(language)+`"`) {
				t.Errorf("%s: %s\n%s", path, res.Status, body)
			}
			for _, bad := range []string{"<script>", "alert(1)</script>", "\x1b", "\u202e", token, "ZgotmplZ", "{braces}"} {
				if strings.Contains(body, bad) {
					t.Errorf("%s holds %q", path, bad)
				}
			}
		}
	}
}

// A browser that follows these rules runs nothing that is not ours.
func TestHeaders(t *testing.T) {
	v := serve(t, trouble(), "")
	for _, path := range []string{"/", "/page.js", "/livez", "/metrics", "/nowhere", "/message/x"} {
		res, _ := v.get(path)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	req := v.request(http.MethodGet, "/?token="+token, nil)
	res, err := v.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	c := res.Cookies()
	if len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Path != "/" || c[0].Domain != "" || strings.Contains(c[0].Value, token) || res.StatusCode != http.StatusSeeOther {
		t.Errorf("%s, %v", res.Status, c)
	}
}

// A name that somebody points at loopback reads nothing (DNS rebinding).
func TestHost(t *testing.T) {
	v := signedIn(t, trouble(), "")
	_, port, _ := strings.Cut(strings.TrimPrefix(v.base, "http://"), ":")
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "localhost:" + port: 200, "LOCALHOST:" + port: 200, "[::1]:" + port: 200, "127.9.9.9:" + port: 200,
		"evil.example:" + port: 403, "127.0.0.1.evil.example:" + port: 403, "192.0.2.1:" + port: 403, "127.0.0.1": 403, "127.0.0.1:1": 403, "localhost.:" + port: 403,
	} {
		for _, path := range []string{"/", "/upstreamz", "/metrics", "/page.js"} {
			req := v.request(http.MethodGet, path, nil)
			req.Host = host
			if res, _ := v.do(req); res.StatusCode != want && (path != "/upstreamz" || res.StatusCode != 503) {
				t.Errorf("%s%s: %s", host, path, res.Status)
			}
		}
	}
}

// Only our own forms change anything, whatever other pages have a browser send.
func TestForgedRequests(t *testing.T) {
	r := trouble()
	v := signedIn(t, r, "")
	key := v.key()
	drop := "/message/" + id.String() + "/drop"
	for name, c := range map[string]struct {
		form   url.Values
		header [2]string
		code   int
	}{
		"no key":       {nil, [2]string{}, 403},
		"wrong key":    {url.Values{"form": {strings.Repeat("0", 64)}}, [2]string{}, 403},
		"token":        {url.Values{"form": {token}}, [2]string{}, 403},
		"cross-site":   {url.Values{"form": {key}}, [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"same-site":    {url.Values{"form": {key}}, [2]string{"Sec-Fetch-Site", "same-site"}, 403},
		"other origin": {url.Values{"form": {key}}, [2]string{"Origin", "http://127.0.0.1:1"}, 403},
		"no origin":    {url.Values{"form": {key}}, [2]string{"Origin", "null"}, 403},
		"too large":    {url.Values{"x": {strings.Repeat("x", 100_000)}, "form": {key}}, [2]string{}, 403},
	} {
		req := v.request(http.MethodPost, drop, c.form)
		if c.header[0] != "" {
			req.Header.Set(c.header[0], c.header[1])
		}
		if res, _ := v.do(req); res.StatusCode != c.code || len(r.done) > 0 {
			t.Errorf("%s: %s, done %q", name, res.Status, r.done)
		}
	}
	req := v.request(http.MethodGet, drop+"?form="+key, nil)
	if res, _ := v.do(req); res.StatusCode != http.StatusMethodNotAllowed || len(r.done) > 0 {
		t.Errorf("GET: %s, done %q", res.Status, r.done)
	}
	req = v.request(http.MethodPost, drop+"?form="+key, url.Values{})
	if res, _ := v.do(req); res.StatusCode != http.StatusForbidden || len(r.done) > 0 {
		t.Errorf("key in the address: %s, done %q", res.Status, r.done)
	}
}

// A person with the token does what the commands can do, and the log says so.
func TestActions(t *testing.T) {
	r := trouble()
	v := signedIn(t, r, "")
	form := url.Values{"form": {v.key()}}
	for _, c := range []struct{ path, done, event string }{
		{"/flush", "flush", "queue.flush"},
		{"/message/" + id.String() + "/retry", "retry " + id.String(), "queue.retry"},
		{"/message/" + id.String() + "/drop", "drop " + id.String(), "queue.drop"},
	} {
		r.done = nil
		v.log.Reset()
		req := v.request(http.MethodPost, c.path, form)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("Origin", "null") // as a browser says that may send no referrer
		if res, _ := v.do(req); res.StatusCode != http.StatusOK || len(r.done) != 1 || r.done[0] != c.done || !strings.Contains(v.log.String(), c.event) {
			t.Errorf("%s: %s, done %q, logged %s", c.path, res.Status, r.done, v.log)
		}
	}
	v.log.Reset()
	for failed, want := range map[error]int{queue.ErrUnderway: 409, spool.ErrNotFound: 404, errors.New("disk"): 500} {
		r.failed = failed
		if res, _ := v.do(v.request(http.MethodPost, "/message/"+id.String()+"/drop", form)); res.StatusCode != want {
			t.Errorf("%v: %s", failed, res.Status)
		}
	}
	if res, _ := v.do(v.request(http.MethodPost, "/message/nonsense/drop", form)); res.StatusCode != http.StatusNotFound || v.log.Len() > 0 {
		t.Errorf("%s, logged %s", res.Status, v.log)
	}
}

// Three questions, three answers, without a line in the log.
func TestHealth(t *testing.T) {
	r := &relay{status: control.Status{Routes: []control.Route{{Name: "smtp.example.com", Condition: "open"}}}}
	v := serve(t, r, "")
	expect := func(path string, code int, holds ...string) {
		t.Helper()
		res, body := v.get(path)
		if res.StatusCode != code || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, %s", path, res.Status, res.Header.Get("Content-Type"))
		}
		for _, want := range holds {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s in %s", path, want, body)
			}
		}
	}
	expect("/livez", 200, `"live":true`)
	expect("/readyz", 200, `"ready":true`)
	expect("/upstreamz", 200, `"healthy":true`, `"condition":"open"`)
	if v.log.Len() > 0 {
		t.Errorf("logged %s", v.log)
	}

	ill := trouble()
	ill.ready = errors.New("spool: full")
	v = serve(t, ill, "")
	expect("/livez", 200)
	expect("/readyz", 503, `"ready":false`, `spool: full`)
	expect("/upstreamz", 503, `"healthy":false`, `"cause":"sender.not_allowed"`, `"condition":"held"`, `"fix":"`)
	if _, body := v.get("/"); !strings.Contains(body, "Kurir takes no mail just now.") {
		t.Error(body)
	}
}

// Close ends what Serve has begun, with connections open.
func TestServe(t *testing.T) {
	r := trouble()
	s := page.New(page.Options{
		Desk: r, Queue: r, History: r, Token: token, Ready: func() error { return nil }, Metrics: http.NotFoundHandler(),
		Log: maillog.New(io.Discard, maillog.Options{}),
	})
	web := httptest.NewUnstartedServer(nil)
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Serve(web.Listener); err != nil {
			t.Error(err)
		}
	})
	res, err := http.Get("http://" + web.Listener.Addr().String() + "/livez")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	running.Wait()
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}
