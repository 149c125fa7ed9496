package main_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// signInServer plays the endpoints of a sign-in: what the token endpoint says
// depends on the code that it gets.
func signInServer(t *testing.T) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/devicecode"):
			_, _ = fmt.Fprintf(w, `{"device_code":%q,"user_code":"ABCD-1234","verification_uri":"https://login.example.com/device","expires_in":900,"interval":1}`, r.PostFormValue("client_id"))
		case r.PostFormValue("device_code") == "good-app", r.PostFormValue("code") == "4/0good-code":
			_, _ = io.WriteString(w, `{"access_token":"access-secret","expires_in":3600,"refresh_token":"refresh-secret"}`)
		case r.PostFormValue("device_code") == "declined-app":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"authorization_declined"}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"Bad Request"}`)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// A person signs in on a machine without a browser, and what comes of it is
// kept where Kurir finds it; or is told what is missing.
func TestLogin(t *testing.T) {
	server := signInServer(t)
	microsoft := func(client string) string {
		return fmt.Sprintf("[upstream]\nhost = \"smtp.office365.com\"\nusername = \"app@example.com\"\n[upstream.oauth2]\nflow = \"refresh_token\"\nclient_id = %q\ntoken_url = \"%s/oauth2/v2.0/token\"\n", client, server.URL)
	}
	google := strings.Replace(microsoft("app"), "smtp.office365.com", "smtp.gmail.com", 1) + "client_secret = \"hunter2hunter2\"\n"
	const kept = "Signed in as app@example.com; kept in "
	for _, c := range []struct {
		name, toml, stdin string
		args              []string
		code              int
		stdout, stderr    string // within them
		keeps             bool
	}{
		{"device", microsoft("good-app"), "", nil, 0, kept, "ABCD-1234", true},
		{"declined", microsoft("declined-app"), "", nil, 1, "", "The sign-in was declined.", false},
		{"print", microsoft("good-app"), "", []string{"--print"}, 0, "refresh-secret\n", "refresh_token_file", false},
		{"browser", google, "nonsense\n4/0good-code\n", nil, 0, kept, "https://accounts.google.com/", true},
		{"wrong code", google, "4/0wrong-code\n", nil, 1, "", "run kurir login again", false},
		{"whose", strings.Replace(microsoft("good-app"), "office365", "example", 1), "", nil, 1, "", "--provider microsoft or google", false},
		{"told whose", strings.Replace(microsoft("good-app"), "office365", "example", 1), "", []string{"--provider", "microsoft"}, 0, kept, "ABCD-1234", true},
		{"password", "[upstream]\nhost = \"smtp.example.com\"\nusername = \"a\"\npassword = \"b\"\n", "", nil, 78, "", "App registrations", false},
		{"no application", strings.Replace(microsoft("x"), "client_id = \"x\"\n", "", 1), "", nil, 78, "", "Create OAuth", false},
		{"another account", microsoft("x"), "", []string{"--account", "b@example.com"}, 78, "", "b@example.com", false},
		{"several", strings.ReplaceAll(microsoft("x")+strings.Replace(microsoft("x"), "app@", "b@", 1), "[upstream]", "[[upstream]]"), "", nil, 78, "", "--account", false},
		{"another provider", microsoft("x"), "", []string{"--provider", "yahoo"}, 64, "", "neither microsoft nor google", false},
		{"too much", microsoft("x"), "", []string{"now"}, 64, "", "flags only", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			state := filepath.Join(dir, "state")
			authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			for name, text := range map[string]string{"kurir.toml": fmt.Sprintf("state_dir = %q\n", state) + c.toml, "ca.pem": string(authority)} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var stdout, stderr bytes.Buffer
			kurir := exec.Command("kurir", append([]string{"login"}, c.args...)...)
			kurir.Dir, kurir.Stdin, kurir.Stdout, kurir.Stderr = dir, strings.NewReader(c.stdin), &stdout, &stderr
			kurir.Env = append(plainEnviron(), "SSL_CERT_FILE="+filepath.Join(dir, "ca.pem"), "SSL_CERT_DIR="+dir, "NO_PROXY=*")
			_ = kurir.Run() // the exit code tells
			if got := kurir.ProcessState.ExitCode(); got != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("exit %d\nstdout:\n%s\nstderr:\n%s", got, &stdout, &stderr)
			}
			if c.stdout == "" && stdout.Len() > 0 {
				t.Errorf("stdout:\n%s", &stdout)
			}
			shown := stdout.String() + stderr.String()
			if c.name == "print" {
				shown = stderr.String()
			}
			if strings.Contains(shown, "-secret") || strings.Contains(shown, "hunter2") {
				t.Errorf("a secret is shown:\n%s", shown)
			}
			files, _ := filepath.Glob(filepath.Join(state, "tokens", "*"))
			if len(files) > 0 != c.keeps {
				t.Errorf("files: %q", files)
			}
			for _, path := range files {
				info, err := os.Stat(path)
				text, readErr := os.ReadFile(path)
				if err != nil || readErr != nil || info.Mode().Perm() != 0o600 || !strings.Contains(string(text), "refresh-secret") {
					t.Errorf("%s: %v %s", path, info.Mode(), text)
				}
			}
		})
	}
}
