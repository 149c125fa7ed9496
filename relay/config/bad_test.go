package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/relay/config"
)

var update = flag.Bool("update", false, "write the faults that testdata/bad gives into its .want files")

// TestBad proves that each rule has a fault, with its file, line and key and
// with words that say what to write instead. A file of testdata/bad opens with
// the rule; the .want beside it has the whole error.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".toml"), func(t *testing.T) {
			_, err := config.Load(config.Options{
				Path: name, Dir: "testdata/bad", Environ: []string{"HOME=/nowhere"},
				Providers: []string{"gmail", "ses"},
			})
			var faults config.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("Load: %v, want Faults", err)
			}
			got := strings.ReplaceAll(err.Error(), "testdata/bad/", "") + "\n"
			if strings.Contains(got, "hunter2") {
				t.Errorf("the password is shown:\n%s", got)
			}
			wanted := strings.TrimSuffix(file, ".toml") + ".want"
			if *update {
				if err := os.WriteFile(wanted, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(wanted)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}
