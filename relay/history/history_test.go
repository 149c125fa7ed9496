package history_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"kurir/relay/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is one of the log.
func line(event, id, from, to string, at time.Time) []byte {
	text, err := json.Marshal(to)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"level":"info","event":%q,"id":%q,"message_id":"<%s@apps.test>","from":%q,"to":[%s],"size":12,"reply":"250 2.0.0 OK","time":%q,"message":"x"}`+"\n",
		event, id, id, from, text, at.Format("2006-01-02T15:04:05.000Z07:00"))
}

func open(t testing.TB, o history.Options) *history.Writer {
	t.Helper()
	w, err := history.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func events(t *testing.T, all []history.Record, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range all {
		fmt.Fprintf(&b, "%s %s,", r.ID, r.Event)
	}
	return b.String()
}

func find(r *history.Reader, q history.Query) (all []history.Record, err error) {
	for rec, err := range r.Find(q) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// What was written is found again by what people know of a message, over days
// and restarts, newest first.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := history.NewReader(dir)
		if got, err := r.Recent(5); len(got) > 0 || err != nil {
			t.Errorf("no history: %v, %v", got, err)
		}
		for day := range 3 {
			w := open(t, history.Options{Dir: dir})
			id := fmt.Sprintf("id%d", day)
			w.Write(line("message.accepted", id, "app@Example.com", "Jo@example.org", time.Now()))
			w.Write(line("delivery.sent", id, "app@Example.com", "Jo@example.org", time.Now()))
			time.Sleep(24 * time.Hour)
			w.Close()
		}
		files, _ := filepath.Glob(filepath.Join(dir, "2000-01-0?.jsonl"))
		if len(files) != 3 {
			t.Errorf("files: %q", files)
		}
		for _, c := range []struct {
			q    history.Query
			want string
		}{
			{history.Query{}, "id2 delivery.sent,id2 message.accepted,id1 delivery.sent,id1 message.accepted,id0 delivery.sent,id0 message.accepted,"},
			{history.Query{Limit: 3}, "id2 delivery.sent,id2 message.accepted,id1 delivery.sent,"},
			{history.Query{Text: "id1"}, "id1 delivery.sent,id1 message.accepted,"},
			{history.Query{Text: "<id1@apps.test>"}, "id1 delivery.sent,id1 message.accepted,"},
			{history.Query{Text: "ID1@apps.test"}, "id1 delivery.sent,id1 message.accepted,"},
			{history.Query{Text: "jo@example.org", Limit: 1}, "id2 delivery.sent,"},
			{history.Query{Text: "@example.org", Limit: 1}, "id2 delivery.sent,"},
			{history.Query{Text: "o@example.org"}, ""},
			{history.Query{Text: "2.0.0 OK"}, ""},
		} {
			all, err := find(r, c.q)
			if got := events(t, all, err); got != c.want {
				t.Errorf("%+v:\n got %s\nwant %s", c.q, got, c.want)
			}
		}
		story, err := r.Story("id1")
		if got := events(t, story, err); got != "id1 message.accepted,id1 delivery.sent," || story[1].Reply != "250 2.0.0 OK" {
			t.Errorf("story: %s", got)
		}
		if oldest, err := r.Oldest(); err != nil || oldest.Format(time.DateOnly) != "2000-01-01" {
			t.Errorf("%s, %v", oldest, err)
		}
	})
}

// The files are bounded in age and size, and only their owner reads them.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, history.Options{Dir: dir, Keep: 3 * 24 * time.Hour, MaxSize: 100_000})
		for n := range 3000 {
			w.Write(line("delivery.sent", fmt.Sprintf("id%d", n), "a@example.com", "b@example.org", time.Now()))
			time.Sleep(30 * time.Second)
		}
		time.Sleep(24 * time.Hour)
		w.Close()
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		var size int64
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", f, info.Mode(), err)
			}
			size += info.Size()
		}
		if size > 100_000 || size < 50_000 {
			t.Errorf("%d octets in %d files", size, len(files))
		}
		all, err := history.NewReader(dir).Recent(1)
		if got := events(t, all, err); got != "id2999 delivery.sent," {
			t.Errorf("the newest is %s", got)
		}
	})
}

// A line that a crash has torn is left out, and costs no other.
func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	w := open(t, history.Options{Dir: dir})
	w.Write(line("delivery.sent", "one", "a@b.example", "c@d.example", time.Now()))
	w.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"event":"delivery.sent","id":"tor`)
	f.Close()
	w = open(t, history.Options{Dir: dir})
	w.Write(line("delivery.sent", "two", "a@b.example", "c@d.example", time.Now()))
	w.Close()
	all, err := find(history.NewReader(dir), history.Query{Text: "c@d.example"})
	if got := events(t, all, err); got != "two delivery.sent,one delivery.sent," {
		t.Errorf("found %s", got)
	}
	all, err = history.NewReader(dir).Recent(10)
	if got := events(t, all, err); got != "two delivery.sent,one delivery.sent," {
		t.Errorf("recent: %s", got)
	}
}

// A disk that cannot be written is told of once, and costs neither mail nor
// memory; history goes on when it can be again.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "history")
		told := 0
		w := open(t, history.Options{Dir: dir, Trouble: func(error) { told++ }})
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for n := range 10 {
			w.Write(line("delivery.sent", fmt.Sprint(n), "a@b.example", "c@d.example", time.Now()))
			time.Sleep(2 * time.Second)
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.Write(bytes.Repeat([]byte("x"), 10<<20)) // more than it keeps
		time.Sleep(2 * time.Second)
		w.Write(line("delivery.sent", "last", "a@b.example", "c@d.example", time.Now()))
		w.Close()
		all, err := history.NewReader(dir).Recent(1)
		if got := events(t, all, err); got != "last delivery.sent," || told != 1 {
			t.Errorf("%s, told %d times", got, told)
		}
	})
}

// The graph counts each line once, however often it is asked for.
func TestHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, history.Options{Dir: dir})
		r := history.NewReader(dir)
		for hour := range 30 {
			for range hour {
				w.Write(line("delivery.sent", "x", "a@b.example", "c@d.example", time.Now()))
			}
			w.Write(line("delivery.deferred", "x", "a@b.example", "c@d.example", time.Now()))
			w.Write(line("delivery.failed", "x", "a@b.example", "c@d.example", time.Now()))
			w.Write(line("message.accepted", "x", "a@b.example", "c@d.example", time.Now()))
			time.Sleep(30 * time.Minute)
			hours, err := r.Hours(time.Now(), 3)
			if err != nil || len(hours) != 3 || hours[2].Sent != hour || hours[2].Deferred != 1 || hours[2].Failed != 1 ||
				hour > 1 && hours[0].Sent != hour-2 || !hours[2].Start.Equal(time.Now().Truncate(time.Hour)) {
				t.Errorf("hour %d: %+v, %v", hour, hours, err)
			}
			time.Sleep(30 * time.Minute)
		}
		w.Close()
	})
}

// Whatever a line holds, a search neither panics nor finds what is not there.
func FuzzFind(f *testing.F) {
	f.Add([]byte(`{"event":"delivery.sent","id":"x","to":["a@b"]}`), "x")
	f.Add([]byte("\n\n{}"), "")
	f.Add([]byte(`{"id":"\u0041"}`), "A")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "2026-11-23.jsonl"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := history.NewReader(dir)
		for _, err := range r.Find(history.Query{Text: text, Limit: 3}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Hours(time.Now(), 24); err != nil {
			t.Fatal(err)
		}
	})
}

// "kurir why" answers at once, however long history is.
func BenchmarkFind(b *testing.B) {
	dir := b.TempDir()
	w := open(b, history.Options{Dir: dir, MaxSize: 400_000_000})
	for n := range 100_000 {
		id := fmt.Sprintf("6h0b3d%07d", n)
		for _, event := range []string{"message.accepted", "delivery.deferred", "delivery.sent"} {
			if _, err := w.Write(line(event, id, "app@example.com", fmt.Sprintf("user%d@example.org", n), time.Now())); err != nil {
				b.Fatal(err)
			}
		}
		if n%5000 == 0 {
			w.Close()
			w = open(b, history.Options{Dir: dir, MaxSize: 400_000_000})
		}
	}
	w.Close()
	r := history.NewReader(dir)
	for _, text := range []string{"6h0b3d0000007", "<6h0b3d0050000@apps.test>", "user99999@example.org", "nobody@example.org"} {
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				n := 0
				for _, err := range r.Find(history.Query{Text: text}) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != 3 && !strings.HasPrefix(text, "nobody") {
					b.Fatal(errors.New("not found"))
				}
			}
		})
	}
}

// An address is found whatever letters it has, as the log writes them.
func TestFindOddAddresses(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	log := maillogLike(&text)
	addresses := []string{"r&d@example.org", `"a@b"@example.org`, `"x<y>"@example.org`, `"q\\\"u"@example.org`, "jörg@example.org"}
	for i, a := range addresses {
		log(fmt.Sprint("id", i), a)
	}
	if err := os.WriteFile(filepath.Join(dir, "2026-11-23.jsonl"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := history.NewReader(dir)
	for i, a := range addresses {
		if found, err := find(r, history.Query{Text: a}); err != nil || len(found) != 1 || found[0].ID != fmt.Sprint("id", i) {
			t.Errorf("%s: found %+v, %v", a, found, err)
		}
	}
	if found, err := find(r, history.Query{Text: "@example.org"}); err != nil || len(found) != len(addresses) {
		t.Errorf("of the domain there are %d, want %d; %v", len(found), len(addresses), err)
	}
}

// maillogLike writes lines to w with the encoder of the log.
func maillogLike(w *strings.Builder) func(id, from string) {
	z := zerolog.New(w)
	return func(id, from string) {
		z.Info().Str("event", "message.accepted").Str("id", id).Str("from", from).Time("time", time.Unix(1795392000, 0)).Send()
	}
}

// What was counted before a file could not be read is not counted again.
func TestHoursAfterTrouble(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 11, 23, 12, 30, 0, 0, time.UTC)
	if err := os.WriteFile(filepath.Join(dir, "2026-11-23.jsonl"), line("delivery.sent", "a", "x@example.org", "y@example.org", now), 0o600); err != nil {
		t.Fatal(err)
	}
	unreadable := filepath.Join(dir, "2026-11-23.2.jsonl")
	if err := os.Mkdir(unreadable, 0o700); err != nil {
		t.Fatal(err)
	}
	r := history.NewReader(dir)
	for range 3 {
		if _, err := r.Hours(now, 1); err == nil {
			t.Fatal("it was read")
		}
	}
	if err := os.Remove(unreadable); err != nil {
		t.Fatal(err)
	}
	if hours, err := r.Hours(now, 1); err != nil || hours[0].Sent != 1 {
		t.Errorf("%+v, %v; want 1 sent", hours, err)
	}
}

// What has just happened is there for who asks for it, and nobody waits for a
// writer that has ended.
func TestFlush(t *testing.T) {
	dir := t.TempDir()
	w := open(t, history.Options{Dir: dir})
	for n := range 3 {
		fmt.Fprintf(w, "{\"time\":\"2026-01-02T15:04:05.000Z\",\"event\":\"message.accepted\",\"id\":\"%d\"}\n", n)
		w.Flush()
		got, err := history.NewReader(dir).Recent(10)
		if err != nil || len(got) != n+1 {
			t.Fatalf("%d records, want %d: %v", len(got), n+1, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Flush()
}
