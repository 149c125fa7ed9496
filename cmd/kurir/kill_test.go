package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
)

// kill -9 at any moment, of Kurir and of its provider, loses nothing that was
// acknowledged, and what arrives twice was announced (promises P1, P2 and P6).
// A provider of our own is killed by cutting all its connections; the real ones
// are in TestPeers. KURIR_KILL_ROUNDS asks for more rounds.
func TestKill(t *testing.T) {
	const sessions, mailsARound = 100, 200
	rounds := 10
	if s := os.Getenv("KURIR_KILL_ROUNDS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []string{"queue", "through"} {
		t.Run(mode, func(t *testing.T) {
			ctx := within(t, time.Duration(rounds)*10*time.Second)
			provider := startSandbox(t)
			network := newWire(t, provider.STARTTLS().Port)
			dir := t.TempDir()
			addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
			config := sandboxConfig(t, dir, provider, network.port, fmt.Sprintf(`[listen]
smtp = [%q]
max_connections = 200
[delivery]
mode = %q
retry_min = "1s"
retry_max = "1s"
`, addr, mode))
			s := newScene()
			relay := newRelay(t, s, "kurir", "serve", "--config", config)
			if err := relay.start(ctx); err != nil {
				t.Fatal(err)
			}

			load := &load{scene: s, relay: relay, addr: addr, taken: map[string]bool{}, sent: map[string]int{}}
			stop := load.start(ctx, sessions)
			for round := 1; round <= rounds; round++ {
				// A different number each time, so that the kills meet every moment.
				want := load.accepted() + mailsARound/2 + rand.IntN(mailsARound)
				if err := s.until(ctx, "apps to get their 250", func() bool { return len(load.taken) >= want }); err != nil {
					t.Fatal(err)
				}
				if round%2 == 0 {
					network.cut()
				}
				relay.kill()
				if err := relay.start(ctx); err != nil {
					t.Fatal(err)
				}
				network.mend(t)
			}
			stop()
			arrived := func() bool {
				have := tokensOf(provider.Messages())
				for token := range load.taken {
					if have[token] == nil {
						return false
					}
				}
				return true
			}
			if err := s.until(ctx, "all mail to arrive", arrived); err != nil {
				t.Error(err)
			}
			if err := relay.stop(); err != nil {
				t.Error(err)
			}
			checkDoubles(t, load, relay.log(), provider.Messages())
		})
	}
}

// A wire leads to a provider, and can be cut.
type wire struct {
	port, far int

	mu       sync.Mutex
	listener net.Listener
	ends     map[net.Conn]bool
	running  sync.WaitGroup
}

func newWire(t *testing.T, far int) *wire {
	w := &wire{port: freePort(t), far: far, ends: map[net.Conn]bool{}}
	w.mend(t)
	t.Cleanup(func() { w.cut(); w.running.Wait() })
	return w
}

// mend lets connections through, if it was cut.
func (w *wire) mend(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		return
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", w.port))
	if err != nil {
		t.Fatal(err)
	}
	w.listener = l
	w.running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			if far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", w.far)); err != nil || !w.lay(l, near, far) {
				near.Close()
			}
		}
	})
}

// lay joins two ends, unless the wire has been cut since.
func (w *wire) lay(l net.Listener, near, far net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != l {
		far.Close()
		return false
	}
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		w.ends[pair[0]] = true
		w.running.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			pair[0].Close()
			w.mu.Lock()
			delete(w.ends, pair[0])
			w.mu.Unlock()
		})
	}
	return true
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener == nil {
		return
	}
	w.listener.Close()
	w.listener = nil
	for c := range w.ends {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

func startSandbox(t *testing.T) *sandbox.Server {
	t.Helper()
	provider, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	// It takes its time over the final dot, so that every kill meets messages
	// whose outcome is not known yet.
	slow := sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageDot: {Delay: 10 * time.Millisecond}}}
	if err := provider.Set(slow); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- provider.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return provider
}

// A load is apps that send as fast as they can, a message again until it is
// taken.
type load struct {
	*scene
	relay *relayProgram
	addr  string
	sizes []int // in octets of content; 1 KB if there are none

	// Under the lock.
	taken map[string]bool
	sent  map[string]int // how often the app has begun with a message
	full  int            // how often it heard of a full disk
}

func (l *load) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.taken)
}

// start returns what lets the apps finish their last message.
func (l *load) start(ctx context.Context, apps int) (stop func()) {
	var running sync.WaitGroup
	enough := make(chan struct{})
	for app := range apps {
		running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-enough:
					return
				default:
				}
				token := fmt.Sprintf("app%d-%d", app, n)
				for !l.try(token) {
					if ctx.Err() != nil || l.until(ctx, "Kurir", func() bool { return l.relay.up }) != nil {
						return
					}
				}
			}
		})
	}
	return func() { close(enough); running.Wait() }
}

func (l *load) try(token string) (taken bool) {
	l.change(func() { l.sent[token]++ })
	size := 1 << 10
	if len(l.sizes) > 0 {
		size = l.sizes[rand.IntN(len(l.sizes))]
	}
	const line = "It works.\r\n"
	err := l.send("Message-ID: <" + token + "@apps.test>\r\nSubject: load\r\n\r\n" + strings.Repeat(line, size/len(line)))
	var reply *textproto.Error
	l.change(func() {
		if errors.As(err, &reply) && reply.Code == 452 {
			l.full++
		}
		if err == nil {
			l.taken[token] = true
		}
	})
	return err == nil
}

// send is smtp.SendMail, but what comes after the 250 does not count.
func (l *load) send(content string) error {
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		return err
	}
	client, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		conn.Close()
		return err
	}
	defer client.Close()
	return sendOver(client, content)
}

func sendOver(client *smtp.Client, content string) error {
	if err := client.Mail("app@apps.test"); err != nil {
		return err
	}
	if err := client.Rcpt("you@example.com"); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(content)); err != nil {
		return err
	}
	return w.Close()
}

// tokensOf counts the copies of each message by token and by Kurir's id: an
// app that sent again made a message of its own each time.
func tokensOf(messages []sandbox.Message) map[string]map[string]int {
	tokens := map[string]map[string]int{}
	for _, m := range messages {
		token, id := tokenAndID(m.Content)
		if tokens[token] == nil {
			tokens[token] = map[string]int{}
		}
		tokens[token][id]++
	}
	return tokens
}

func tokenAndID(content []byte) (token, id string) {
	_, rest, _ := bytes.Cut(content, []byte("Message-ID: <"))
	before, _, _ := bytes.Cut(rest, []byte("@"))
	_, rest, _ = bytes.Cut(content, []byte("(Kurir) with "))
	_, rest, _ = bytes.Cut(rest, []byte(" id "))
	name, _, _ := bytes.Cut(rest, []byte(";"))
	return string(before), string(name)
}

func checkDoubles(t *testing.T, l *load, log []event, messages []sandbox.Message) {
	t.Helper()
	uncertain := map[string]bool{}
	for _, e := range log {
		if e.Event == "delivery.uncertain" {
			uncertain[e.ID] = true
		}
	}
	tokens, doubled := tokensOf(messages), 0
	for token := range l.taken {
		if tokens[token] == nil {
			t.Errorf("%s was accepted and did not arrive", token)
		}
	}
	for token, ids := range tokens {
		if len(ids) > l.sent[token] {
			t.Errorf("%s was sent %d times by the app, and arrived as %d messages", token, l.sent[token], len(ids))
		}
		for id, copies := range ids {
			doubled += copies - 1
			if copies > 1 && !uncertain[id] {
				t.Errorf("%s arrived %d times as %s, which the log did not say", token, copies, id)
			}
		}
	}
	t.Logf("%d accepted, %d arrived, %d doubled of %d said to be uncertain", len(l.taken), len(tokens), doubled, len(uncertain))
}
