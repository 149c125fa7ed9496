//go:build unix

package notice

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// What is told to one host stays there, and no error shows the path or the
// password of the URL, which let everyone post (P7).
func TestPost(t *testing.T) {
	n := &Notifier{web: newTransport(), o: Options{Version: "1"}}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "{}" {
			t.Errorf("body %q %v", body, err)
		}
		if r.URL.Path == "/hunter2/redirect" {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for url, want := range map[string]string{
		server.URL + "/hunter2":          "",
		server.URL + "/hunter2/redirect": "the answer was 307 Temporary Redirect, and notices are not sent on to where that leads",
		gone.URL + "/hunter2":            "connection refused",
		"http://you:hunter2@" + strings.TrimPrefix(gone.URL, "http://"): "connection refused",
		"http://%zz/hunter2": "it is not a URL",
	} {
		err := n.postOnce(t.Context(), url, []byte("{}"))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if strings.Contains(got, "hunter2") || want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A server that never answers keeps nobody from ending.
func TestPostEnds(t *testing.T) {
	n := &Notifier{web: newTransport()}
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	if err := n.post(ctx, ctx, server.URL, []byte("{}")); err == nil {
		t.Error("no error")
	}
}

// The last notice has its time after the end, and no more.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		late, stop := later(ctx, parting)
		defer stop()
		cancel()
		time.Sleep(parting - time.Millisecond)
		synctest.Wait()
		if late.Err() != nil {
			t.Error("too early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if late.Err() == nil {
			t.Error("too late")
		}
	})
}

// A command gets the notice, and nothing that is only for us.
func TestCommand(t *testing.T) {
	t.Setenv("KURIR_UPSTREAM_PASSWORD", "hunter2")
	t.Setenv("CREDENTIALS_DIRECTORY", "hunter2")
	t.Setenv("OF_OTHERS", "kept")
	out := filepath.Join(t.TempDir(), "out")
	if err := run(t.Context(), "cat >"+out+"; env >>"+out, []byte(`{"text":"x"}`)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	if !strings.HasPrefix(lines[0], `{"text":"x"}`) || !slices.Contains(lines, "OF_OTHERS=kept") || strings.Contains(string(data), "hunter2") {
		t.Errorf("%s", data)
	}
	for command, want := range map[string]string{
		"exit 3":                              "exit status 3",
		"echo 'no route' >&2; echo x; exit 1": `exit status 1, saying "no route"`,
		"true":                                "", // without reading a word
		"yes | head -c 1000000; exit 0":       "",
	} {
		err := run(t.Context(), command, make([]byte, 1<<20))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

// What takes too long is killed with its children, so that they do not pile up.
func TestCommandKilled(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "exec 3>"+fifo+"; sleep 1000 & echo ready >&3; wait", nil) }()
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	cancel()
	if err := <-ended; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := r.ReadByte(); err != io.EOF { // nobody has it open any more
		t.Errorf("%v", err)
	}
}
