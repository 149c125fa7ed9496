package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/relay"
	"kurir/relay/config"
)

// Who follows the steps for a provider ends with a configuration that loads.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 2 {
		t.Fatalf("%q: %v", pages, err)
	}
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, block := range indented(string(data)) {
			if !strings.HasPrefix(block, "[upstream]") {
				continue
			}
			found++
			dir := t.TempDir()
			for name, text := range map[string]string{
				"kurir.toml":           strings.ReplaceAll(block, "/etc/kurir/", dir+"/"),
				"client-secret":        "secret\n",
				"service-account.json": `{"type":"service_account"}`,
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := config.Load(config.Options{Path: filepath.Join(dir, "kurir.toml"), Environ: []string{"HOME=" + dir}, Providers: []string{"gmail", "office365"}})
			if err != nil {
				t.Errorf("%s:\n%s\n%v", page, block, err)
				continue
			}
			if strings.Contains(block, "key_file") {
				continue // that needs a real key
			}
			if all, err := relay.UpstreamOptions(c); err != nil || all[0].Token == nil {
				t.Errorf("%s:\n%s\n%v", page, block, err)
			}
		}
		if found == 0 {
			t.Errorf("%s shows no configuration", page)
		}
	}
}
