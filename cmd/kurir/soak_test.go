//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
)

// Half an hour of mail from 1 KB to 1 MB, with a provider that fails again and
// again: nothing is lost, and connections, goroutines and memory end where they
// began (promise P10). KURIR_SOAK says how long, such as 30m; 30 seconds
// without it.
func BenchmarkSoak(b *testing.B) {
	length := 30 * time.Second
	if s := os.Getenv("KURIR_SOAK"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			b.Fatal(err)
		}
	}
	says := func(stage explain.Stage, act sandbox.Act) sandbox.Behaviour {
		return sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{stage: act}}
	}
	troubles := []sandbox.Behaviour{
		{Closed: true},
		says(explain.StageGreeting, sandbox.Act{Reply: "421 4.3.2 Too busy"}),
		says(explain.StageAuth, sandbox.Act{Reply: "535 5.7.8 Not accepted"}),
		says(explain.StageRcpt, sandbox.Act{Reply: "451 4.2.0 Greylisted, try later"}),
		says(explain.StageDot, sandbox.Act{End: sandbox.HangUpNow}),
		says(explain.StageMail, sandbox.Act{Reply: "452 4.3.1 Out of storage"}),
	}
	const atOnce, every = 4, 200 * time.Millisecond
	for b.Loop() {
		h := newHaul(b, "through")
		h.relay.environ = append(h.relay.environ, "KURIR_DELIVERY_RETRY_MIN=500ms", "KURIR_DELIVERY_RETRY_MAX=2s")
		if err := h.relay.start(b.Context()); err != nil {
			b.Fatal(err)
		}
		load := &load{
			scene: h.scene, relay: h.relay, addr: h.relay.started().SMTP[0], taken: map[string]bool{}, sent: map[string]int{},
			sizes: []int{1 << 10, 1 << 10, 1 << 10, 1 << 10, 1 << 10, 10 << 10, 10 << 10, 10 << 10, 100 << 10, 1 << 20},
		}
		if !load.try("first") { // the file of the history is opened for it
			b.Fatal("a message was not taken")
		}
		if _, err := h.provider.Wait(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
		begin := h.burden(b)
		third := begin
		began := time.Now()
		tick := time.NewTicker(every)
		for n := 0; time.Since(began) < length; n++ {
			// A trouble lasts a twelfth of the time, and as long nothing is wrong.
			phase := int(12 * time.Since(began) / length)
			behaviour := sandbox.Behaviour{}
			if phase%2 == 1 {
				behaviour = troubles[phase/2%len(troubles)]
			}
			if err := h.provider.Set(behaviour); err != nil {
				b.Fatal(err)
			}
			if phase == 4 {
				third = h.burden(b)
			}
			stop := make(chan bool, atOnce)
			for app := range atOnce {
				go func() { stop <- load.try(fmt.Sprintf("soak-%d-%d", n, app)) }()
			}
			for range atOnce {
				if !<-stop {
					b.Error("a message was not taken")
				}
			}
			<-tick.C
		}
		if err := h.provider.Set(sandbox.Behaviour{}); err != nil {
			b.Fatal(err)
		}
		if _, err := h.provider.Wait(b.Context(), load.accepted()); err != nil {
			b.Fatal(err)
		}
		end := h.burden(b)
		tick.Reset(10 * time.Second) // who looks all the time keeps it busy
		for patience := time.Now().Add(4 * time.Minute); end.above(begin) && time.Now().Before(patience); {
			<-tick.C // kept connections are let go of, and then memory
			end = h.burden(b)
		}
		if end.above(begin) {
			b.Errorf("it began with %+v and ended with %+v", begin, end)
		}
		b.ReportMetric(float64(load.accepted()), "mails")
		b.ReportMetric(begin.megabytes, "MB-begin")
		b.ReportMetric(third.megabytes, "MB-third")
		b.ReportMetric(end.megabytes, "MB-end")
		b.ReportMetric(end.goroutines, "goroutines")
		b.ReportMetric(end.descriptors, "descriptors")
		if err := h.relay.stop(); err != nil {
			b.Fatal(err)
		}
	}
}

// A burden is what a relay takes of its machine.
type burden struct{ megabytes, goroutines, descriptors, waiting float64 }

// above tells whether there is more of anything, or mail that waits.
func (now burden) above(then burden) bool {
	return now.megabytes > then.megabytes || now.goroutines > then.goroutines || now.descriptors > then.descriptors || now.waiting > 0
}

func (h *haul) burden(b *testing.B) (now burden) {
	b.Helper()
	http.DefaultClient.CloseIdleConnections()
	metrics := bodyOf(b, http.DefaultClient, h.relay.started().HTTP+"metrics")
	for name, value := range map[string]*float64{"go_goroutines": &now.goroutines, "process_open_fds": &now.descriptors, "kurir_spool_messages": &now.waiting} {
		found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(metrics)
		if found == nil {
			b.Fatalf("no %s in %s", name, metrics)
		}
		var err error
		if *value, err = strconv.ParseFloat(found[1], 64); err != nil {
			b.Fatal(err)
		}
	}
	rollup, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(h.relay.cmd.Process.Pid), "smaps_rollup"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(rollup)) {
		if kilobytes, ok := strings.CutPrefix(line, "Pss:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kilobytes), "kB")), 64)
			if err != nil {
				b.Fatal(err)
			}
			now.megabytes = n / 1000
		}
	}
	return now
}
