package main

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/listener"
	"kurir/relay/maillog"
	"kurir/upstream"
	"kurir/upstream/check"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// A text that is missing would be an empty line, and
// one that nobody says is left over.
func TestCheckWords(t *testing.T) {
	var source strings.Builder
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	english := checkWords(explain.English)
	for _, m := range regexp.MustCompile(`\bSay\((?:[a-z]+, )?"([a-z]+)\.([a-z_]+)"`).FindAllStringSubmatch(source.String(), -1) {
		if english[m[1]][m[2]] == "" {
			t.Errorf("%s.%s is said, and is no text", m[1], m[2])
		}
	}
	for section, texts := range english {
		for name := range texts {
			if !strings.Contains(source.String(), `"`+section+"."+name+`"`) && !strings.Contains(source.String(), `"`+name+`"`) {
				t.Errorf("%s.%s: nobody says it", section, name)
			}
		}
	}
}

// No server may fill the screen with its reply.
func TestPrintBounded(t *testing.T) {
	long := strings.Repeat("go away ", 100_000)
	all := &checkup{Upstreams: []*check.Report{{
		Trouble: &explain.Told{Details: "It refuses.\n  reply:  554 " + long + "\n  do:     Ask it.\n"},
		Sent:    &check.Sent{Reply: long},
	}}}
	var out strings.Builder
	if err := all.print(&out, checkWords(explain.English)); err != nil || out.Len() > 10_000 || !strings.Contains(out.String(), "\n  do:     Ask it.\n") {
		t.Errorf("%d octets: %v", out.Len(), err)
	}
}

// Whoever holds the port decides what is to be done: nothing if it is Kurir,
// by itself or by systemd for it, else stop that program.
func TestTaken(t *testing.T) {
	postfix := upstreamtest.Sandbox(t, sandbox.Options{})
	greeting := func(r string) sandbox.Behaviour {
		return sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageGreeting: {Reply: r}}}
	}
	addr := postfix.STARTTLS().String()
	cases := []struct {
		holder string
		says   sandbox.Behaviour
		result mark
		who    tenant
		want   string
	}{
		{holder: "systemd (process 1)", result: fine, who: systemds, want: "kurir.socket"},
		{holder: "kurir (process 12)", result: fine, who: itself, want: "Kurir is running"},
		{holder: "master (process 12)", result: wrong, want: "taken by Postfix (seen as \"master (process 12)\"): stop it with \"systemctl disable --now postfix\""},
		{holder: "docker-proxy (process 12)", result: wrong, want: "docker-proxy (process 12): stop that program"},
		{says: greeting("220 mx.example.org ESMTP Postfix (Debian)"), result: wrong, want: "disable --now postfix"},
		{says: greeting("220 mx.example.org ESMTP"), result: wrong, want: "says \"220 mx.example.org ESMTP\""},
		{says: greeting("220-mx.example.org\n220 ESMTP Exim 4.98"), result: wrong, want: "disable --now exim4"},
		{says: greeting("554 5.7.1 192.0.2.1 may not use this relay"), result: doubt, want: "cannot be seen by this user"},
		{says: sandbox.Behaviour{Protocol: sandbox.HTTP}, result: doubt, want: "cannot be seen by this user"},
		{says: sandbox.Behaviour{Closed: true}, result: doubt, want: "cannot be seen by this user"},
	}
	for _, c := range cases {
		if err := postfix.Set(c.says); err != nil {
			t.Fatal(err)
		}
		e := &relay.ListenError{Addr: addr, Holder: c.holder, Err: syscall.EADDRINUSE}
		f, who := taken(t.Context(), e, checkWords(explain.English))
		if f.Result != c.result || who != c.who || !strings.Contains(f.Text, c.want) {
			t.Errorf("%s: %+v, tenant %v", c.holder, f, who)
		}
	}
}

// Where the system hides who listens, a Kurir is known by its words.
func TestTakenByKurir(t *testing.T) {
	c := config.Default()
	c.StateDir = t.TempDir()
	c.Spool.Dir = filepath.Join(c.StateDir, "spool")
	c.Listen.SMTP = []string{"127.0.0.1:0"}
	s := upstreamtest.Sandbox(t, sandbox.Options{})
	r, err := relay.New(relay.Options{
		Config: &c, Log: maillog.New(t.Output(), maillog.Options{Format: "json"}),
		Sandbox: &upstream.Options{Host: "localhost", Candidates: s.Candidates(), RootCAs: s.Pool(), Username: "sandbox", Password: "sandbox"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	e := &relay.ListenError{Addr: r.Addrs()[0].String(), Err: syscall.EADDRINUSE}
	words := checkWords(explain.English)
	if f, who := taken(t.Context(), e, words); f.Result != fine || who != itself {
		t.Errorf("%+v, tenant %v", f, who)
	}
	system := fstest.MapFS{}
	if f := spoolDir(&c, itself, system, words); f.Result != fine {
		t.Errorf("the spool of what runs: %+v", f)
	}
	if f := spoolDir(&c, nobody, system, words); f.Result != doubt || !strings.Contains(f.Text, strconv.Itoa(os.Getpid())) {
		t.Errorf("a spool in use, with nobody at the port: %+v", f)
	}
	other := c
	other.Spool.Dir = t.TempDir()
	if f := spoolDir(&other, itself, system, words); f.Result != doubt {
		t.Errorf("a Kurir at the port that has another spool: %+v", f)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Who can send mail in our name must be plain to whoever reads it, above all
// when it is everybody; and a container is a machine of its own.
func TestWhoMayConnect(t *testing.T) {
	inside := fstest.MapFS{"run/.containerenv": {}}
	lan, public := []netip.Addr{netip.MustParseAddr("10.0.0.2")}, []netip.Addr{netip.MustParseAddr("192.0.2.2")}
	world := listener.Audience{World: true}
	cases := []struct {
		exposure relay.Exposure
		allow    string
		system   fstest.MapFS
		result   mark
		want     string
	}{
		{relay.Exposure{}, "loopback", nil, fine, "only this machine"},
		{relay.Exposure{}, "private", nil, fine, "only this machine"},
		{relay.Exposure{}, "loopback", inside, fine, "Kubernetes pod"},
		{relay.Exposure{Addresses: lan}, "loopback", inside, fine, "reached at 10.0.0.2; other machines reach the port, and are refused"},
		{relay.Exposure{Addresses: lan}, "private", inside, doubt, "Every machine there"},
		{relay.Exposure{Addresses: lan, Audience: listener.Audience{Gateway: netip.MustParseAddr("10.0.0.1")}}, "private", inside, doubt, "10.0.0.1, the gateway, may send too"},
		{relay.Exposure{Addresses: lan, Audience: listener.Audience{Gateway: netip.MustParseAddr("10.0.0.1")}}, "private", nil, doubt, "Every machine there"},
		{relay.Exposure{Addresses: public, Public: true}, "192.0.2.0/24", nil, doubt, "from the Internet it is reached at 192.0.2.2"},
		{relay.Exposure{Addresses: lan}, "::1", nil, fine, "are refused"},
		{relay.Exposure{Addresses: public, Public: true, Audience: world}, "0.0.0.0/0", nil, doubt, "an open relay"},
		{relay.Exposure{Addresses: lan, Audience: world}, "::/0", nil, doubt, "an open relay"},
		{relay.Exposure{Addresses: lan}, "127.0.0.0/8", nil, fine, "are refused"},
	}
	for _, c := range cases {
		f := whoMayConnect(config.Listen{Allow: []string{c.allow}}, c.exposure, c.system, checkWords(""))
		if f.Result != c.result || !strings.Contains(f.Text, c.want) {
			t.Errorf("%+v, %s: %+v", c.exposure, c.allow, f)
		}
	}
}

// The last line is what people act on, so it must not blame the way in for
// the test mail, nor all smart hosts for one.
func TestSummary(t *testing.T) {
	works := func(host string) *check.Report {
		return &check.Report{Host: host, OK: true, Way: &explain.Candidate{Host: host, Port: 587, TLS: explain.STARTTLS}}
	}
	failed := func(host string, v explain.Verdict, c explain.Cause) *check.Report {
		return &check.Report{Host: host, Trouble: &explain.Told{Verdict: v, Cause: c}}
	}
	unsent := func(v explain.Verdict, c explain.Cause) *check.Report {
		r := failed("a", v, c)
		r.Way = works("a").Way
		return r
	}
	cases := []struct {
		reports []*check.Report
		local   mark
		ok      bool
		want    string
	}{
		{[]*check.Report{works("a")}, doubt, true, "Mail would go out over a:587 STARTTLS."},
		{[]*check.Report{works("a"), works("b")}, fine, true, "Mail would go out over 1. a:587 STARTTLS and 2. b:587 STARTTLS."},
		{[]*check.Report{works("a"), failed("b", explain.Hold, explain.AuthRejected)}, fine, false, "Mail would go out over 1. a:587 STARTTLS, but not over 2. b."},
		{[]*check.Report{failed("a", explain.Hold, explain.AuthRejected)}, fine, false, "Mail would not go out."},
		{[]*check.Report{failed("a", explain.Retry, explain.ConnectTimeout)}, wrong, false, "Mail would not go out."},
		{[]*check.Report{works("a")}, wrong, false, "The provider would take mail"},
		{[]*check.Report{unsent(explain.Retry, explain.Greylisted)}, fine, false, "The way in works, but the test mail was not taken yet. Try again later."},
		{[]*check.Report{works("a"), unsent(explain.Retry, explain.ServerBusy)}, fine, false, "The way in works, but the test mail was not taken yet."},
		{[]*check.Report{unsent(explain.Return, explain.RecipientUnknown)}, fine, false, "The way in works, but the test mail was refused."},
		{[]*check.Report{unsent(explain.Retry, explain.DeliveryUncertain)}, fine, false, "only its mailbox can tell"},
		{[]*check.Report{unsent(explain.Hold, explain.LimitQuota)}, fine, false, "Mail would not go out."},
	}
	for _, c := range cases {
		all := &checkup{Upstreams: c.reports, Local: []finding{{Result: c.local}}}
		if all.conclude(checkWords(explain.English)); all.OK != c.ok || !strings.Contains(all.Summary, c.want) {
			t.Errorf("ok %v, %q; want %q", all.OK, all.Summary, c.want)
		}
	}
}
