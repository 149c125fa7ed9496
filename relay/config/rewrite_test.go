package config_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"kurir/relay/config"
)

// TestRewrite proves that aliases can be written in each way that TOML has for
// them and in the environment, which replaces those of the file.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	want := config.Rewrite{
		From: "Shop <noreply@example.com>", When: "always", Allowed: []string{"example.com", "@example.net", "app@example.org"},
		Aliases: config.Aliases{"root": {"admin@example.com"}, "old@example.com": {"a@example.com", "b@example.com"}},
	}
	const settings = "[rewrite]\nfrom = \"Shop <noreply@example.com>\"\nwhen = \"Always\"\nallowed = [\"example.com\", \"@example.net\", \"app@example.org\"]\n"
	for _, aliases := range []string{
		`aliases = { root = "admin@example.com", "old@example.com" = ["a@example.com", "b@example.com"] }`,
		"[rewrite.aliases]\nroot = [\"admin@example.com\"]\n'old@example.com' = ['a@example.com', 'b@example.com']",
		"aliases.root = 'admin@example.com'\naliases.\"old@example.com\" = [\n  'a@example.com', # one\n  'b@example.com',\n]",
	} {
		path := write(t, filepath.Join(dir, "kurir.toml"), minimal+settings+aliases+"\n")
		c := load(t, config.Options{Path: path})
		if !reflect.DeepEqual(c.Rewrite, want) || len(c.Warnings) > 0 {
			t.Errorf("%s:\n got %+v\nwant %+v", aliases, c.Rewrite, want)
		}
		c = load(t, config.Options{Path: path, Environ: []string{"KURIR_REWRITE_ALIASES=x = y@example.com, z=a@example.com,z=b@example.com"}})
		if got := fmt.Sprint(c.Rewrite.Aliases); got != "map[x:[y@example.com] z:[a@example.com b@example.com]]" {
			t.Error(got)
		}
	}
	_, err := config.Load(config.Options{
		Dir: t.TempDir(), Environ: []string{"KURIR_UPSTREAM_HOST=smtp.example.com", "KURIR_REWRITE_ALIASES=root", "KURIR_REWRITE_WHEN=always"},
	}.OnMachine("/nonexistent/kurir", "/nonexistent/kurir", false))
	if err == nil || !strings.Contains(err.Error(), `KURIR_REWRITE_ALIASES: rewrite.aliases: "root" has no = in it: write KURIR_REWRITE_ALIASES=root=admin@example.com`) {
		t.Error(err)
	}
}

// TestSender proves how From is taken apart: what it says goes into headers.
func TestSender(t *testing.T) {
	for from, want := range map[string][2]string{
		"":                                {},
		"a@example.com":                   {"", "a@example.com"},
		" <a@example.com> ":               {"", "a@example.com"},
		"Shop <a@example.com>":            {"Shop", "a@example.com"},
		`"Shop, \"Ltd\"" <a@example.com>`: {`Shop, "Ltd"`, "a@example.com"},
		"Jürgen <x> <a@example.com>":      {"Jürgen <x>", "a@example.com"},
		"Shop":                            {"", "Shop"},
		"a@example.com (Shop)":            {"", "a@example.com (Shop)"},
		"Shop <a@example.com":             {"", "Shop <a@example.com"},
		"Shop <noreply@example.com>, <b@c.example>": {"Shop <noreply@example.com>,", "b@c.example"},
	} {
		name, address := config.Rewrite{From: from}.Sender()
		if got := [2]string{name, address}; got != want {
			t.Errorf("%q: %q, want %q", from, got, want)
		}
	}
}
