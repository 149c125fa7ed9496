//go:build linux

package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/smtp"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The status page in a real browser: under its own strict rules it loads
// without a complaint and asks nothing of anybody else, people who see badly,
// have a phone, read in the dark or use the keyboard alone can use it, and new
// mail appears by itself. KURIR_PICTURE names a file for a picture of it.
func TestBrowser(t *testing.T) {
	needPeers(t, "chromium", "node")
	if out, err := exec.Command("node", "-e", `require.resolve("puppeteer-core"); require.resolve("axe-core")`).CombinedOutput(); err != nil {
		missingPeer(t, "puppeteer-core and axe-core are not in NODE_PATH: "+string(out))
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range []string{"en", "id"} {
		t.Run(language, func(t *testing.T) {
			ctx := within(t, 3*time.Minute)
			relay := newRelay(t, newScene(), "kurir", "serve", "--sandbox")
			state := t.TempDir()
			relay.environ = append(relay.environ, "KURIR_LISTEN_SMTP=127.0.0.1:0", "KURIR_STATE_DIR="+state, "KURIR_LOG_LANGUAGE="+language)
			if err := relay.start(ctx); err != nil {
				t.Fatal(err)
			}
			addr := relay.started().SMTP[0]
			// send gives the ID of a message that was accepted, but not delivered.
			send := func(to string) string {
				if err := smtp.SendMail(addr, nil, "app@example.com", []string{to}, []byte("Subject: hello\r\n\r\nIt works.\r\n")); err != nil && !strings.HasPrefix(to, "recipient.unknown") {
					t.Fatal(err)
				}
				id := ""
				for _, e := range relay.log() {
					if e.Event == "message.accepted" {
						id = e.ID
					}
				}
				return id
			}
			for _, to := range []string{"you@example.org", "recipient.unknown@example.org", "limit.quota@example.org", "later@example.org"} {
				send(to)
			}
			cmd := exec.CommandContext(ctx, "node", "testdata/browser/page.js", browser, statusPage(t, relay, state), pictureOf(language))
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for lines := bufio.NewScanner(stdout); lines.Scan(); {
				var line struct {
					Step, Where, Violation, URL, Error string
					Nodes, Missed, Said                []string
					Same                               bool
					Actions, Usable                    int
				}
				if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
					t.Fatalf("%v: %s", err, lines.Bytes())
				}
				seen[line.Step] = true
				switch {
				case line.Step == "watching":
					fmt.Fprintln(stdin, send("limit.quota@example.org"))
				case line.Error != "", line.Violation != "", len(line.Missed) > 0, len(line.Said) > 0,
					line.Step == "open" && strings.Contains(line.URL, "token"), line.Step == "live" && !line.Same,
					line.Step == "keyboard" && line.Usable < 8, line.Step == "dropped" && line.Actions > 0:
					t.Errorf("%s", lines.Bytes())
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			for _, step := range []string{"open", "axe", "live", "keyboard", "dropped", "said"} {
				if !seen[step] {
					t.Errorf("%s was not reached", step)
				}
			}
		})
	}
}

// Who may use the control socket gets to the page with its token, and sees the
// mail there; any other user of the machine sees that mail flows.
func TestStatusPage(t *testing.T) {
	ctx := within(t, time.Minute)
	relay := newRelay(t, newScene(), "kurir", "serve", "--sandbox")
	state := t.TempDir()
	relay.environ = append(relay.environ, "KURIR_LISTEN_SMTP=127.0.0.1:0", "KURIR_STATE_DIR="+state)
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	const to = "you@example.org"
	if err := smtp.SendMail(relay.started().SMTP[0], nil, "app@example.com", []string{to}, []byte("Subject: hello\r\n\r\nIt works.\r\n")); err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	// The address without the token comes second: by then history has the mail.
	for _, shown := range []bool{true, false} {
		address := relay.started().HTTP
		if shown {
			address = statusPage(t, relay, state)
		}
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		body := bodyOf(t, &http.Client{Jar: jar}, address)
		for shown && !strings.Contains(body, to) && ctx.Err() == nil {
			body = bodyOf(t, &http.Client{Jar: jar}, address) // history is written within a second
		}
		if !strings.Contains(body, "Mail flows.") || strings.Contains(body, to) != shown || strings.Contains(body, state) {
			t.Errorf("shown %t:\n%s", shown, body)
		}
	}
	if err := relay.stop(); err != nil {
		t.Error(err)
	}
}

// pictureOf is the file for a picture of the page in a language; "" for none.
func pictureOf(language string) string {
	if language != "en" {
		return ""
	}
	return os.Getenv("KURIR_PICTURE")
}

// statusPage is the address of the page with its token, as a person gets it.
func statusPage(t *testing.T, relay *relayProgram, state string) string {
	t.Helper()
	cmd := exec.Command("kurir", "status")
	cmd.Env = append(relay.environ, "KURIR_UPSTREAM_HOST=localhost", "KURIR_STATE_DIR="+state)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if address, ok := strings.CutPrefix(line, "status page: "); ok {
			address = strings.TrimSpace(address)
			u, err := url.Parse(address)
			if err != nil || u.Query().Get("token") == "" || !strings.HasPrefix(address, relay.started().HTTP) || strings.Contains(relay.started().HTTP, "token") {
				t.Fatalf("%q, the log has %q: %v", address, relay.started().HTTP, err)
			}
			return address
		}
	}
	t.Fatalf("no address in:\n%s", out)
	return ""
}
