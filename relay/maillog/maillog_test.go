package maillog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"kurir/relay/maillog"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

var mail = maillog.Mail{
	ID: "6h0b0hk25jjmm", MessageID: "<x@example.com>", From: "app@example.com",
	To: []envelope.Recipient{{To: "you@example.org"}}, Size: 100, Client: "127.0.0.1", Attempt: 2,
}

// A tally keeps what was counted.
type tally []maillog.Count

func (t *tally) Count(c maillog.Count) { *t = append(*t, c) }

func failed(c explain.Cause) *explain.Failure {
	return explain.Explain(explain.Failure{
		Cause: c, Stage: explain.StageAuth,
		Candidate: explain.Candidate{Host: "smtp.example.com", Port: 587, TLS: explain.STARTTLS},
		Reply:     explain.NewReply(535, []string{"5.7.8 no", "5.7.8 really not"}),
	})
}

// One line is all that a person gets to see of a failure, so it has all fields
// that the README promises, and its level says who must act (P5).
func TestLinesAreSelfContained(t *testing.T) {
	const ofMail = "id message_id from to size client attempt"
	const ofFailure = "upstream tls stage cause code enhanced reply explanation fix"
	cases := []struct {
		event, level, fields string
		write                func(*maillog.Log)
	}{
		{"message.accepted", "info", ofMail, func(l *maillog.Log) { l.Accepted(mail) }},
		{"message.refused", "error", ofMail + " " + ofFailure, func(l *maillog.Log) {
			l.Refused(mail, failed(explain.AuthRejected), 451, explain.EnhancedCode{4, 7, 8})
		}},
		{"message.refused", "warn", "client from to stage cause code enhanced explanation fix", func(l *maillog.Log) {
			l.MessageRefused("127.0.0.1", envelope.Envelope{From: "a@b", To: mail.To}, &explain.Failure{Stage: explain.StageMail, Cause: explain.MessageTooLarge}, 552, explain.EnhancedCode{5, 3, 4})
		}},
		{"delivery.sent", "info", ofMail + " upstream tls code enhanced reply upstream_id elapsed_ms", func(l *maillog.Log) {
			f := failed("")
			l.Sent(mail, &explain.Receipt{Candidate: f.Candidate, Reply: *explain.NewReply(250, []string{"2.0.0 OK"}), ID: "theirs"}, time.Second)
		}},
		{"delivery.deferred", "warn", ofMail + " next " + ofFailure, func(l *maillog.Log) { l.Deferred(mail, failed(explain.Greylisted), time.Now()) }},
		{"delivery.held", "error", ofMail + " next " + ofFailure, func(l *maillog.Log) { l.Deferred(mail, failed(explain.AuthRejected), time.Now()) }},
		{"delivery.uncertain", "warn", ofMail + " next " + ofFailure, func(l *maillog.Log) { l.Deferred(mail, failed(explain.DeliveryUncertain), time.Now()) }},
		{"delivery.uncertain", "warn", ofMail + " stage cause explanation fix", func(l *maillog.Log) { l.Uncertain(mail) }},
		{"token.refreshed", "info", "account until", func(l *maillog.Log) { l.TokenRefreshed("app@example.com", time.Now()) }},
		{"token.failed", "error", "account next " + ofFailure, func(l *maillog.Log) {
			l.TokenFailed("app@example.com", failed(explain.AuthToken), time.Now(), time.Time{})
		}},
		{"token.failed", "warn", "account next until " + ofFailure, func(l *maillog.Log) {
			l.TokenFailed("app@example.com", failed(explain.AuthTemporary), time.Now(), time.Now())
		}},
		{"delivery.failed", "warn", ofMail + " " + ofFailure, func(l *maillog.Log) { l.Failed(mail, failed(explain.RecipientUnknown)) }},
		{"delivery.failed", "warn", ofMail + " " + ofFailure, func(l *maillog.Log) { l.GivenUp(mail, failed(explain.Greylisted), time.Hour) }},
		{"upstream.selected", "info", "route upstream tls", func(l *maillog.Log) { l.Selected("smtp.example.com", failed("").Candidate, nil) }},
		{"upstream.selected", "warn", "route upstream tls stage cause explanation fix candidates", func(l *maillog.Log) {
			l.Selected("smtp.example.com", failed("").Candidate, []*explain.Failure{failed(explain.ConnectTimeout)})
		}},
		{"upstream.unavailable", "error", "route waiting next candidates " + ofFailure, func(l *maillog.Log) {
			f := failed(explain.ConnectRefused)
			f.Candidates = []*explain.Failure{f, f}
			l.Unavailable("smtp.example.com", f, time.Now(), 3)
		}},
		{"upstream.held", "error", "route waiting next " + ofFailure, func(l *maillog.Log) { l.RouteHeld("x", failed(explain.AuthRejected), time.Now(), 3) }},
		{"upstream.limited", "info", "route connections " + ofFailure, func(l *maillog.Log) { l.Limited("x", failed(explain.LimitConnections), 2) }},
		{"upstream.recovered", "info", "route cause elapsed_ms waiting", func(l *maillog.Log) { l.Recovered("x", failed(explain.AuthRejected), time.Hour, 3) }},
		{"spool.full", "error", "cause explanation fix error", func(l *maillog.Log) {
			l.SpoolFull(explain.Explain(explain.Failure{Cause: explain.SpoolFull, Err: errors.New("no space")}))
		}},
		{"queue.retry", "info", "id uid", func(l *maillog.Log) { l.QueueRetry(1000, "6h0b0hk25jjmm") }},
		{"queue.drop", "warn", "id uid", func(l *maillog.Log) { l.QueueDrop(1000, "6h0b0hk25jjmm") }},
		{"queue.flush", "info", "uid messages", func(l *maillog.Log) { l.QueueFlush(1000, 3) }},
		{"client.rejected", "warn", "client explanation fix", func(l *maillog.Log) { l.ClientRejected("192.0.2.1", "not allowed", "allow it") }},
	}
	for _, c := range cases {
		var out bytes.Buffer
		var counted tally
		c.write(maillog.New(&out, maillog.Options{Level: "info", Format: "json"}).Metering(&counted))
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: not one JSON line: %v: %q", c.event, err, out.String())
			continue
		}
		if line["event"] != c.event || line["level"] != c.level {
			t.Errorf("event %v level %v, want %s %s", line["event"], line["level"], c.event, c.level)
		}
		// One line, one count, of the same event and for the same reason.
		if len(counted) != 1 || counted[0].Event != c.event || c.event != "upstream.selected" && line["cause"] != nil && line["cause"] != string(counted[0].Cause) {
			t.Errorf("%s is counted as %+v", c.event, counted)
		}
		for _, key := range append(strings.Fields(c.fields), "time", "message") {
			if v, ok := line[key]; !ok || v == "" {
				t.Errorf("%s lacks %s: %s", c.event, key, out.String())
			}
		}
	}
}

// What apps and servers say cannot forge a line, and the server's words are
// kept as they were.
func TestNobodyForgesALine(t *testing.T) {
	var out bytes.Buffer
	l := maillog.New(&out, maillog.Options{Level: "info", Format: "json"})
	forged := "x\"}\r\n{\"level\":\"info\",\"event\":\"delivery.sent\"}\x1b[2J"
	m := mail
	m.MessageID, m.From, m.Client = forged, envelope.Path(forged), forged
	m.To = []envelope.Recipient{{To: envelope.Path(forged)}}
	f := failed(explain.RecipientUnknown)
	f.Recipient = envelope.Path(forged)
	f.Reply = explain.NewReply(550, []string{forged})
	l.Failed(m, f)
	if n := strings.Count(out.String(), "\n"); n != 1 || strings.ContainsAny(out.String(), "\x1b\r") {
		t.Errorf("%d lines: %q", n, out.String())
	}
	var line struct{ Reply string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Reply != "550 "+forged {
		t.Errorf("%v: reply %q", err, line.Reply)
	}
}

// A line stays readable when a message has a thousand recipients.
func TestManyRecipients(t *testing.T) {
	var out bytes.Buffer
	m := mail
	m.To = make([]envelope.Recipient, 1000)
	maillog.New(&out, maillog.Options{Level: "info", Format: "json"}).Accepted(m)
	var line struct {
		To    []string
		Count int `json:"to_count"`
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || len(line.To) != 20 || line.Count != 1000 {
		t.Errorf("%v: %d named of %d", err, len(line.To), line.Count)
	}
}

// The transcript is for level debug only.
func TestLevels(t *testing.T) {
	for level, want := range map[string]int{"debug": 2, "info": 1, "warn": 0} {
		var out bytes.Buffer
		l := maillog.New(&out, maillog.Options{Level: level, Format: "json"})
		l.Accepted(mail)
		l.Transcript(1, mail.ID, failed("").Candidate, true, "EHLO x")
		if n := strings.Count(out.String(), "\n"); n != want {
			t.Errorf("level %s: %d lines, want %d", level, n, want)
		}
	}
}

// What was said in an attempt is kept in history and not in the log, with the
// ID of its message; where nothing was tried, nothing was said.
func TestTranscriptsAreHistory(t *testing.T) {
	var out, kept bytes.Buffer
	l := maillog.New(&out, maillog.Options{Level: "info", Format: "json"}).Keeping(&kept)
	f := failed(explain.ConnectRefused)
	other := failed(explain.ConnectTimeout)
	other.Transcript = []string{"S: 220 hello", "C: EHLO x"}
	f.Candidates = []*explain.Failure{failed(explain.ConnectRefused), other}
	m := mail
	m.Attempt = 0
	l.Refused(m, f, 451, explain.EnhancedCode{4, 4, 0})
	if strings.Contains(kept.String(), "transcript") {
		t.Errorf("nothing was tried, but history has %s", kept.String())
	}
	m.Attempt = 2
	for name, tell := range map[string]func(){
		"refused":  func() { l.Refused(m, f, 451, explain.EnhancedCode{4, 4, 0}) },
		"deferred": func() { l.Deferred(m, f, time.Now()) },
		"failed":   func() { l.Failed(m, f) },
		"given up": func() { l.GivenUp(m, f, time.Hour) },
	} {
		kept.Reset()
		tell()
		lines := strings.Split(strings.TrimSpace(kept.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[1], `"event":"delivery.transcript","id":"`+mail.ID+`","attempt":2`) ||
			!strings.Contains(lines[1], `"transcript":["S: 220 hello","C: EHLO x"]`) || !strings.Contains(lines[1], `"time":"`) {
			t.Errorf("%s: history has %q", name, lines)
		}
	}
	if strings.Contains(out.String(), "EHLO") {
		t.Errorf("the log has %s", out.String())
	}
}

// The journal of systemd finds lines by their priority, and each is JSON behind
// that; history has the line alone.
func TestPriorities(t *testing.T) {
	var out, kept bytes.Buffer
	l := maillog.New(&out, maillog.Options{Level: "debug", Format: "auto", Priority: true}).Keeping(&kept)
	l.Transcript(1, "", failed("").Candidate, true, "EHLO x")
	l.Accepted(mail)
	l.Warning("a", "b")
	l.RouteHeld("x", failed(explain.AuthRejected), time.Now(), 3)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{"<7>", "<6>", "<4>", "<3>"} {
		if text, ok := strings.CutPrefix(lines[i], want); !ok || !json.Valid([]byte(text)) {
			t.Errorf("%q, want priority %s", lines[i], want)
		}
	}
	if !strings.HasPrefix(kept.String(), "{") || strings.Contains(kept.String(), "\n<") || strings.Count(kept.String(), "\n") != 2 {
		t.Errorf("history has %q", kept.String())
	}
}

// Whoever reads the log as a person in a file or a pipe gets no codes for a
// terminal, whether they are ours or a server's.
func TestNoEscapeCodes(t *testing.T) {
	var out bytes.Buffer
	l := maillog.New(&out, maillog.Options{Level: "debug", Format: "console"})
	l.RouteHeld("x\x1b[2J", failed(explain.AuthRejected), time.Now(), 3)
	l.Transcript(1, "\x1b[2J", failed("").Candidate, false, "220 \x1b]0;title\x07\u009b2J")
	trick := mail
	trick.From, trick.MessageID, trick.To = "\u009b2Ja\u202e@b", "<\u2028>", []envelope.Recipient{{To: "\u009b2Ja\u202e@b"}}
	l.Failed(trick, failed(explain.RecipientUnknown))
	for _, c := range out.String() {
		if c < ' ' && c != '\n' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u202e' {
			t.Fatalf("%q", out.String())
		}
	}
}

// A line of JSON says them in a way that no screen obeys.
func TestEscapedControls(t *testing.T) {
	var out, kept bytes.Buffer
	trick := mail
	trick.From = "\u009b2Ja\u202eü\u2028@b"
	maillog.New(&out, maillog.Options{Level: "info", Format: "json"}).Keeping(&kept).Accepted(trick)
	for _, line := range []string{out.String(), kept.String()} {
		var told struct{ From string }
		if err := json.Unmarshal([]byte(line), &told); err != nil || told.From != string(trick.From) || strings.ContainsAny(line, "\u009b\u202e\u2028") || !strings.Contains(line, "ü") {
			t.Errorf("%v: %q", err, line)
		}
	}
}

// A subject is told only where that was asked for, in letters.
func TestSubject(t *testing.T) {
	m := mail
	m.Subject = "=?utf-8?q?Gr=C3=BC=C3=9Fe?="
	for wanted, want := range map[bool]string{false: "", true: "Grüße"} {
		var out bytes.Buffer
		l := maillog.New(&out, maillog.Options{Level: "info", Format: "json", Subject: wanted})
		l.Accepted(m)
		l.Refused(m, failed(explain.ConnectRefused), 451, explain.EnhancedCode{4, 4, 0})
		for line := range strings.Lines(out.String()) {
			var told struct{ Subject string }
			if err := json.Unmarshal([]byte(line), &told); err != nil || told.Subject != want {
				t.Errorf("wanted %t: %v: %s", wanted, err, line)
			}
		}
	}
}
