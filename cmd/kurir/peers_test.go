//go:build linux

package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kurir/relay/spool"
)

// What counts for the people who use Kurir: apps as they are, a provider as
// it is, programs that die at any moment, and no mail lost, changed, or sent
// twice without a word (promises P1, P2, P4 and P6). KURIR_PEER_MAILS says how
// many mails each mode gets.
func TestPeers(t *testing.T) {
	mails := 120
	if v := os.Getenv("KURIR_PEER_MAILS"); v != "" {
		var err error
		if mails, err = strconv.Atoi(v); err != nil {
			t.Fatalf("KURIR_PEER_MAILS=%q", v)
		}
	}
	for _, mode := range []string{"through", "queue", "direct"} {
		t.Run(mode, func(t *testing.T) {
			ctx := within(t, 90*time.Second+time.Duration(mails)*200*time.Millisecond)
			newStage(t, mode).play(ctx, mails)
		})
	}
}

// A stage is a provider, a relay and apps.
type stage struct {
	t *testing.T
	*scene
	mode  string
	port  int
	dir   string
	relay *relayProgram
	mta   *postfix
	apps  []app
	crowd *crowd

	kills, outages int
}

func newStage(t *testing.T, mode string) *stage {
	t.Helper()
	s := &stage{t: t, scene: newScene(), mode: mode, port: freePort(t), dir: t.TempDir()}
	s.apps = apps(t)
	submissionPort := freePort(t)
	s.mta = newPostfix(t, s.scene, nil,
		submission{addr: fmt.Sprintf("127.0.0.1:%d", submissionPort)},
		submission{addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), implicit: true})
	config := writeConfig(t, s.dir, upstreamConfig(t, s.dir, s.mta)+fmt.Sprintf(`port = %d
[listen]
smtp = ["127.0.0.1:%d"]
[delivery]
mode = %q
retry_min = "1s"
retry_max = "2s"
`, submissionPort, s.port, mode))
	s.relay = newRelay(t, s.scene, "kurir", "serve", "--config", config)
	s.crowd = &crowd{scene: s.scene, directory: t.TempDir(), tries: map[string]int{}, taken: map[string]bool{}}
	return s
}

// upstreamConfig is the table of a Postfix, open for more keys.
func upstreamConfig(t *testing.T, dir string, mta *postfix) string {
	t.Helper()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, mta.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[upstream]\nhost = \"localhost\"\nusername = %q\npassword = %q\nca_file = %q\n", postfixUser, postfixPassword, ca)
}

// play has the apps send, with trouble all along, and looks at what arrived.
func (s *stage) play(ctx context.Context, mails int) {
	began := time.Now()
	s.must(s.mta.start(ctx))
	s.must(s.relay.start(ctx))
	appsCtx, stopApps := context.WithCancel(ctx)
	ended := func() bool { return s.crowd.running == 0 }
	s.crowd.start(appsCtx, s.apps, s.port, mails)
	defer func() {
		stopApps()
		_ = s.until(context.Background(), "the apps to end", ended)
	}()

	s.trouble(ctx, mails)
	s.must(s.until(ctx, "the apps to send everything", func() bool { return ended() || len(s.crowd.failed) > 0 }))
	s.mu.Lock()
	failed := slices.Clone(s.crowd.failed)
	s.mu.Unlock()
	s.must(errors.Join(failed...))
	sending := time.Since(began)
	s.drain(ctx)
	s.must(s.mta.drained(ctx))
	s.mta.stop()
	s.t.Logf("%s: sent within %s, delivered within %s", s.mode, sending.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	s.judge(mails)
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.t.Fatalf("%v\n%d of %d tokens taken, %d apps running\nKurir's last words:\n%s\nPostfix's:\n%s", err,
			len(s.crowd.taken), len(s.crowd.tries), s.crowd.running, tail(s.relay.events), strings.Join(s.mta.lines[max(0, len(s.mta.lines)-10):], "\n"))
	}
}

// trouble kills and restarts one after the other, each time when some more
// mail has been taken, or delivered.
func (s *stage) trouble(ctx context.Context, mails int) {
	acts := []func(context.Context){s.killRelay, s.restartMTA, s.killRelay, s.killMTA, s.killBoth, s.outage}
	total := len(acts) * max(1, mails/100)
	for i := range total {
		due := (i + 1) * mails / (total + 1)
		s.must(s.until(ctx, "progress", func() bool {
			if s.crowd.running == 0 || len(s.crowd.failed) > 0 {
				return true
			}
			if i%2 == 0 {
				return len(s.crowd.taken) >= due
			}
			return s.count("delivery.sent") >= due
		}))
		acts[i%len(acts)](ctx)
	}
}

// count is how often an event was logged; the caller has the lock.
func (s *stage) count(names ...string) (n int) {
	for _, e := range s.relay.events {
		if slices.Contains(names, e.Event) {
			n++
		}
	}
	return n
}

func (s *stage) killRelay(ctx context.Context) {
	s.kills++
	s.relay.kill()
	s.must(s.relay.start(ctx))
}

func (s *stage) restartMTA(ctx context.Context) {
	s.outages++
	s.mta.stop()
	s.must(s.mta.start(ctx))
}

func (s *stage) killMTA(ctx context.Context) {
	s.outages++
	s.mta.kill()
	s.must(s.mta.start(ctx))
}

func (s *stage) killBoth(ctx context.Context) {
	s.kills++
	s.outages++
	s.mta.kill()
	s.relay.kill()
	s.must(s.relay.start(ctx))
	s.must(s.mta.start(ctx))
}

// outage keeps the provider away until Kurir has felt it, and kills Kurir in
// the middle of it.
func (s *stage) outage(ctx context.Context) {
	s.kills++
	s.outages++
	s.mta.stop()
	felt := []string{"upstream.unavailable", "delivery.deferred", "message.refused"}
	s.mu.Lock()
	before := s.count(felt...)
	s.mu.Unlock()
	s.must(s.until(ctx, "trouble to be felt", func() bool { return s.count(felt...) > before || s.crowd.running == 0 }))
	s.relay.kill()
	s.must(s.relay.start(ctx))
	s.must(s.mta.start(ctx))
}

// drain waits until the spool is empty, and ends Kurir. What was taken in the
// moment of a kill is in the spool and not in the log, so both are looked at.
func (s *stage) drain(ctx context.Context) {
	waiting := map[string]bool{}
	for {
		s.must(s.until(ctx, "the spool to become empty", func() bool {
			open := map[string]bool{}
			for id := range waiting {
				open[id] = true
			}
			for _, e := range s.relay.events {
				if e.Event == "message.accepted" {
					open[e.ID] = true
				}
			}
			for _, e := range s.relay.events {
				switch e.Event {
				case "delivery.sent", "delivery.failed":
					delete(open, e.ID)
				}
			}
			return len(open) == 0
		}))
		s.must(s.relay.stop())
		left, _, err := spool.Open(spool.Options{Dir: filepath.Join(s.dir, "state", "spool")})
		s.must(err)
		clear(waiting)
		for _, e := range left.Waiting() {
			waiting[e.ID.String()] = true
		}
		s.must(left.Close())
		if len(waiting) == 0 {
			return
		}
		s.must(s.relay.start(ctx))
	}
}

// judge compares what apps sent with what arrived.
func (s *stage) judge(mails int) {
	t := s.t
	arrivals, err := s.mta.arrived()
	s.must(err)
	for _, refusal := range s.crowd.refused {
		t.Errorf("our own troubles are no 5xx (promise P4): %s", refusal)
	}

	uncertain := map[string]bool{}
	for _, e := range s.relay.log() {
		if e.Event == "delivery.uncertain" {
			uncertain[e.ID] = true
		}
	}
	byToken := map[string]map[string]map[string]bool{} // Kurir's ids, and below Postfix's
	copies := 0                                        // that Postfix made when it was killed in mid-delivery
	for _, a := range arrivals {
		ids := byToken[a.token]
		if ids == nil {
			ids = map[string]map[string]bool{}
			byToken[a.token] = ids
		}
		if ids[a.id] == nil {
			ids[a.id] = map[string]bool{}
		}
		if ids[a.id][a.queueID] {
			copies++
		}
		ids[a.id][a.queueID] = true
		sent, err := os.ReadFile(filepath.Join(s.crowd.directory, a.token))
		if err != nil || !bytes.Equal(sent, a.body) {
			t.Errorf("%s: the body is not what the app sent (%v): %s", a.token, err, firstDifference(sent, a.body))
		}
	}
	for token := range s.crowd.taken {
		if byToken[token] == nil {
			t.Errorf("%s: an app got its 250, and the message did not arrive\n%s", token, s.history(token))
		}
	}
	doubled, resent := 0, 0
	for token, ids := range byToken {
		if len(ids) > s.crowd.tries[token] {
			t.Errorf("%s: sent %d times by the app, and as %d messages by Kurir\n%s", token, s.crowd.tries[token], len(ids), s.history(token))
		}
		resent += len(ids) - 1
		for id, copies := range ids {
			doubled += len(copies) - 1
			if len(copies) > 1 && !uncertain[id] {
				t.Errorf("%s: Kurir sent %s %d times and did not say that this may be\n%s", token, id, len(copies), s.history(token))
			}
		}
	}
	t.Logf("%s: %d mails: %d accepted, %d arrived; %d doubled of %d said to be uncertain; %d doubled by apps that sent them again, %d by Postfix itself; %d tries without a 250; Kurir killed %d times, %d outages of Postfix",
		s.mode, mails, len(s.crowd.taken), len(byToken), doubled, len(uncertain), resent, copies, s.crowd.delays, s.kills, s.outages)
	if len(s.crowd.taken) < mails {
		t.Errorf("%d of %d mails were accepted", len(s.crowd.taken), mails)
	}
}

// history is what the log tells of a message.
func (s *stage) history(token string) string {
	ids := map[string]bool{}
	var b strings.Builder
	for _, e := range s.relay.log() {
		if strings.HasPrefix(e.MessageID, "<"+token+"@") {
			ids[e.ID] = true
		}
		if ids[e.ID] && e.ID != "" || e.Event == "relay.started" {
			b.WriteString("  " + e.line + "\n")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.mta.lines {
		if strings.Contains(line, "<"+token+"@") {
			b.WriteString("  " + line + "\n")
		}
	}
	return b.String()
}

func firstDifference(a, b []byte) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	around := func(c []byte) []byte { return c[max(0, i-40):min(len(c), i+40)] }
	return fmt.Sprintf("at octet %d of %d and %d: %q was sent, %q arrived", i, len(a), len(b), around(a), around(b))
}

// system runs ip, nft and their like.
func system(t *testing.T, stdin string, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, said)
	}
}
