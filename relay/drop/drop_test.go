//go:build unix

package drop_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kurir/relay/drop"
	"kurir/upstream/envelope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A place is a drop directory with a relay that takes from it.
type place struct {
	t   *testing.T
	dir string

	mu       sync.Mutex
	messages []string // envelope and content
	warnings []string
	fate     drop.Fate
	full     error
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: filepath.Join(t.TempDir(), "state", "drop")}
	if err := drop.Make(p.dir); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) Warning(_, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warnings = append(p.warnings, text)
}

func (p *place) taker() *drop.Taker {
	return drop.NewTaker(drop.Options{
		Dir:           p.dir,
		MaxSize:       func() int64 { return 1000 },
		MaxRecipients: func() int { return 3 },
		Address:       complete,
		Room: func(int64) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.full
		},
		Take: func(_ context.Context, env envelope.Envelope, content io.Reader) (drop.Fate, string) {
			text, err := io.ReadAll(content)
			if err != nil {
				p.t.Error(err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.messages = append(p.messages, fmt.Sprintf("%v %s", env, text))
			return p.fate, "so it is"
		},
		Log: p,
	})
}

func complete(s string) (envelope.Path, error) {
	if s != "" && !strings.Contains(s, "@") {
		s += "@here.example"
	}
	return envelope.ParsePath(s)
}

// once lets a taker look once, as at the start of a relay.
func (p *place) once() {
	synctest.Test(p.t, func(*testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { synctest.Wait(); cancel() }()
		p.taker().Run(ctx)
	})
}

func (p *place) put(env envelope.Envelope, content string) {
	p.t.Helper()
	if err := drop.Put(p.dir, env, strings.NewReader(content)); err != nil {
		p.t.Fatal(err)
	}
}

// write puts a file there that Put would not.
func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) names() []string {
	p.t.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func hexName(n int) string { return fmt.Sprintf("%032x", n) }

func to(addresses ...string) envelope.Envelope {
	env := envelope.Envelope{From: "app@example.com"}
	for _, a := range addresses {
		env.To = append(env.To, envelope.Recipient{To: envelope.Path(a)})
	}
	return env
}

// What is left is taken as it was, once, and the directory is as the package
// says, whatever the umask.
func TestPutAndTake(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	p := newPlace(t)
	if info, err := os.Stat(p.dir); err != nil || info.Mode() != fs.ModeDir|fs.ModeSticky|0o733 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(p.dir)); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("the way there: %v, %v", info.Mode(), err)
	}
	env := to("root", "a@example.org")
	env.To[1].Notify, env.Return, env.ID = "NEVER", "HDRS", "x+2By"
	p.put(env, "Subject: x\n\nhello\r\n.\n")
	if info, err := os.Stat(filepath.Join(p.dir, p.names()[0])); err != nil || info.Mode() != 0o644 {
		t.Errorf("a file: %v, %v", info.Mode(), err)
	}
	p.once()
	want := "{<app@example.com> [{<root@here.example>  } {<a@example.org> NEVER }] false HDRS x+2By} Subject: x\n\nhello\r\n.\n"
	if len(p.messages) != 1 || p.messages[0] != want || len(p.names()) != 0 || len(p.warnings) != 0 {
		t.Errorf("taken %q, left %q, said %q", p.messages, p.names(), p.warnings)
	}
	p.once()
	if len(p.messages) != 1 {
		t.Error("it was taken twice")
	}
}

// A directory of somebody else's is not used: its owner could read and remove
// the mail of all.
func TestMakeRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/tmp", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "file", "file/below"} {
		if err := drop.Make(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was made a drop directory", name)
		}
	}
}

// Any user can put anything into the directory. It is put aside and told
// once; nobody gets another's file sent, and the others' mail goes out.
func TestHostileFiles(t *testing.T) {
	p := newPlace(t)
	good := `{"version":1,"from":"a@example.com","to":[{"to":"b@example.com"}]}` + "\n"
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(good+"geheim"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no name of ours":          good,
		"../up"[3:]:                good,
		hexName(1):                 "",
		hexName(2):                 good[:len(good)-1],
		hexName(3):                 "\x00\xff\xfe\n",
		hexName(4):                 strings.Repeat("x", 1<<20+1) + "\n",
		hexName(5):                 strings.Replace(good, `"version":1`, `"version":2`, 1),
		hexName(6):                 strings.Replace(good, `"b@example.com"`, `"b@example.com>\r\nRCPT TO:<c@example.com"`, 1),
		hexName(7):                 strings.Replace(good, `"}]`, `"},{"to":"c@d"},{"to":"e@f"},{"to":"g@h"}]`, 1),
		hexName(8):                 strings.Replace(good, `}]`, `,"notify":"NEVER\r\nDATA"}]`, 1),
		hexName(9):                 strings.Replace(good, `}]`, `}],"envid":"a b"`, 1),
		hexName(10):                strings.Replace(good, `}]`, `}],"ret":"X"`, 1),
		hexName(11):                strings.Replace(good, `}]`, `}],"more":1`, 1),
		hexName(12):                strings.TrimSuffix(good, "\n") + "{}\n",
		hexName(13):                strings.Replace(good, `{"to":"b@example.com"}`, ``, 1),
		hexName(14):                strings.Replace(good, `b@example.com`, ``, 1),
		hexName(15):                strings.Replace(good, `}]`, `,"orcpt":"x\r\n"}]`, 1),
		strings.Repeat("long", 63): good,
	} {
		p.write(name, text)
	}
	at := func(name string) string { return filepath.Join(p.dir, name) }
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Symlink(secret, at(hexName(20))))
	check(os.Link(secret, at(hexName(21))))
	check(syscall.Mkfifo(at(hexName(22)), 0o644))
	check(os.Mkdir(at(hexName(23)), 0o777))
	check(os.MkdirAll(at(hexName(24)+".bad/full"), 0o777)) // in the way of
	p.write(hexName(24), "bad")
	hostile := 18 + 5
	if err := syscall.Mknod(at(hexName(25)), syscall.S_IFCHR|0o644, 1<<8|5); err == nil { // /dev/zero
		hostile++
	}
	p.write(hexName(26), good)
	check(os.Truncate(at(hexName(26)), 1<<40)) // sparse
	hostile++
	p.put(to("b@example.com"), "good")
	p.once()
	if len(p.messages) != 1 || !strings.HasSuffix(p.messages[0], " good") {
		t.Errorf("taken: %q", p.messages)
	}
	bad := 0
	for _, name := range p.names() {
		if !strings.HasSuffix(name, ".bad") {
			t.Errorf("%q is still there", name)
		}
		bad++
	}
	if bad != hostile+1 { // and what was in the way
		t.Errorf("%d files are put aside, want %d", bad, hostile+1)
	}
	said := len(p.warnings)
	if text := strings.Join(p.warnings, "\n"); strings.Contains(text, "geheim") || said > 25 {
		t.Errorf("%d warnings:\n%s", said, text)
	}
	p.once()
	if len(p.warnings) != said || len(p.messages) != 1 {
		t.Error("they came up again")
	}
}

// A flood is taken whole, and nothing of it is told line by line.
func TestFlood(t *testing.T) {
	p := newPlace(t)
	for n := range 10_000 {
		if n%2 == 0 {
			p.write(hexName(n), "junk")
		} else {
			p.write(fmt.Sprint("junk", n), "")
		}
	}
	for range 200 {
		p.put(to("b@example.com"), "good")
	}
	p.once()
	if len(p.messages) != 200 || len(p.warnings) > 10_000/4 {
		t.Errorf("%d messages, %d warnings", len(p.messages), len(p.warnings))
	}
}

// Who leaves ten thousand files does not keep the others waiting.
func TestUsersTakeTurns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play several users")
	}
	p := newPlace(t)
	for n := range 500 {
		p.write(hexName(n), "{\"version\":1,\"from\":\"\",\"to\":[{\"to\":\"many\"}]}\n")
	}
	one := hexName(1 << 20)
	p.write(one, "{\"version\":1,\"from\":\"\",\"to\":[{\"to\":\"one\"}]}\n")
	if err := os.Chown(filepath.Join(p.dir, one), 4711, 4711); err != nil {
		t.Fatal(err)
	}
	p.once()
	for i, m := range p.messages {
		if strings.Contains(m, "one@") && i > 1 || i == len(p.messages)-1 && i != 500 {
			t.Errorf("the other user's message was number %d of %d", i+1, len(p.messages))
		}
	}
}

// What cannot be taken stays; what nobody will ever take is put aside, and
// what was never finished goes after a day.
func TestFates(t *testing.T) {
	p := newPlace(t)
	p.put(to("b@example.com"), "x")
	p.fate = drop.Later
	p.once()
	if len(p.names()) != 1 || len(p.warnings) != 1 {
		t.Errorf("later: %q, %q", p.names(), p.warnings)
	}
	p.full = errors.New("no room")
	p.once()
	if len(p.messages) != 1 || len(p.names()) != 1 {
		t.Errorf("without room: %q, %q", p.names(), p.messages)
	}
	p.full, p.fate = nil, drop.Refused
	p.once()
	if names := p.names(); len(names) != 1 || !strings.HasSuffix(names[0], ".refused") || !strings.Contains(p.warnings[len(p.warnings)-1], "so it is") {
		t.Errorf("refused: %q, %q", names, p.warnings)
	}
}

// The directory is looked at every ten seconds, at what must wait once a
// minute, and the same trouble is told once.
func TestRun(t *testing.T) {
	p := newPlace(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go p.taker().Run(ctx)
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		change := func(fate drop.Fate, full error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.fate, p.full = fate, full
		}
		synctest.Wait()
		p.put(to("b@example.com"), "1")
		pass(11 * time.Second)
		if len(p.messages) != 1 {
			t.Errorf("%q after ten seconds", p.messages)
		}
		change(drop.Later, nil)
		p.put(to("b@example.com"), "2")
		pass(50 * time.Second)
		if len(p.messages) != 2 {
			t.Errorf("%d attempts within a minute", len(p.messages)-1)
		}
		change(drop.Taken, nil)
		pass(time.Minute)
		if len(p.messages) != 3 || len(p.names()) != 0 {
			t.Errorf("%q, left %q", p.messages, p.names())
		}
		told := len(p.warnings)
		change(drop.Taken, errors.New("no room"))
		p.put(to("b@example.com"), "3")
		for name, age := range map[string]time.Duration{"old.tmp": 25 * time.Hour, "new.tmp": time.Hour} {
			p.write(name, "")
			then := time.Now().Add(-age)
			if err := os.Chtimes(filepath.Join(p.dir, name), then, then); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Minute)
		if names := strings.Join(p.names(), " "); len(p.warnings) != told+1 || len(p.names()) != 2 || strings.Contains(names, "old") {
			t.Errorf("%q, left %s", p.warnings, names)
		}
		cancel()
		synctest.Wait()
	})
}

// A directory that cannot be written is an error for who puts, who then still
// has the mail.
func TestPutFails(t *testing.T) {
	p := newPlace(t)
	for name, err := range map[string]error{
		"no directory":  drop.Put(filepath.Join(p.dir, "none"), to("a@b"), strings.NewReader("")),
		"broken reader": drop.Put(p.dir, to("a@b"), io.MultiReader(strings.NewReader("x"), brokenReader{})),
		"parameters":    drop.Put(p.dir, envelope.Envelope{Return: "x"}, strings.NewReader("")),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if names := p.names(); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

// Whatever the first line is, it does no more than name an envelope that can
// be written into commands.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"version":1,"from":"","to":[{"to":"root","notify":"NEVER"}],"ret":"FULL","envid":"x"}` + "\ntext"))
	f.Add([]byte("{}\n"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		env, err := drop.Read(bufio.NewReader(bytes.NewReader(data)), 3, complete)
		if err != nil {
			return
		}
		parameters := env.Return + env.ID
		paths := string(env.From)
		for _, r := range env.To {
			paths += string(r.To)
			parameters += r.Notify + r.Original
		}
		if len(env.To) == 0 || len(env.To) > 3 || strings.ContainsAny(paths, "\r\n\x00<>") || strings.ContainsAny(parameters, "\r\n\x00 ") {
			t.Errorf("%q gives %q and %q", data, paths, parameters)
		}
	})
}
