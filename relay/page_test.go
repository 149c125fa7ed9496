package relay_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/maillog"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// ask gives what a page of a relay says.
func ask(t *testing.T, url string) (code int, body string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// A mail that was sent is on the status page, with the way that it went, and
// in the metrics; the log has the page's address, but not its token (P7).
func TestStatusPage(t *testing.T) {
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), settings(t, "through"))
	base := h.event("relay.started", 1).str("http")
	if url := h.running.Page(); !strings.HasPrefix(url, base+"?token=") || strings.Contains(h.log.String(), strings.TrimPrefix(url, base)) {
		t.Fatalf("%q and %q", base, url)
	}
	h.mustSend("Subject: hello\r\n\r\nx\r\n", "you@example.org")
	h.event("delivery.sent", 1)
	for _, path := range []string{"livez", "readyz", "upstreamz"} {
		if code, body := ask(t, base+path); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if _, body := ask(t, base+"metrics"); !strings.Contains(body, `event="delivery.sent"`) || !strings.Contains(body, `kurir_answer_seconds_count{class="2xx"} 1`) ||
		!strings.Contains(body, "kurir_ready 1") {
		t.Error(body)
	}
	if _, body := ask(t, base); !strings.Contains(body, "Mail flows.") || !strings.Contains(body, "Mail goes out over") || strings.Contains(body, "you@example.org") {
		t.Error(body)
	}
}

// A port that is taken costs the page and no mail; the sandbox takes another.
func TestStatusPagePortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := settings(t, "queue")
	c.Control.HTTP = l.Addr().String()
	h := open(t, upstreamtest.Sandbox(t, sandbox.Options{}), c)
	if base := h.event("relay.started", 1).str("http"); base == "" || strings.Contains(base, c.Control.HTTP) {
		t.Errorf("the sandbox has its page at %q", base)
	}
	h.stop()

	c = settings(t, "queue")
	c.Control.HTTP = l.Addr().String()
	c.Upstreams = []config.Upstream{{Host: "smtp.example.com", TLS: "auto"}}
	log := &logBook{more: make(chan struct{})}
	r, err := relay.New(relay.Options{Config: c, Log: maillog.New(log, maillog.Options{Level: "info", Format: "json"})})
	if err != nil {
		t.Fatal(err)
	}
	if r.Page() != "" || !strings.Contains(log.String(), `"event":"relay.warning","where":"control.http"`) {
		t.Errorf("page %q, log %s", r.Page(), log)
	}
	if err := r.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
