package main_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kurir/relay/control"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// However the provider breaks while mail flows, an operator sees the same cause
// and the same advice wherever he looks (status, page, health, metrics, log),
// and the same end of it, and no mail is lost on the way (promises P1, P5).
func TestEverywhereTheSame(t *testing.T) {
	ctx := within(t, 3*time.Minute)
	smartHost := upstreamtest.Sandbox(t, sandbox.Options{Username: "sandbox", Password: "sandbox"})
	dir := t.TempDir()
	file := sandboxConfig(t, dir, smartHost, smartHost.STARTTLS().Port, `messages_per_connection = 1
[listen]
smtp = ["127.0.0.1:0"]
[delivery]
mode = "queue"
retry_min = "100ms"
retry_max = "200ms"
`)
	s := newScene()
	relay := newRelay(t, s, "kurir", "serve", "--config", file)
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, relay: relay, file: file, browser: &http.Client{Jar: jar}}
	w.get(w.status().HTTP) // with the token from here on
	load := &load{scene: s, relay: relay, addr: relay.started().SMTP[0], taken: map[string]bool{}, sent: map[string]int{}, sizes: []int{100}}
	// until has mail flow, one by one, until the operator sees what he should.
	until := func(what string, seen func() (missing string)) {
		t.Helper()
		began := time.Now()
		for missing := seen(); missing != ""; missing = seen() {
			if ctx.Err() != nil {
				t.Fatalf("%s: %s; log:\n%s", what, missing, tail(relay.log()))
			}
			if !load.try(fmt.Sprintf("%s-%d", what, load.accepted())) {
				t.Fatalf("%s: a mail was not taken", what)
			}
		}
		t.Logf("%s: after %s", what, time.Since(began).Round(time.Millisecond))
	}

	says := func(stage explain.Stage, reply string) sandbox.Behaviour {
		return sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{stage: {Reply: reply}}}
	}
	for _, c := range []struct {
		cause  explain.Cause
		breaks sandbox.Behaviour
	}{
		{explain.ConnectRefused, sandbox.Behaviour{Closed: true}},
		{explain.ConnectClosed, sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageGreeting: {End: sandbox.HangUpNow}}}},
		{explain.ProtocolWrongPort, sandbox.Behaviour{Protocol: sandbox.HTTP}},
		{explain.TLSNotOffered, sandbox.Behaviour{Without: []string{"STARTTLS"}}},
		{explain.TLSCertificateExpired, sandbox.Behaviour{Certificate: sandbox.Expired}},
		{explain.TLSCertificateName, sandbox.Behaviour{Certificate: sandbox.WrongName}},
		{explain.AuthRejected, says(explain.StageAuth, "535 5.7.8 Authentication credentials invalid")},
		{explain.AuthDisabled, says(explain.StageAuth, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.")},
		{explain.AuthTemporary, says(explain.StageAuth, "454 4.7.0 Temporary authentication failure")},
		{explain.LimitQuota, says(explain.StageRcpt, "550 5.4.5 Daily user sending limit exceeded.")},
	} {
		if err := smartHost.Set(c.breaks); err != nil {
			t.Fatal(err)
		}
		until(string(c.cause), func() string { return w.broken(c.cause) })
		if err := smartHost.Set(sandbox.Behaviour{}); err != nil {
			t.Fatal(err)
		}
		until(string(c.cause)+" is over", func() string { return w.mended(c.cause) })
	}
	if _, err := smartHost.Wait(ctx, load.accepted()); err != nil {
		t.Errorf("%v; log:\n%s", err, tail(relay.log()))
	}
	if err := relay.stop(); err != nil {
		t.Error(err)
	}
}

// A watcher looks at a relay as an operator does.
type watcher struct {
	t       *testing.T
	relay   *relayProgram
	file    string
	browser *http.Client
}

func (w *watcher) status() (s control.Status) {
	w.t.Helper()
	cmd := exec.Command("kurir", "status", "--json", "--config", w.file)
	cmd.Env = plainEnviron()
	out, err := cmd.CombinedOutput()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	return s
}

func (w *watcher) get(address string) string { return bodyOf(w.t, w.browser, address) }

func (w *watcher) at(path string) string {
	return w.get(strings.TrimSuffix(w.relay.started().HTTP, "/") + path)
}

// lastOf is the last event of the log that tells how the route is doing.
func (w *watcher) last() (last event) {
	for _, e := range w.relay.log() {
		switch e.Event {
		case "upstream.held", "upstream.unavailable", "upstream.recovered":
			last = e
		}
	}
	return last
}

// broken says where the cause, or the advice that status gives, is not seen;
// "" if it is everywhere.
func (w *watcher) broken(cause explain.Cause) (missing string) {
	w.t.Helper()
	trouble := w.status().Routes[0].Trouble
	if trouble == nil || trouble.Cause != cause {
		return "status"
	}
	var health struct {
		Routes []struct{ Cause, Fix string }
	}
	if err := json.Unmarshal([]byte(w.at("/upstreamz")), &health); err != nil {
		w.t.Fatal(err)
	}
	page := html.UnescapeString(w.at("/"))
	switch last := w.last(); {
	case last.Event == "upstream.recovered" || last.Cause != string(cause) || last.Fix != trouble.Fix:
		return "log"
	case health.Routes[0].Cause != string(cause) || health.Routes[0].Fix == "":
		return "health"
	case !strings.Contains(page, string(cause)) || !strings.Contains(page, trouble.Fix) || strings.Contains(page, "Mail flows."):
		return "page"
	case !strings.Contains(w.at("/metrics"), fmt.Sprintf(`kurir_route_trouble{cause=%q,route="localhost"} 1`, cause)):
		return "metrics"
	}
	return ""
}

// mended says where the end of the trouble is not seen.
func (w *watcher) mended(cause explain.Cause) (missing string) {
	w.t.Helper()
	switch last := w.last(); {
	case w.status().Routes[0].Condition != "open":
		return "status"
	case last.Event != "upstream.recovered" || last.Cause != string(cause):
		return "log"
	case !strings.Contains(w.at("/upstreamz"), `"healthy":true`):
		return "health"
	case !strings.Contains(w.at("/"), "Mail flows."):
		return "page"
	case !strings.Contains(w.at("/metrics"), `kurir_route_state{route="localhost",state="open"} 1`):
		return "metrics"
	}
	return ""
}

// bodyOf is what an address answers.
func bodyOf(t testing.TB, client *http.Client, address string) string {
	t.Helper()
	res, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
