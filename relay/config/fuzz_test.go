package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"kurir/relay/config"
)

// FuzzLoad proves that no file crashes Load, that every error is Faults, that
// no fault is without words, and that none shows the password (P7).
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.toml")
	for _, file := range append(files, "../../config.example.toml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "kurir.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Options{Path: path, Environ: []string{"HOME=/nowhere"}})
		if err == nil {
			if len(c.Upstreams) == 0 || c.Upstreams[0].Host == "" && c.Upstreams[0].Provider == "" {
				t.Error("loaded without a host")
			}
			return
		}
		var faults config.Faults
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("%v, want Faults", err)
		}
		for _, fault := range faults {
			if fault.Problem == "" || fault.Instead == "" || strings.ContainsAny(fault.String(), "\r\n\x00") {
				t.Errorf("fault %#v", fault)
			}
		}
	})
}

// FuzzLines proves that the outline of any file ends, and that it finds what
// the parser finds at the top of a file, if each line is by itself.
func FuzzLines(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.toml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("a.b.c = {d = [1, {e = '''\n'''}, \"\\\"\"], f.g = 2}\n[[h]]\n[[h]]\ni = 1\n[h.j]\n\"k l\" = 1979-05-27 07:32:00\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := config.LinesOf(text)
		var root map[string]any
		if _, err := toml.Decode(text, &root); err != nil {
			return
		}
		if strings.Contains(text, `"""`) || strings.Contains(text, "'''") {
			return
		}
		for name := range root {
			if name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "" && lines[name] == 0 && lines[name+"[0]"] == 0 && !headed(lines, name) {
				t.Errorf("%s is nowhere in %v", name, lines)
			}
		}
	})
}

// headed tells whether a table is there only as the head of another, which is
// all that [a.b] says of a.
func headed(lines map[string]int, name string) bool {
	for path := range lines {
		if strings.HasPrefix(path, name+".") || strings.HasPrefix(path, name+"[") {
			return true
		}
	}
	return false
}
