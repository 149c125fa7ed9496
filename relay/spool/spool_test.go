package spool_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/envelope"
)

func openIn(t *testing.T, dir string) (*spool.Spool, spool.Recovery) {
	t.Helper()
	s, r, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, r
}

func text(size int) []byte {
	return bytes.Repeat([]byte("Selamat siang, ini isi surat yang panjang sekali.\r\n"), size/51+1)[:size]
}

func readAll(m *envelope.Message) ([]byte, error) {
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func read(t *testing.T, m *envelope.Message) []byte {
	t.Helper()
	b, err := readAll(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRoundTrip holds what is read back, before and after a restart, against
// what was put, for content of each size that is stored in another way.
func TestRoundTrip(t *testing.T) {
	for _, size := range []int{0, 2, 1000, 60 << 10, 70 << 10, 256 << 10, 256<<10 + 1, 3 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dir := t.TempDir()
			s, r := openIn(t, dir)
			if r.Messages != 0 || len(r.Damaged) != 0 {
				t.Fatalf("a new spool has %+v", r)
			}
			want := envelope.Envelope{
				From: `"odd one"@example.com`,
				To: []envelope.Recipient{{To: "b@example.org", Notify: "FAILURE", Original: "rfc822;b@example.org"},
					{To: "π@example.org"}},
				UTF8: true, Return: "HDRS", ID: "QQ314159",
			}
			d, err := s.Draft(want, "192.0.2.1:25")
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			content := text(size)
			if size > 10 {
				content[size/2] = 0xe9
			}
			for p := content; len(p) > 0; {
				n := min(len(p), 32<<10)
				if _, err := d.Write(p[:n]); err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
			check := func(m *envelope.Message) {
				t.Helper()
				if m.ID != d.ID().String() || m.Size != int64(size) || m.EightBit != (size > 10) {
					t.Errorf("message is %s, %d octets, 8bit %v", m.ID, m.Size, m.EightBit)
				}
				got, _ := json.Marshal(m.Envelope)
				if want, _ := json.Marshal(want); !bytes.Equal(got, want) {
					t.Errorf("envelope\n%s, want\n%s", got, want)
				}
				if got := read(t, m); !bytes.Equal(got, content) {
					t.Errorf("content differs")
				}
			}
			m := d.Message()
			check(m)
			var reading sync.WaitGroup
			for range 2 { // as a delivery does that is under way when the app's wait ends
				reading.Go(func() {
					if got, err := readAll(m); err != nil || !bytes.Equal(got, content) {
						t.Errorf("content read during Commit differs: %v", err)
					}
				})
			}
			err = d.Commit()
			reading.Wait()
			if err != nil {
				t.Fatal(err)
			}
			check(d.Message())
			m, st, err := s.Message(d.ID())
			if err != nil {
				t.Fatal(err)
			}
			check(m)
			if st.Client != "192.0.2.1:25" || !st.Received.Equal(d.Received()) {
				t.Errorf("stored %+v", st)
			}
			if n, octets := s.Usage(); n != 1 || octets != int64(size) {
				t.Errorf("usage is %d, %d", n, octets)
			}
			s.Close()

			s, r = openIn(t, dir)
			list := s.Waiting()
			if r.Messages != 1 || len(list) != 1 || list[0].ID != d.ID() || list[0].Size != int64(size) ||
				list[0].From != want.From || !list[0].Due.Equal(d.Received()) {
				t.Fatalf("after a restart: %+v, %+v", r, list)
			}
			if m, _, err = s.Message(d.ID()); err != nil {
				t.Fatal(err)
			}
			check(m)
			if err := s.Done(d.ID()); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Message(d.ID()); !errors.Is(err, spool.ErrNotFound) {
				t.Errorf("after Done: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "big", "*")); len(left) > 0 {
				t.Errorf("left in big/: %q", left)
			}
		})
	}
}

// TestPlainFiles follows a message of each kind through deferred/ and failed/,
// where a person must find it with ls, less and jq.
func TestPlainFiles(t *testing.T) {
	for _, size := range []int{500, 400 << 10} {
		dir := t.TempDir()
		s, _ := openIn(t, dir)
		id := commit(t, s, text(size))
		_, st, err := s.Message(id)
		if err != nil {
			t.Fatal(err)
		}
		due := st.Received.Add(time.Minute)
		st.Due = due
		st.Tried++
		st.Attempts = append(st.Attempts, spool.Attempt{Time: st.Received, Stage: "rcpt", Cause: "greylisted", Code: 450, Reply: "450 4.2.0 later"})
		if err := s.Defer(st); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "deferred", id.String())
		if b, err := os.ReadFile(name + ".eml"); err != nil || !bytes.Equal(b, text(size)) {
			t.Errorf("deferred content: %v", err)
		}
		if fi, err := os.Stat(name + ".json"); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("deferred json: %v", err)
		}
		s.Close()

		s, r := openIn(t, dir)
		if list := s.Waiting(); r.Messages != 1 || !list[0].Due.Equal(due) || list[0].Attempts != 1 {
			t.Fatalf("after a restart: %+v, %+v", r, list)
		}
		st.Tried++
		st.Attempts = append(st.Attempts, spool.Attempt{Time: due, Cause: "recipient.unknown", Recipients: []envelope.Path{"pelanggan@example.org"}})
		if err := s.Fail(st); err != nil {
			t.Fatal(err)
		}
		if err := s.Fail(st); err != nil { // once more, as after a crash
			t.Fatal(err)
		}
		if err := s.Done(id); err != nil {
			t.Fatal(err)
		}
		var failed spool.Stored
		b, err := os.ReadFile(filepath.Join(dir, "failed", id.String()+".json"))
		if err == nil {
			err = json.Unmarshal(b, &failed)
		}
		if err != nil || len(failed.Attempts) != 2 || len(failed.Envelope.To) != 1 {
			t.Errorf("failed json: %v\n%s", err, b)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "failed", id.String()+".eml")); err != nil || !bytes.Equal(b, text(size)) {
			t.Errorf("failed content: %v", err)
		}
		if left, _ := filepath.Glob(name + ".*"); len(left) > 0 {
			t.Errorf("left in deferred/: %q", left)
		}
		if n, err := s.Expire(time.Hour); n != 0 || err != nil {
			t.Errorf("Expire an hour: %d, %v", n, err)
		}
		if n, err := s.Expire(-time.Second); n != 1 || err != nil {
			t.Errorf("Expire all: %d, %v", n, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "failed", "*")); len(left) > 0 {
			t.Errorf("left in failed/: %q", left)
		}
		s.Close()
	}
}

// TestUncertain: an attempt that came to the dot and was never concluded is
// named after a restart, one that was concluded is not (P6).
func TestUncertain(t *testing.T) {
	dir := t.TempDir()
	s, _ := openIn(t, dir)
	var ids []spool.ID
	for range 4 {
		ids = append(ids, commit(t, s, text(100)))
	}
	for _, id := range ids[1:] {
		if err := s.Sending(id, 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids[2:] {
		st, err := s.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		st.Tried++
		st.Attempts = append(st.Attempts, spool.Attempt{Time: time.Now(), Cause: "server.busy"})
		if err := s.Defer(st); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sending(ids[3], 2); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for range 2 {
		s, r := openIn(t, dir)
		if want := []spool.ID{ids[1], ids[3]}; !slices.Equal(r.Uncertain, want) {
			t.Errorf("uncertain are %v, want %v", r.Uncertain, want)
		}
		s.Close()
	}
}

// TestOneProcess: a second process gets a clear refusal.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	s, _ := openIn(t, dir)
	_, _, err := spool.Open(spool.Options{Dir: dir})
	var locked *spool.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Dir != dir {
		t.Fatalf("second Open: %v", err)
	}
	locked = nil
	if err := spool.InUse(dir); !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Dir != dir {
		t.Errorf("in use: %v", err)
	}
	s.Close()
	for _, free := range []string{dir, filepath.Join(dir, "none")} {
		if err := spool.InUse(free); err != nil {
			t.Errorf("%s is not in use: %v", free, err)
		}
	}
	openIn(t, dir)
}

// TestLookedAt: who only looks whether a spool is in use keeps no relay from
// starting.
func TestLookedAt(t *testing.T) {
	dir := t.TempDir()
	s, _ := openIn(t, dir)
	s.Close()
	var over atomic.Bool
	var looking sync.WaitGroup
	looking.Go(func() {
		for !over.Load() {
			_ = spool.InUse(dir)
		}
	})
	for range 50 {
		s, _ := openIn(t, dir)
		s.Close()
	}
	over.Store(true)
	looking.Wait()
}

// TestVersion: a spool of a newer format is refused and left as it is.
func TestVersion(t *testing.T) {
	for _, found := range []string{"2\n", "", "one"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "VERSION")
		if err := os.WriteFile(path, []byte(found), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := spool.Open(spool.Options{Dir: dir})
		var version *spool.VersionError
		if !errors.As(err, &version) || version.Found != strings.TrimSpace(found) {
			t.Errorf("VERSION %q: %v", found, err)
		}
		if b, _ := os.ReadFile(path); string(b) != found {
			t.Errorf("VERSION %q was changed to %q", found, b)
		}
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 2 {
			t.Errorf("VERSION %q: something was made: %q", found, names)
		}
	}
}

// TestMaxSize: what waits and what is being received stays within MaxSize,
// and there is room again once something has left.
func TestMaxSize(t *testing.T) {
	s, _, err := spool.Open(spool.Options{Dir: t.TempDir(), MaxSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := commit(t, s, text(600))
	if err := s.Space(401); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Space(401): %v", err)
	}
	if err := s.Space(400); err != nil {
		t.Errorf("Space(400): %v", err)
	}
	d, err := s.Draft(envelope.Envelope{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(text(300)); err != nil {
		t.Error(err)
	}
	if err := s.Space(101); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Space beside a draft: %v", err)
	}
	if _, err := d.Write(text(101)); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Write past MaxSize: %v", err)
	}
	if err := d.Commit(); err == nil {
		t.Error("a draft with an error was committed")
	}
	d.Close()
	if err := s.Done(id); err != nil {
		t.Fatal(err)
	}
	if err := s.Space(1000); err != nil {
		t.Errorf("Space(1000) when all has left: %v", err)
	}
}

// TestReaderOutlivesDraft: a delivery that goes on after the session has
// ended reads what was received, though the buffer is used again by others.
func TestReaderOutlivesDraft(t *testing.T) {
	dir := t.TempDir()
	s, _ := openIn(t, dir)
	for _, size := range []int{1000, 300 << 10} {
		d, err := s.Draft(envelope.Envelope{}, "")
		if err != nil {
			t.Fatal(err)
		}
		d.Write(text(size))
		m := d.Message()
		r, err := m.Open()
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
		for range 10 {
			commit(t, s, bytes.Repeat([]byte("x"), size))
		}
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, text(size)) {
			t.Errorf("%d octets: changed, %v", size, err)
		}
		r.Close()
		if _, err := m.Open(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Open after Close: %v", err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "big", "*.tmp")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestDamagedFiles: what cannot be understood is set aside and named, never
// deleted, and does not keep the rest from being delivered.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	s, _ := openIn(t, dir)
	var ids []spool.ID
	for range 4 {
		id := commit(t, s, text(100))
		st, err := s.Load(id)
		if err == nil {
			err = s.Defer(st)
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	lost := commit(t, s, text(300<<10))
	s.Close()
	in := func(sub string, id spool.ID, kind string) string { return filepath.Join(dir, sub, id.String()+kind) }
	os.WriteFile(in("deferred", ids[0], ".json"), []byte("{oops"), 0o600)
	os.Remove(in("deferred", ids[1], ".json"))
	os.Truncate(in("deferred", ids[2], ".eml"), 50)
	os.WriteFile(filepath.Join(dir, "deferred", "notes.txt"), nil, 0o600)
	os.Remove(in("big", lost, ".eml"))

	s, r := openIn(t, dir)
	if list := s.Waiting(); len(list) != 1 || list[0].ID != ids[3] {
		t.Errorf("waiting are %+v", list)
	}
	if len(r.Damaged) != 6 {
		t.Errorf("damaged are\n%s", strings.Join(r.Damaged, "\n"))
	}
	for _, path := range []string{in("bad", ids[0], ".json"), in("bad", ids[0], ".eml"), in("bad", ids[1], ".eml"),
		in("bad", ids[2], ".json"), in("bad", ids[2], ".eml"), in("bad", lost, ".json"), filepath.Join(dir, "deferred", "notes.txt")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	s.Close()
	if _, r = openIn(t, dir); len(r.Damaged) != 0 {
		t.Errorf("named once more: %q", r.Damaged)
	}
}

// TestManyAtOnce runs every operation from many goroutines, with enough mail
// to remove and compact segments, and restarts in the middle of it all.
func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	want := map[spool.ID][]byte{}
	for round := range 3 {
		s, r := openIn(t, dir)
		if r.Messages != len(want) || len(r.Damaged) > 0 || r.TornBytes > 0 {
			t.Fatalf("round %d: %+v, want %d messages", round, r, len(want))
		}
		for id, content := range want {
			if m, _, err := s.Message(id); err != nil {
				t.Fatal(err)
			} else if !bytes.Equal(read(t, m), content) {
				t.Fatalf("%s has another content", id)
			}
		}
		var wg sync.WaitGroup
		for n := range 16 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(n)))
				for range 150 {
					content := text(1 + r.IntN(40<<10))
					id := commit(t, s, content)
					m, st, err := s.Message(id)
					if err != nil {
						t.Error(err)
						return
					}
					if !bytes.Equal(read(t, m), content) {
						t.Errorf("%s has another content", id)
					}
					s.Sending(id, 1)
					switch r.IntN(40) {
					case 0:
						mu.Lock()
						want[id] = content
						mu.Unlock()
						continue
					case 1:
						st.Tried++
						st.Attempts = append(st.Attempts, spool.Attempt{Cause: "greylisted"})
						err = s.Defer(st)
					case 2:
						err = s.Fail(st)
					}
					if err = errors.Join(err, s.Done(id)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s.Close()
	}
	left, _ := filepath.Glob(filepath.Join(dir, "journal", "*"))
	if len(left) > 8 {
		t.Errorf("%d segments are left", len(left))
	}
}

// TestID: IDs sort by time as numbers and as text, and survive a round trip.
func TestID(t *testing.T) {
	s, _ := openIn(t, t.TempDir())
	var last spool.ID
	for range 100 {
		d, err := s.Draft(envelope.Envelope{}, "")
		if err != nil {
			t.Fatal(err)
		}
		id := d.ID()
		d.Close()
		if id <= last || last != 0 && id.String() <= last.String() {
			t.Fatalf("%s does not come after %s", id, last)
		}
		for _, text := range []string{id.String(), strings.ToUpper(id.String())} {
			if got, err := spool.ParseID(text); err != nil || got != id {
				t.Errorf("ParseID(%q) is %v, %v", text, got, err)
			}
		}
		last = id
	}
	for _, bad := range []string{"", "0000000000000", "g000000000000", "000000000000u", "00000000000001", "0000../../etc"} {
		if id, err := spool.ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) is %v", bad, id)
		}
	}
}
