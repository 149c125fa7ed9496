//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
)

// patienceMS is how long the first message may take when port 587 is of no
// use, whatever is wrong with it.
const patienceMS = 3000

// The most frequent trouble of all: the hosting company, or the provider,
// makes port 587 useless in one of many ways. The first message must go out
// over 465 all the same, soon, with the password shown to nobody else
// (promise P3), and the log must tell why (promise P5).
func TestPeersFallback(t *testing.T) {
	starttls := submission{addr: "127.0.0.1:587"}
	certified := func(c sandbox.Certificate) *submission {
		s := starttls
		s.certificate = c
		return &s
	}
	for _, c := range []struct {
		name     string
		port587  *submission // Postfix there; nil = it is not Postfix
		server   string      // what the odd server does there; "" = it is not the odd server
		firewall string      // what the firewall does to it
		cause    explain.Cause
		stage    explain.Stage
	}{
		{name: "closed", cause: explain.ConnectRefused, stage: explain.StageConnect},
		{name: "dropped", port587: &starttls, firewall: "drop", cause: explain.ConnectTimeout, stage: explain.StageConnect},
		{name: "rejected", port587: &starttls, firewall: "reject with icmpx admin-prohibited", cause: explain.ConnectUnreachable, stage: explain.StageConnect},
		{name: "silent", server: "silent", cause: explain.ConnectTimeout, stage: explain.StageGreeting},
		{name: "web server", server: "http", cause: explain.ProtocolWrongPort, stage: explain.StageGreeting},
		{name: "implicit TLS", port587: &submission{addr: starttls.addr, implicit: true}, cause: explain.ConnectTimeout, stage: explain.StageGreeting},
		{name: "no STARTTLS", port587: &submission{addr: starttls.addr, plain: true}, cause: explain.TLSNotOffered, stage: explain.StageSTARTTLS},
		{name: "wrong name", port587: certified(sandbox.WrongName), cause: explain.TLSCertificateName, stage: explain.StageTLS},
		{name: "expired", port587: certified(sandbox.Expired), cause: explain.TLSCertificateExpired, stage: explain.StageTLS},
		{name: "untrusted", port587: certified(sandbox.Untrusted), cause: explain.TLSCertificateUntrusted, stage: explain.StageTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := within(t, 60*time.Second)
			needPeers(t, "swaks", "ip", "nft")
			enter := namespace(t)
			ports := []submission{{addr: "127.0.0.1:465", implicit: true}}
			if c.port587 != nil {
				ports = append(ports, *c.port587)
			}
			s := newScene()
			mta := newPostfix(t, s, enter, ports...)
			if err := mta.start(ctx); err != nil {
				t.Fatal(err)
			}
			if c.server != "" {
				startOddServer(t, s, enter, c.server, starttls.addr)
			}
			if c.firewall != "" {
				rules := "table inet kurir { chain input { type filter hook input priority 0; tcp dport 587 " + c.firewall + "; }; }\n"
				system(t, rules, append(enter, "nft", "-f", "-")...)
			}
			dir := t.TempDir()
			config := writeConfig(t, dir, upstreamConfig(t, dir, mta)+"[listen]\nsmtp = [\"127.0.0.1:25\"]\n")
			relay := newRelay(t, s, append(enter, "kurir", "serve", "--config", config)...)

			for run, token := range []string{"first", "second"} {
				if err := relay.start(ctx); err != nil {
					t.Fatal(err)
				}
				said, err := swaks(ctx, enter, "127.0.0.1:25", "Message-ID: <"+token+"@peers.test>\nSubject: hello\n\nIt works.\n")
				if err != nil || !strings.Contains(said, "250 2.0.0 sent as ") {
					t.Fatalf("the %s message was not sent: %v\n%s\n%s", token, err, said, tail(relay.log()))
				}
				if err := relay.stop(); err != nil {
					t.Fatal(err)
				}
				checkSent(t, relay.log(), token)
				if run == 0 {
					checkReason(t, relay.log(), c.cause, c.stage)
				}
			}
			checkRemembered(t, relay.log(), filepath.Join(dir, "state", "route-0.json"))
			if err := mta.drained(ctx); err != nil {
				t.Fatal(err)
			}
			if arrived, err := mta.arrived(); err != nil || len(arrived) != 2 {
				t.Errorf("two messages were sent, and %d arrived: %v", len(arrived), err)
			}
		})
	}
}

// namespace makes a network of the test's own, where its ports are free, and
// returns what must stand before a command that runs there.
func namespace(t *testing.T) (enter []string) {
	t.Helper()
	if os.Geteuid() != 0 {
		missingPeer(t, "network namespaces need root")
	}
	name := fmt.Sprintf("kurir-%d", os.Getpid())
	system(t, "", "ip", "netns", "add", name)
	t.Cleanup(func() { system(t, "", "ip", "netns", "del", name) })
	system(t, "", "ip", "-n", name, "link", "set", "lo", "up")
	return []string{"ip", "netns", "exec", name}
}

// startOddServer returns when it listens.
func startOddServer(t *testing.T, s *scene, enter []string, habit, addr string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(enter, "oddserver", habit, addr)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		t.Fatal(err)
	}
	var first string
	gone := s.follow(r, func(line string) {
		if first == "" {
			first = line
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		<-gone
	})
	if err := s.until(t.Context(), "the odd server", func() bool { return first != "" }); err != nil || first != "listening" {
		t.Fatalf("%v: %s", err, first)
	}
}

func checkSent(t *testing.T, log []event, token string) {
	t.Helper()
	for _, e := range log {
		if e.Event != "delivery.sent" || !strings.HasPrefix(e.MessageID, "<"+token+"@") {
			continue
		}
		t.Logf("the %s message took %d ms", token, e.ElapsedMS)
		if e.Upstream != "localhost:465" || e.TLS != "implicit" || e.ElapsedMS > patienceMS {
			t.Errorf("it should be out over 465 within %d ms: %s", patienceMS, e.line)
		}
		return
	}
	t.Errorf("the log does not tell that the %s message was sent:\n%s", token, tail(log))
}

// checkReason looks for the word why 587 was left.
func checkReason(t *testing.T, log []event, cause explain.Cause, stage explain.Stage) {
	t.Helper()
	for _, e := range log {
		if e.Event != "upstream.selected" {
			continue
		}
		if e.Upstream != "localhost:465" || len(e.Candidates) != 1 {
			t.Errorf("465 should be chosen, because of 587: %s", e.line)
			return
		}
		if left := e.Candidates[0]; left.Upstream != "localhost:587" || left.Cause != string(cause) || left.Stage != string(stage) || e.Cause != string(cause) {
			t.Errorf("587 should be left for %s at %s: %s", cause, stage, e.line)
		}
		return
	}
	t.Errorf("the log does not tell which way in is used:\n%s", tail(log))
}

// checkRemembered sees that the second run did not look at 587 any more.
func checkRemembered(t *testing.T, log []event, file string) {
	t.Helper()
	var memory struct{ Way struct{ Port int } }
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &memory)
	}
	if err != nil || memory.Way.Port != 465 {
		t.Errorf("465 should be remembered: %v: %s", err, data)
	}
	runs := 0
	for _, e := range log {
		if e.Event == "relay.started" {
			runs++
		}
		if e.Event == "upstream.selected" && runs == 2 && (len(e.Candidates) > 0 || e.Upstream != "localhost:465") {
			t.Errorf("465 should be used at once: %s", e.line)
		}
	}
}
