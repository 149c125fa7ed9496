package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kurir/relay/control"
	"kurir/relay/maillog"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A provider takes mail, or fails as it is told to.
type provider struct {
	mu        sync.Mutex
	failure   *explain.Failure
	delivered chan string
}

func (p *provider) Deliver(_ context.Context, m *envelope.Message) (*explain.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure != nil {
		return nil, p.failure
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	p.delivered <- string(content)
	return &explain.Receipt{Reply: *explain.NewReply(250, []string{"2.0.0 OK"})}, nil
}

func (p *provider) fail(f *explain.Failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = f
}

// A door is a queue with its control socket, and a client at it.
type door struct {
	*control.Client
	provider *provider
	queue    *queue.Queue
	spool    *spool.Spool
	dir      string
	log      *bytes.Buffer
	close    func()
}

func newDoor(t *testing.T, failure *explain.Failure) *door {
	t.Helper()
	d := &door{provider: &provider{failure: failure, delivered: make(chan string, 10)}, dir: t.TempDir(), log: new(bytes.Buffer)}
	var err error
	if d.spool, _, err = spool.Open(spool.Options{Dir: d.dir}); err != nil {
		t.Fatal(err)
	}
	log := maillog.New(&locked{w: d.log}, maillog.Options{Level: "info", Format: "json"})
	d.queue = queue.New(queue.Options{Spool: d.spool, Log: log, Settings: queue.Settings{
		Mode: queue.Spooled, RetryMin: time.Hour, RetryMax: time.Hour, GiveUpAfter: 100 * time.Hour,
		Routes: []queue.Route{{Name: "smtp.example.com", Deliverer: d.provider, Slots: 1}},
	}})
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s := control.NewServer(control.Options{Queue: d.queue, Spool: d.spool, SpoolDir: d.dir, Log: log, Ways: new(control.Ways)})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.queue.Run(ctx) })
	running.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	d.close = sync.OnceFunc(func() {
		_ = s.Close()
		cancel()
		running.Wait()
		if err := d.spool.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(d.close)
	d.Client = control.NewClient([]string{filepath.Join(t.TempDir(), "nobody.sock"), path})
	return d
}

type locked struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (d *door) submit(t *testing.T, to envelope.Path) spool.ID {
	t.Helper()
	dr, err := d.spool.Draft(envelope.Envelope{From: "app@example.com", To: []envelope.Recipient{{To: to}}}, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dr.Write([]byte("Subject: " + string(to) + "\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	d.queue.Submit(t.Context(), dr)
	return dr.ID()
}

// until lists until there are as many messages as are wanted.
func (d *door) until(t *testing.T, f control.Filter, want int) []control.Message {
	t.Helper()
	for t.Context().Err() == nil {
		var all []control.Message
		for m, err := range d.List(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		if len(all) == want {
			return all
		}
	}
	t.Fatal("the test took too long")
	return nil
}

func refusal(reply string) *explain.Failure {
	return explain.Explain(explain.Failure{
		Stage: explain.StageAuth, Reply: explain.NewReply(535, []string{reply}),
		Candidate: explain.Candidate{Host: "smtp.example.com", Port: 587, TLS: explain.STARTTLS},
	})
}

// An operator sees why a route is held, mends it, and a flush delivers at
// once what would have waited for the next probe.
func TestHeldRoute(t *testing.T) {
	d := newDoor(t, refusal("5.7.8 Username and Password not accepted"))
	d.submit(t, "you@example.org")
	var st control.Status
	for len(st.Routes) == 0 || st.Routes[0].Trouble == nil {
		var err error
		if st, err = d.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r := st.Routes[0]; r.Condition != "held" || r.Trouble.Cause != explain.AuthRejected || r.Trouble.Fix == "" || !st.Running {
		t.Errorf("status is %+v", st)
	}
	m := d.until(t, control.Filter{Cause: "auth", Address: "@EXAMPLE.org"}, 1)[0]
	if m.State != control.Waiting || m.Cause != "auth.rejected" || m.Due.IsZero() {
		t.Errorf("listed %+v", m)
	}
	d.until(t, control.Filter{Older: time.Hour}, 0)
	d.until(t, control.Filter{Cause: "aut"}, 0)
	story, err := d.Show(t.Context(), m.ID)
	if err != nil || story.Trouble == nil || story.Waiting == nil || story.Failed != nil {
		t.Errorf("story %+v, %v", story, err)
	}
	d.provider.fail(nil)
	if done, err := d.Flush(t.Context()); err != nil || done.Messages != 1 {
		t.Errorf("flush: %+v, %v", done, err)
	}
	<-d.provider.delivered
	d.until(t, control.Filter{}, 0)
}

// What failed for good is there whole, and is delivered once its cause is
// mended and a person says so (P2).
func TestRetryFailed(t *testing.T) {
	f := refusal("5.1.1 no such user")
	f.Stage, f.Recipient, f.Cause = explain.StageRcpt, "you@example.org", explain.RecipientUnknown
	d := newDoor(t, f)
	id := d.submit(t, "you@example.org")
	failed := d.until(t, control.Filter{Failed: true}, 1)
	d.until(t, control.Filter{}, 0)
	story, err := d.Show(t.Context(), id)
	if err != nil || story.State != control.Failed || failed[0].ID != id || len(story.Failed.Attempts) != 1 || story.Failed.Attempts[0].Fix == "" {
		t.Fatalf("story %+v, %v", story, err)
	}
	d.provider.fail(nil)
	if done, err := d.Retry(t.Context(), control.Choice{All: true, Filter: control.Filter{Failed: true}}, quiet); err != nil || done.Messages != 1 {
		t.Errorf("retry: %+v, %v", done, err)
	}
	if got := <-d.provider.delivered; got != "Subject: you@example.org\r\n\r\nx\r\n" {
		t.Errorf("delivered %q", got)
	}
	d.until(t, control.Filter{}, 0)
	d.until(t, control.Filter{Failed: true}, 0)
	if _, err := d.Show(t.Context(), id); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("show: %v", err)
	}
	d.close()
	if log := d.log.String(); !strings.Contains(log, `"event":"queue.retry","id":"`+id.String()+`","uid":`) {
		t.Errorf("the log has no word of it: %s", log)
	}
}

func quiet(control.Done) {}

// Who has much done hears how far it is, and of only so many errors.
func TestProgress(t *testing.T) {
	d := newDoor(t, refusal("5.7.8 no"))
	ids := make([]spool.ID, 2500) // none of them is there
	for i := range ids {
		ids[i] = spool.ID(i + 1)
	}
	heard := 0
	done, err := d.Drop(t.Context(), control.Choice{IDs: ids}, func(control.Done) { heard++ })
	if err != nil || heard != 4 || done.Messages != 0 || len(done.Errors) != 21 {
		t.Errorf("%v; heard %d times; %d errors", err, heard, len(done.Errors))
	}
}

// Only what is named is dropped, and what is gone cannot be tried again. What
// waits then can be seen in the files when the relay has ended.
func TestDrop(t *testing.T) {
	d := newDoor(t, refusal("5.7.8 no"))
	first, second := d.submit(t, "a@example.org"), d.submit(t, "b@example.org")
	d.until(t, control.Filter{Cause: "auth.rejected"}, 2) // no attempt is under way
	if _, err := d.Drop(t.Context(), control.Choice{}, quiet); err == nil {
		t.Error("dropped without a word which")
	}
	done, err := d.Drop(t.Context(), control.Choice{IDs: []spool.ID{first}}, quiet)
	if err != nil || done.Messages != 1 || len(done.Errors) != 0 {
		t.Errorf("drop: %+v, %v", done, err)
	}
	if done, err = d.Retry(t.Context(), control.Choice{IDs: []spool.ID{first}}, quiet); err != nil || done.Messages != 0 || len(done.Errors) != 1 {
		t.Errorf("retry of what is gone: %+v, %v", done, err)
	}
	d.close()
	view, err := spool.Look(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	desk := control.OnFiles(view, d.dir)
	var left []spool.ID
	for m, err := range desk.List(control.Filter{Address: "b@example.org"}) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, m.ID)
	}
	if st, err := desk.Status(); len(left) != 1 || left[0] != second || err != nil || st.Waiting != 1 || st.Running {
		t.Errorf("the files have %v, %+v, %v", left, st, err)
	}
	if _, err := d.Status(t.Context()); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("the relay has ended: %v", err)
	}
}

// Who drops all that has failed, or all that waits, drops no more of a message
// than that: the other recipients of one that has failed for some are served
// all the same (P2).
func TestDropOfAPart(t *testing.T) {
	for failed, left := range map[bool]control.Filter{true: {}, false: {Failed: true}} {
		d := newDoor(t, refusal("5.7.8 no"))
		id := d.submit(t, "a@example.org")
		d.until(t, control.Filter{Cause: "auth.rejected"}, 1) // no attempt is under way
		st, err := d.spool.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		st.Envelope.To = []envelope.Recipient{{To: "b@example.org"}}
		if err := d.spool.Fail(st); err != nil {
			t.Fatal(err)
		}
		done, err := d.Drop(t.Context(), control.Choice{All: true, Filter: control.Filter{Failed: failed}}, quiet)
		if err != nil || done.Messages != 1 || len(done.Errors) != 0 {
			t.Errorf("drop: %+v, %v", done, err)
		}
		d.until(t, control.Filter{Failed: failed}, 0)
		if d.until(t, left, 1)[0].ID != id {
			t.Error("another message is left")
		}
		if failed {
			d.provider.fail(nil)
			if done, err := d.Flush(t.Context()); err != nil || done.Messages != 1 {
				t.Errorf("flush: %+v, %v", done, err)
			}
			<-d.provider.delivered
		}
		d.close()
	}
}

// What cannot be read is not taken for old, so that nobody drops it as that.
func TestUnreadableIsNotOld(t *testing.T) {
	d := newDoor(t, nil)
	if err := os.WriteFile(filepath.Join(d.dir, "failed", spool.ID(1<<40).String()+".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m := d.until(t, control.Filter{Failed: true}, 1)[0]; m.Error == "" {
		t.Errorf("it was read: %+v", m)
	}
	d.until(t, control.Filter{Failed: true, Older: time.Hour}, 0)
}

// The socket of a dead relay does not keep the next from starting, that of a
// living one does; and only its user and group get in.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{path: 0o660, filepath.Dir(path): 0o750} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm()&^want != 0 {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
	var taken *control.TakenError
	if _, err := control.Listen(path); !errors.As(err, &taken) {
		t.Errorf("beside another: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as kill -9 leaves it
	l.Close()
	if l, err = control.Listen(path); err != nil {
		t.Fatalf("after a dead one: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(path); err == nil {
		t.Error("a file of somebody was replaced")
	}
}

// A message in JSON has the names that scripts rely on.
func TestMessageJSON(t *testing.T) {
	b, err := json.Marshal(control.Message{ID: 1, State: control.Waiting, To: []envelope.Path{"a@b"}})
	if want := `{"id":"0000000000001","state":"waiting","from":"","to":["a@b"],"received":"0001-01-01T00:00:00Z","size":0,"attempts":0}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}
