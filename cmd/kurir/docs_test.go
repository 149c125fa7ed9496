package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kurir/relay"
	"kurir/relay/config"
)

// Who follows the steps for a provider ends with a configuration that loads.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 3 {
		t.Fatalf("%q: %v", pages, err)
	}
	found := 0
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range indented(string(data)) {
			if !strings.HasPrefix(block, "[upstream]") && !strings.HasPrefix(block, "[[upstream]]") {
				continue
			}
			found++
			dir := t.TempDir()
			for name, text := range map[string]string{
				"kurir.toml":           strings.ReplaceAll(block, "/etc/kurir/", dir+"/"),
				"client-secret":        "secret\n",
				"service-account.json": `{"type":"service_account"}`,
				"password":             "secret\n",
				"password-2":           "secret\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := config.Load(config.Options{Path: filepath.Join(dir, "kurir.toml"), Environ: []string{"HOME=" + dir, "CREDENTIALS_DIRECTORY=" + dir}, Providers: []string{"gmail", "office365"}})
			if err != nil {
				t.Errorf("%s:\n%s\n%v", page, block, err)
				continue
			}
			if strings.Contains(block, "key_file") {
				continue // that needs a real key
			}
			if all, err := relay.UpstreamOptions(c); err != nil || (all[0].Token == nil) == strings.Contains(block, "[upstream.oauth2]") {
				t.Errorf("%s:\n%s\n%v", page, block, err)
			}
		}
	}
	if found == 0 {
		t.Error("no page shows a configuration")
	}
}

// A key that a page names and that does not exist costs its reader an hour.
func TestDocsNameKeys(t *testing.T) {
	known := map[string]bool{"upstream.oauth2": true}
	section := ""
	for line := range strings.Lines(config.Example()) {
		if header, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimRight(header, "]\n") + "."
		} else if name, _, ok := strings.Cut(strings.TrimPrefix(line, "#"), " = "); ok && !strings.ContainsAny(name, " {") {
			known[section+name] = true
			known["KURIR_"+strings.ToUpper(strings.ReplaceAll(section+name, ".", "_"))] = true
		}
	}
	names := regexp.MustCompile(`KURIR_[A-Z0-9_]+|\b(?:upstream|listen|delivery|rewrite|notify|spool|log|control)\.[a-z_0-9]+`)
	pages, _ := filepath.Glob("../../docs/*.md")
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names.FindAllString(string(data), -1) {
			if !known[name] {
				t.Errorf("%s names %s, which is no key", page, name)
			}
		}
	}
}

// Nothing comes into the program without a reason that can be read.
func TestDependenciesHaveReasons(t *testing.T) {
	page, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	direct, _, _ := strings.Cut(string(module), "// indirect")
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v`).FindAllStringSubmatch(direct[:strings.LastIndex(direct, "\n")], -1) {
		want = append(want, m[1])
	}
	want = append(want, "honnef.co/go/tools")
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\S+)` \\| \\S").FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("CONTRIBUTING.md has reasons for %q\ngo.mod has %q", got, want)
	}
}
