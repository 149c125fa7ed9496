package maillog_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/relay/maillog"
	"kurir/upstream/explain"
)

// The operator is called for what needs a person, with all that is known of
// it, even if the log is set to say little; and for nothing else.
func TestTelling(t *testing.T) {
	var out bytes.Buffer
	var told []string
	silent := maillog.New(&out, maillog.Options{Level: "error", Format: "json"})
	l := silent.Telling(func(n maillog.Notice) {
		if n.Time.IsZero() || n.Failure == nil && n.Event != "queue.age" {
			t.Errorf("%+v", n)
		}
		told = append(told, n.Event+" "+n.Route+n.Mail.ID)
	})
	f := failed(explain.AuthRejected)
	l.Accepted(mail)
	l.Deferred(mail, f, time.Now())
	l.Unavailable("route", f, time.Now(), 1)
	l.RouteHeld("route", f, time.Now(), 1)
	l.Recovered("route", f, time.Second, 1)
	l.Failed(mail, f)
	l.GivenUp(mail, f, time.Hour)
	l.QueueAge("route", nil, 2*time.Hour, 3)
	l.SpoolFull(f)
	l.NoticeSent([]string{"webhook"}, 1, 0)
	l.NoticeFailed("webhook", errors.New("x"), true)
	silent.RouteHeld("of the log that tells nobody", f, time.Now(), 1)
	want := []string{
		"upstream.held route", "upstream.recovered route", "delivery.failed " + mail.ID, "delivery.failed " + mail.ID,
		"queue.age route", "spool.full ",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
}

// A notice that failed has in its line what to do about it.
func TestNoticeLines(t *testing.T) {
	var out bytes.Buffer
	l := maillog.New(&out, maillog.Options{Level: "info", Format: "json"})
	l.NoticeSent([]string{"webhook", "command"}, 3, 2)
	l.NoticeFailed("webhook", errors.New("no route"), true)
	l.QueueAge("smtp.example.com", failed(explain.ConnectTimeout), time.Hour, 7)
	for _, want := range []string{
		`"level":"info","event":"notice.sent","by":["webhook","command"],"events":3,"omitted":2`,
		`"level":"warn","event":"notice.failed","by":"webhook","error":"no route","explanation":`,
		`"fix":"Check notify.webhook`, `"level":"warn","event":"queue.age","route":"smtp.example.com"`, `"waiting":7,"elapsed_ms":3600000`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
}
