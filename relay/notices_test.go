package relay_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kurir/relay/config"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// A held route calls the operator, with the same words as the log; and what
// was not told yet when the relay is stopped is told then (P5).
func TestTheOperatorIsCalled(t *testing.T) {
	got := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- string(body)
	}))
	defer hook.Close()
	c := settings(t, "queue")
	c.Notify.Webhook = config.Secret(hook.URL + "/hunter2")
	c.Notify.Every = config.Duration(time.Hour)
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	h.set(sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{
		explain.StageAuth: {Reply: "535 5.7.8 Username and Password not accepted"},
	}})
	h.mustSend(hello, "one@example.org")
	held := h.event("upstream.held", 1)
	h.stop()
	notice := <-got
	for _, want := range []string{`"event":"upstream.held"`, `"cause":"auth.rejected"`, `"count":1`, held.str("explanation"), held.str("fix")} {
		if !strings.Contains(notice, want) {
			t.Errorf("no %s in %s", want, notice)
		}
	}
	if h.event("notice.sent", 1)["events"] != 1.0 || strings.Contains(h.log.String(), "hunter2") {
		t.Error(h.log)
	}
}
