package metrics_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kurir/relay/control"
	"kurir/relay/control/metrics"
	"kurir/relay/maillog"
	"kurir/relay/queue"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// busy is a meter of a relay to which everything has happened.
func busy(t *testing.T) *metrics.Meter {
	t.Helper()
	m := metrics.New(metrics.Options{Version: "v1"})
	log := maillog.New(new(strings.Builder), maillog.Options{Level: "error"}).Metering(m)
	way := explain.Candidate{Host: "smtp.example.com", Port: 587, TLS: explain.STARTTLS, Addr: "192.0.2.1"}
	f := explain.Explain(explain.Failure{Cause: explain.AuthRejected, Stage: explain.StageAuth, Candidate: way})
	mail := maillog.Mail{ID: "6h0b0hk25jjmm", From: "secret@example.com", To: []envelope.Recipient{{To: "secret@example.org"}}, Client: "192.0.2.9"}
	log.Accepted(mail)
	log.Sent(mail, &explain.Receipt{Candidate: way, Reply: *explain.NewReply(250, []string{"secret"}), ID: "secret"}, 70*time.Millisecond)
	log.Deferred(mail, f, time.Now())
	log.RouteHeld("smtp.example.com", f, time.Now(), 1)
	log.ClientRejected("192.0.2.9", "secret", "secret")
	log.MessageRefused("192.0.2.9", envelope.Envelope{From: "secret@example.com"}, &explain.Failure{Stage: explain.StageMail, Cause: explain.SenderNotAllowed}, 550, explain.EnhancedCode{5, 7, 1})
	m.Answered(queue.Answer{Code: 250}, 80*time.Millisecond)
	m.Answered(queue.Answer{Code: 550}, time.Second)
	m.Answered(queue.Answer{Code: 451}, 4*time.Second)
	route := queue.RouteState{Name: "smtp.example.com", Condition: "held", Trouble: f, Since: time.Unix(1000, 0), Waiting: 3, Oldest: time.Now().Add(-time.Hour)}
	m.Watch(metrics.State{
		Routes: func() []queue.RouteState { return []queue.RouteState{route, route, {Name: "other", Condition: "open"}} },
		Usage:  func() (int, int64) { return 4, 1234 },
		Ready:  func() error { return errors.New("full") },
		Ends: func() []control.End {
			return []control.End{
				{What: "listen.tls_cert", Since: time.Unix(1500, 0), Until: time.Unix(2000, 0)},
				{What: "upstream.oauth2", Account: "secret@example.com", Since: time.Unix(400, 0), Until: time.Unix(4000, 0)},
				{What: "upstream.oauth2", Account: "secret@example.org", Since: time.Unix(300, 0), Until: time.Unix(3000, 0)},
			}
		},
	})
	return m
}

func scrape(t *testing.T, m *metrics.Meter) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	return w.Body.String()
}

// Each thing that happened is counted where alerts and dashboards look for it,
// and nobody's address is in it (P7).
func TestScrape(t *testing.T) {
	body := scrape(t, busy(t))
	for _, want := range []string{
		`kurir_events_total{cause="",event="delivery.sent",stage="",tls="starttls",upstream="smtp.example.com:587"} 1`,
		`kurir_events_total{cause="auth.rejected",event="delivery.held",stage="auth",tls="starttls",upstream="smtp.example.com:587"} 1`,
		`kurir_events_total{cause="auth.rejected",event="upstream.held",stage="auth",tls="starttls",upstream="smtp.example.com:587"} 1`,
		`kurir_events_total{cause="sender.not_allowed",event="message.refused",stage="mail",tls="",upstream=""} 1`,
		`kurir_events_total{cause="",event="message.accepted",stage="",tls="",upstream=""} 1`,
		`kurir_events_total{cause="",event="client.rejected",stage="",tls="",upstream=""} 1`,
		`kurir_delivery_seconds_bucket{tls="starttls",upstream="smtp.example.com:587",le="0.1"} 1`,
		`kurir_delivery_seconds_bucket{tls="starttls",upstream="smtp.example.com:587",le="0.05"} 0`,
		`kurir_answer_seconds_count{class="2xx"} 1`, `kurir_answer_seconds_count{class="4xx"} 1`, `kurir_answer_seconds_count{class="5xx"} 1`,
		"kurir_ready 0\n", "kurir_spool_messages 4\n", "kurir_spool_bytes 1234\n",
		`kurir_queue_messages{route="smtp.example.com"} 3`, `kurir_queue_oldest_seconds{route="smtp.example.com"} 36`, `kurir_queue_oldest_seconds{route="other"} 0`,
		`kurir_route_state{route="smtp.example.com",state="held"} 1`, `kurir_route_state{route="smtp.example.com",state="open"} 0`, `kurir_route_state{route="other",state="open"} 1`,
		`kurir_route_trouble{cause="auth.rejected",route="smtp.example.com"} 1`, `kurir_route_trouble_start_timestamp_seconds{route="smtp.example.com"} 1000`,
		`kurir_valid_since_timestamp_seconds{what="listen.tls_cert"} 1500`, `kurir_valid_until_timestamp_seconds{what="listen.tls_cert"} 2000`,
		`kurir_valid_since_timestamp_seconds{what="upstream.oauth2"} 300`, `kurir_valid_until_timestamp_seconds{what="upstream.oauth2"} 3000`, `version="v1"`, "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	for _, private := range []string{"secret", "192.0.2.", "6h0b0hk25jjmm"} {
		if strings.Contains(body, private) {
			t.Errorf("it holds %s", private)
		}
	}
}

// promtool runs Prometheus' own judge of metrics and rules.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("KURIR_PEERS") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "kurir_") && args[1] == "metrics" {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// Names, types and help are as Prometheus wants them, and the alerts fire when
// they should and are silent when not.
func TestPromtool(t *testing.T) {
	promtool(t, scrape(t, busy(t)), "check", "metrics")
	promtool(t, "", "check", "rules", "../../../contrib/prometheus/alerts.yml")
	promtool(t, "", "test", "rules", "../../../contrib/prometheus/alerts_test.yml")

	// What the dashboard asks is put into rules, which promtool can read.
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for i, expr := range questions(t) {
		expr = strings.NewReplacer("$job", ".*", "$instance", ".*", "$__rate_interval", "5m").Replace(expr)
		rules += fmt.Sprintf("  - record: question%d\n    expr: %q\n", i, expr)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}

// questions are what the dashboard asks Prometheus.
func questions(t *testing.T) (all []string) {
	t.Helper()
	data, err := os.ReadFile("../../../contrib/prometheus/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, q.Expr)
		}
	}
	if len(all) < 10 {
		t.Fatalf("the dashboard asks %q", all)
	}
	return all
}

// Alerts and dashboard ask for what there is, with labels that it has.
func TestNames(t *testing.T) {
	body := scrape(t, busy(t))
	alerts, err := os.ReadFile("../../../contrib/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(questions(t), string(alerts)) {
		for _, m := range regexp.MustCompile(`\b((?:kurir|process)_[a-z_]+)(\{[^}]*\})?`).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(body, "\n"+m[1]+" ") && !strings.Contains(body, "\n"+m[1]+"{") {
				t.Errorf("there is no %s", m[1])
			}
			for _, label := range regexp.MustCompile(`(\w+)=`).FindAllStringSubmatch(m[2], -1) {
				if has := regexp.MustCompile(`\n` + m[1] + `\{[^}]*\b` + label[1] + `="`); label[1] != "job" && label[1] != "instance" && !has.MatchString(body) {
					t.Errorf("%s has no label %s", m[1], label[1])
				}
			}
		}
	}
}
