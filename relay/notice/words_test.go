package notice_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"kurir/relay/maillog"
	"kurir/relay/notice"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// textOf is the text of a notice of what happens, sent at the end.
func textOf(t *testing.T, l explain.Language, happens func(*maillog.Log)) string {
	t.Helper()
	h := newHook()
	var j journal
	o := options(&j, notice.Settings{Webhook: h.URL, Every: time.Hour, Language: l})
	n := notice.New(o)
	n.Through(h)
	happens(o.Log.Telling(n.Tell))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	n.Run(ended)
	return h.one(t).Text
}

// Who reads a notice in a chat at night needs what, why and what to do, in the
// language that was chosen.
func TestText(t *testing.T) {
	happens := func(log *maillog.Log) {
		log.RouteHeld("smtp.example.com", held(), time.Time{}, 3)
		log.QueueAge("smtp.example.org", nil, 65*time.Minute, 2)
		for range 2 {
			m, f := refused("a@example.org")
			m.To = append(m.To, envelope.Recipient{To: "b@example.org"})
			log.Failed(m, f)
		}
		m, f := refused("c@example.org")
		m.From, f.Stage = "", explain.StageDot
		log.Failed(m, f)
		log.Recovered("smtp.example.com", held(), 42*time.Second, 0)
		log.SpoolFull(explain.Explain(explain.Failure{Cause: explain.SpoolFull}))
	}
	for language, starts := range map[explain.Language][]string{
		explain.English: {
			"Kurir on relay.example.com:",
			"• Mail over smtp.example.com is held, 3 waiting: " + held().Explanation().Title + " " + held().Explanation().Fix,
			"• Mail over smtp.example.org has been waiting for 1h5m, 2 in all. The log says",
			"• Not delivered, 2 times, first from app@example.com to a@example.org and 1 more: ",
			"• Not delivered, from ‹› to c@example.org: ",
			"• Mail over smtp.example.com flows again, after 42s.",
			"• The spool is full",
		},
		explain.Indonesian: {
			"Kurir di relay.example.com:",
			"• Email lewat smtp.example.com ditahan, 3 menunggu: " + held().ExplanationIn(explain.Indonesian).Title,
			"• Email lewat smtp.example.org sudah menunggu selama 1h5m, 2 seluruhnya. Log memuat",
			"• Tidak terkirim, 2 kali, yang pertama dari app@example.com ke a@example.org dan 1 lagi: ",
			"• Tidak terkirim, dari ‹› ke c@example.org: ",
			"• Email lewat smtp.example.com mengalir lagi, setelah 42s.",
			"• Spool penuh",
		},
	} {
		lines := strings.Split(textOf(t, language, happens), "\n")
		if len(lines) != len(starts) {
			t.Errorf("%s: %d lines: %q", language, len(lines), lines)
			continue
		}
		for i, start := range starts {
			if !strings.HasPrefix(lines[i], start) || strings.Contains(lines[i], "%!") {
				t.Errorf("%s: %q, want %q …", language, lines[i], start)
			}
		}
	}
}

// What an app wrote into an address calls nobody in a chat and forges no line.
func TestTextIsPlain(t *testing.T) {
	text := textOf(t, explain.English, func(log *maillog.Log) {
		m, f := refused("\"<!channel>\n`\x1b[2J\u202e\"@example.org")
		log.Failed(m, f)
	})
	if strings.ContainsAny(text, "<>`\x1b\u202e") || strings.Count(text, "\n") != 1 {
		t.Errorf("%q", text)
	}
}

// The log says that a notice failed, and not what the secret URL is (P7).
func TestLogHasNoSecret(t *testing.T) {
	var j journal
	o := options(&j, notice.Settings{Webhook: "http://127.0.0.1:1/hunter2", Command: "exit 7", Every: time.Hour})
	n := notice.New(o)
	n.Tell(maillog.Notice{Event: "upstream.held", Route: "smtp.example.com", Failure: held()})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	n.Run(ended)
	log := j.String()
	if strings.Contains(log, "hunter2") || strings.Count(log, `"event":"notice.failed"`) != 2 || !strings.Contains(log, "notify.webhook") || !strings.Contains(log, "exit status 7") {
		t.Error(log)
	}
}
