package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"kurir/relay/config"
)

// TestSize proves which units mean what, and that a size is read back as the
// same from how it is written.
func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0": 0, "512": 512, "1B": 1, "1kB": 1000, "1KB": 1000, "25MB": 25e6, "25mb": 25e6, "25 MB": 25e6, "2GB": 2e9, "3TB": 3e12,
		"1KiB": 1024, "25MiB": 25 << 20, "1.5GiB": 3 << 29, "0.001kB": 1, "1.25KiB": 1280, "9223372036854775807": 1<<63 - 1,
	} {
		got, err := config.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		shown, _ := got.MarshalText()
		again, err := config.ParseSize(string(shown))
		if err != nil || again != want {
			t.Errorf("%q: shown as %s, which is %d, %v", text, shown, again, err)
		}
	}
	for _, text := range []string{"", "MB", "-1MB", "1M", "1..5MB", ".5MB", "1.MB", "1.1234567MB", "1 2MB", "9223372036854775808", "9999999999TB", "8388607.999999TiBB"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
}

// TestDuration proves that days are known, and that a duration is read back as
// the same from how it is written.
func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "0": 0, "10s": 10 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second,
		"5d": 120 * time.Hour, "1d12h": 36 * time.Hour, "1D": 24 * time.Hour, "200ms": 200 * time.Millisecond, "1.5s": 1500 * time.Millisecond,
		"1 h 30 m": 90 * time.Minute, "-5s": -5 * time.Second, "-1d12h": -36 * time.Hour, "10m": 10 * time.Minute, "20h": 20 * time.Hour,
	} {
		var got, again config.Duration
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
		shown, _ := got.MarshalText()
		if err := again.UnmarshalText(shown); err != nil || again != got {
			t.Errorf("%q: shown as %s, which is %v, %v", text, shown, again, err)
		}
	}
	for _, text := range []string{"", "5", "d", "5 days", "1.5d", "1d-2h", "--5s", "1d2d", "106752d", "99999999999h"} {
		var got config.Duration
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

// TestSecret proves that a password shows nowhere by accident (P7).
func TestSecret(t *testing.T) {
	c := config.Default()
	c.Upstreams[0].Password = "hunter2"
	secret := c.Upstreams[0].Password
	shown := []string{secret.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%10s", "%T %v", "%!"} {
		shown = append(shown, fmt.Sprintf(strings.Replace(verb, "%T ", "", 1), secret))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shown = append(shown, fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c))
	}
	for _, value := range []any{secret, c} {
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, string(data))
	}
	text, _ := secret.MarshalText()
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "password", secret, "config", c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "password", secret, "config", c)
	shown = append(shown, string(text), log.String())
	for _, s := range shown {
		if strings.Contains(s, "hunter2") || strings.Contains(strings.ToLower(s), "68756e74657232") {
			t.Errorf("the password is shown: %s", s)
		}
		if !strings.Contains(s, "[redacted]") && !strings.Contains(s, "%!") {
			t.Errorf("no [redacted] in %s", s)
		}
	}
	if secret.Reveal() != "hunter2" {
		t.Errorf("Reveal: %q", secret.Reveal())
	}
}
