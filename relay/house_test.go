package relay_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// The rooms of the house know only those they may know, so that each can be
// understood, tested and used without the others. A key with a slash at its
// end stands for all below it; test files may import what they like.
var mayImport = map[string][]string{
	"upstream/envelope":     {},
	"upstream/explain":      {"upstream/envelope"},
	"upstream/redact":       {},
	"upstream/spelling":     {},
	"upstream/provider":     {"upstream/explain", "upstream/spelling"},
	"upstream/discover":     {"upstream/explain", "upstream/provider", "upstream/spelling"},
	"upstream/sandbox":      {"upstream/envelope", "upstream/explain"},
	"upstream/upstreamtest": {"upstream/explain", "upstream/sandbox"},
	"upstream":              {"upstream/envelope", "upstream/explain", "upstream/provider", "upstream/redact"},
	"upstream/check":        {"upstream", "upstream/envelope", "upstream/explain"},
	"upstream/paste":        {"upstream/explain", "upstream/provider"},
	"upstream/token":        {"upstream/explain", "upstream/redact"},

	"relay/config":   {"upstream/redact", "upstream/spelling"},
	"relay/spool":    {"upstream/envelope"},
	"relay/drop":     {"upstream/envelope"},
	"relay/sendmail": {"relay/drop", "upstream/envelope"},
	"relay/history":  {"upstream/envelope"},
	"relay/rewrite":  {"upstream/envelope"},
	"relay/maillog":  {"upstream/envelope", "upstream/explain"},
	"relay/dsn":      {"upstream/envelope", "upstream/explain"},
	"relay/queue":    {"relay/dsn", "relay/maillog", "relay/spool", "upstream/envelope", "upstream/explain"},
	"relay/notice":   {"relay/maillog", "relay/queue", "upstream/explain"},
	"relay/control":  {"relay/maillog", "relay/queue", "relay/spool", "upstream/envelope", "upstream/explain"},
	"relay/listener": {"relay/queue", "relay/rewrite", "relay/spool", "upstream/envelope", "upstream/explain"},
	"relay": {
		"relay/config", "relay/control", "relay/control/metrics", "relay/control/page", "relay/drop", "relay/dsn", "relay/history", "relay/listener", "relay/maillog", "relay/notice", "relay/queue", "relay/rewrite", "relay/spool",
		"upstream", "upstream/envelope", "upstream/explain", "upstream/token",
	},

	"relay/control/metrics": {"relay/control", "relay/maillog", "relay/queue"},
	"relay/control/page":    {"relay/control", "relay/history", "relay/maillog", "relay/queue", "relay/spool", "upstream/envelope", "upstream/explain"},

	"cmd/kurir": {
		"relay", "relay/config", "relay/control", "relay/drop", "relay/history", "relay/maillog", "relay/sendmail", "relay/spool",
		"upstream", "upstream/check", "upstream/discover", "upstream/envelope", "upstream/explain", "upstream/paste", "upstream/provider", "upstream/redact", "upstream/sandbox", "upstream/spelling", "upstream/token",
	},
}

// A package that is new, or that enters another room, must be put into the
// table above on purpose.
func TestHouseRules(t *testing.T) {
	root := ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "testdata" { // no part of the house
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		room := filepath.ToSlash(dir)
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("%s: package %s has no place in the house", path, room)
		}
		for _, i := range file.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if ours, found := strings.CutPrefix(name, "kurir/"); found && !slices.Contains(allowed, ours) {
				t.Errorf("%s: %s may not import %s", path, room, ours)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A promise can be looked up from its number, in README.md and in the tests
// that hold Kurir to it: none is without a test, and no test names another.
func TestPromises(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, m := range regexp.MustCompile(`\*\*(P\d+)\*\*`).FindAllSubmatch(readme, -1) {
		tested[string(m[1])] = false
	}
	number := regexp.MustCompile(`\bP[1-9]\d*\b`)
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, c := range file.Comments {
			for _, p := range number.FindAllString(c.Text(), -1) {
				if _, known := tested[p]; !known {
					t.Errorf("%s: there is no promise %s in README.md", path, p)
				}
				tested[p] = true
			}
		}
		return nil
	})
	if err != nil || len(tested) == 0 {
		t.Fatalf("%d promises: %v", len(tested), err)
	}
	for p, found := range tested {
		if !found {
			t.Errorf("no test holds Kurir to %s", p)
		}
	}
}

// Both languages say everything that the other says, with the same facts.
func TestLanguages(t *testing.T) {
	braces := regexp.MustCompile(`\{\w+\}`)
	facts := func(text string) []string {
		found := braces.FindAllString(text, -1)
		slices.Sort(found)
		return slices.Compact(found)
	}
	var compare func(file, where string, english, indonesian map[string]any)
	compare = func(file, where string, english, indonesian map[string]any) {
		for name := range indonesian {
			if english[name] == nil {
				t.Errorf("%s: %s%s is not said in English", file, where, name)
			}
		}
		for name, said := range english {
			other := indonesian[name]
			if inner, ok := said.(map[string]any); ok {
				others, _ := other.(map[string]any)
				compare(file, where+name+".", inner, others)
			} else if text, _ := other.(string); text == "" && said != "" || !slices.Equal(facts(said.(string)), facts(text)) {
				t.Errorf("%s: %s%s: %q and %q", file, where, name, said, other)
			}
		}
	}
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		stem, ok := strings.CutSuffix(path, ".en.toml")
		if err != nil || !ok {
			return err
		}
		files++
		var english, indonesian map[string]any
		if _, err := toml.DecodeFile(path, &english); err != nil {
			return err
		}
		if _, err := toml.DecodeFile(stem+".id.toml", &indonesian); err != nil {
			return err
		}
		compare(path, "", english, indonesian)
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files: %v", files, err)
	}
}
