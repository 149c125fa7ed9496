package page

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// All that a template says is there.
func TestWords(t *testing.T) {
	en := wordsIn("en").Words
	names, err := fs.Glob(site, "site/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := site.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range regexp.MustCompile(`say "([a-z_.]+)"`).FindAllStringSubmatch(string(data), -1) {
			section, text, _ := strings.Cut(said[1], ".")
			if en[section][text] == "" {
				t.Errorf("%s says %s, which has no words", name, said[1])
			}
		}
	}
}
