package config_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/relay/config"
)

// TestNotify proves that notices can be set up by file and by environment, and
// that the URL of a webhook, which is as good as a password, is shown nowhere
// (P7).
func TestNotify(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "kurir.toml"), minimal+`[notify]
bounce = "None"
webhook = "https://hooks.example.com/hunter2"
command = "logger -t mail"
`)
	c := load(t, config.Options{Path: path, Environ: []string{"KURIR_NOTIFY_EVERY=1h"}})
	want := config.Notify{Bounce: "none", Webhook: "https://hooks.example.com/hunter2", Command: "logger -t mail", Every: config.Duration(time.Hour)}
	if c.Notify != want || len(c.Warnings) > 0 {
		t.Errorf("bounce %q command %q every %s, warnings %v", c.Notify.Bounce, c.Notify.Command, c.Notify.Every, c.Warnings)
	}
	if shown := fmt.Sprintf("%v %+v %#v", c.Notify, c, c.Notify); strings.Contains(shown, "hunter2") {
		t.Error("the URL is shown:", shown)
	}
	c = load(t, config.Options{Path: path, Environ: []string{"KURIR_NOTIFY_WEBHOOK=http://localhost:8080/x", "KURIR_NOTIFY_BOUNCE=admin@example.com"}})
	if c.Notify.Webhook.Reveal() != "http://localhost:8080/x" || c.Notify.Bounce != "admin@example.com" {
		t.Errorf("not from the environment: %s %s", c.Notify.Webhook.Reveal(), c.Notify.Bounce)
	}
}

// TestWebhook proves which URLs are taken, and that one that sends addresses
// over the network in the clear is warned of.
func TestWebhook(t *testing.T) {
	for url, want := range map[string]string{
		"https://hooks.example.com":        "",
		"https://you:pw@example.com:8443/": "",
		"http://127.0.0.1:8080/a?b=c":      "",
		"http://[::1]/":                    "",
		"http://ntfy.internal/mail":        "warning",
		"hooks.example.com/hunter2":        "fault",
		"https://":                         "fault",
		"https://hunter2\x01.example.com":  "fault",
		" https://hooks.example.com":       "fault",
		"file:///hunter2":                  "fault",
		"https://example.com/%zzhunter2":   "fault",
	} {
		c, err := config.Load(config.Options{
			Dir: t.TempDir(), Environ: []string{"KURIR_UPSTREAM_HOST=smtp.example.com", "KURIR_NOTIFY_WEBHOOK=" + url, "HOME=/home/you"},
		}.OnMachine("/nonexistent/kurir", "/nonexistent/kurir", false))
		got, told := "", ""
		switch {
		case err != nil:
			got, told = "fault", err.Error()
		case len(c.Warnings) > 0:
			got, told = "warning", c.Warnings[0].String()
		}
		if got != want || strings.Contains(told, "hunter2") || got != "" && !strings.Contains(told, "notify.webhook") {
			t.Errorf("%q: %q %q, want a %q", url, got, told, want)
		}
	}
}

// The section is known by its other names, and its keys when they stand
// elsewhere.
func TestNotifyElsewhere(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "kurir.toml"), "webhook = 'https://example.com/hunter2'\n"+minimal+"[alerts]\nevery = '1h'\n")
	_, err := config.Load(config.Options{Path: path})
	got := strings.Split(strings.ReplaceAll(fmt.Sprint(err), path, "FILE"), "\n")
	want := []string{
		"FILE:1: webhook: is in the wrong place: webhook belongs in [notify]",
		"FILE:6: alerts: is not a section that Kurir knows: write [notify]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
