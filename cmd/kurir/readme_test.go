package main_test

import (
	"bytes"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/relay/config"
	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
	"kurir/upstream/upstreamtest"
)

// What README.md shows is what people type first and compare with: its
// examples are run here as they stand.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := indented(string(data))
	block := func(t *testing.T, start string) string {
		for _, b := range blocks {
			if strings.HasPrefix(b, start) {
				return b
			}
		}
		t.Fatalf("README.md has no example that begins with %q", start)
		return ""
	}
	// run gives what Kurir prints, in a directory that holds kurir.toml.
	run := func(t *testing.T, toml string, args ...string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "kurir.toml"), []byte(toml), 0o600); err != nil {
			t.Fatal(err)
		}
		kurir := exec.Command("kurir", args...)
		kurir.Dir = dir
		out, err := kurir.CombinedOutput()
		if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 78) {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}

	t.Run("explain", func(t *testing.T) {
		command, want, _ := strings.Cut(block(t, "$ kurir explain "), "\n")
		_, line, _ := strings.Cut(strings.TrimSuffix(command, `"`), `"`)
		if got := run(t, "", "explain", line); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
	})
	t.Run("held", func(t *testing.T) {
		shown := regexp.MustCompile(`"(reply|explanation|fix)": "(.*)",\n`).FindAllStringSubmatch(block(t, "{\n  \"level\""), -1)
		if len(shown) != 3 {
			t.Fatalf("%q", shown)
		}
		f := explain.FromText(shown[0][2], explain.StageAuth, "")
		f.Candidate.Host, f.Facts = "smtp.example.com", []explain.Fact{{Name: explain.FactKept, Value: "5d"}}
		x := f.Explanation()
		if got := []string{x.Title + " " + x.Meaning, x.Fix}; got[0] != shown[1][2] || got[1] != shown[2][2] {
			t.Errorf("%q and %q are shown, it is %q", shown[1][2], shown[2][2], got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		f := explain.Failure{Cause: explain.RecipientUnknown, Recipient: "nobody@example.org"}
		x, shown := f.Explanation(), block(t, "550-5.1.1 ")
		if !strings.HasPrefix(shown, "550-5.1.1 "+x.Title+"\n550-5.1.1 "+x.Fix+"\n") {
			t.Errorf("%q is not in:\n%s", x, shown)
		}
	})
	t.Run("configuration", func(t *testing.T) {
		whole := block(t, "[upstream]\n") + block(t, "[rewrite]\n")
		file := filepath.Join(t.TempDir(), "kurir.toml")
		if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(config.Options{Path: file}); err != nil {
			t.Error(err)
		}
	})
	t.Run("mistakes", func(t *testing.T) {
		got := run(t, "[upstream]\nhots = \"smtp.example.com\"\nport = \"587\"\n", "serve", "--config", "kurir.toml")
		for want := range strings.Lines(block(t, "kurir.toml:2: ")) {
			if !strings.Contains(got, strings.TrimSpace(want)) {
				t.Errorf("%q is not in:\n%s", want, got)
			}
		}
	})
	t.Run("commands", func(t *testing.T) {
		ctx := within(t, time.Minute)
		smartHost := upstreamtest.Sandbox(t, sandbox.Options{Username: "sandbox", Password: "sandbox"})
		dir := t.TempDir()
		sandboxConfig(t, dir, smartHost, smartHost.STARTTLS().Port, "[listen]\nsmtp = [\"127.0.0.1:0\"]\n[delivery]\nwait = \"100ms\"\n")
		// typed runs the commands of a block that are Kurir's, as one reads them.
		typed := func(t *testing.T, start, id string) {
			for line := range strings.Lines(block(t, start)) {
				line, _, _ = strings.Cut(line, "#")
				line, _, _ = strings.Cut(line, ">") // to where its output goes
				words := strings.Fields(line)
				if words[0] != "kurir" {
					continue
				}
				for i, word := range words {
					if word == "ID" || word == "6h0b3d9e1ew79" {
						words[i] = id
					}
				}
				in := dir
				if words[1] == "init" {
					in = t.TempDir()
				}
				for { // history is written once a second
					kurir := exec.Command(words[0], words[1:]...)
					kurir.Dir, kurir.Env, kurir.Stdin = in, plainEnviron(), strings.NewReader("secret\n")
					out, err := kurir.CombinedOutput()
					if err == nil && len(out) > 0 {
						break
					}
					if words[1] != "why" || ctx.Err() != nil {
						t.Errorf("%q: %v\n%s", words, err, out)
						break
					}
				}
			}
		}
		typed(t, "kurir init", "")

		relay := newRelay(t, newScene(), "kurir", "serve", "--config", filepath.Join(dir, "kurir.toml"))
		if err := relay.start(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := exec.LookPath("curl"); err == nil {
			mail := strings.Replace(block(t, "printf 'Subject"), "127.0.0.1:2525", relay.started().SMTP[0], 1)
			if out, err := exec.Command("sh", "-c", mail).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		}
		if err := smartHost.Set(sandbox.Behaviour{Script: map[explain.Stage]sandbox.Act{explain.StageMail: {Reply: "535 5.7.8 Wrong"}}}); err != nil {
			t.Fatal(err)
		}
		if err := smtp.SendMail(relay.started().SMTP[0], nil, "app@example.com", []string{"you@example.org"}, []byte("Subject: x\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
		var id string
		_ = relay.until(ctx, "the mail is accepted", func() bool {
			for _, e := range relay.events {
				if e.Event == "message.accepted" && slices.Contains(e.To, "you@example.org") {
					id = e.ID
				}
			}
			return id != ""
		})
		typed(t, "kurir status", id)
		if err := relay.stop(); err != nil {
			t.Error(err)
		}
	})
	t.Run("files", func(t *testing.T) { // that are named in commands
		for _, path := range regexp.MustCompile(`(?:\./cmd/kurir|config\.example\.toml|compose\.example\.yaml|docs/[a-z0-9]+\.[a-z]+|systemd/kurir\.[a-z*]+)`).FindAllString(string(data), -1) {
			if found, err := filepath.Glob(filepath.Join("../..", path)); err != nil || len(found) == 0 {
				t.Errorf("there is no %s", path)
			}
		}
	})
	t.Run("flags", func(t *testing.T) {
		for _, m := range regexp.MustCompile(`(?m)^    .*?kurir (init|check|serve|explain) .*$`).FindAllStringSubmatch(string(data), -1) {
			help, _ := exec.Command("kurir", m[1], "--help").CombinedOutput()
			for _, flag := range regexp.MustCompile(`--[a-z]+`).FindAllString(m[0], -1) {
				if !bytes.Contains(help, []byte(flag)) {
					t.Errorf("kurir %s has no %s:\n%s", m[1], flag, help)
				}
			}
		}
	})
}

// indented are the blocks of a Markdown text that are set in by four blanks,
// without these.
func indented(text string) (blocks []string) {
	var b strings.Builder
	for line := range strings.Lines(text + "\n") {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			b.WriteString(code)
		} else if b.Len() > 0 {
			blocks = append(blocks, b.String())
			b.Reset()
		}
	}
	return blocks
}
