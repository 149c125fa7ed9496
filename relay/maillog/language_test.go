package maillog_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"kurir/relay/maillog"
	"kurir/upstream/explain"
)

// Whoever chose Indonesian reads it in every line that explains something.
func TestLanguage(t *testing.T) {
	var out bytes.Buffer
	l := maillog.New(&out, maillog.Options{Level: "info", Format: "json", Language: explain.Indonesian})
	f := explain.FromText("535 5.7.8 no", explain.StageAuth, "")
	l.Deferred(maillog.Mail{ID: "a"}, f, time.Time{})
	l.RouteHeld("route", f, time.Time{}, 1)
	for line := range strings.Lines(out.String()) {
		if !strings.Contains(line, `"explanation":"Penyedia tidak menerima nama pengguna`) || strings.Contains(line, "password") {
			t.Errorf("not in Indonesian: %s", line)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
}
