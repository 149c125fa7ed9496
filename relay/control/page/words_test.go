package page

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Both languages say everything that the other says, with the same facts; all
// that a template says is there, and nothing is left over.
func TestWords(t *testing.T) {
	en, id := wordsIn("en").Words, wordsIn("id").Words
	braces := regexp.MustCompile(`\{\w+\}`)
	facts := func(text string) []string {
		found := braces.FindAllString(text, -1)
		slices.Sort(found)
		return found
	}
	for section, texts := range en {
		if len(texts) != len(id[section]) {
			t.Errorf("[%s] has %d and %d texts", section, len(texts), len(id[section]))
		}
		for name, text := range texts {
			if other := id[section][name]; other == "" || !slices.Equal(facts(text), facts(other)) {
				t.Errorf("%s.%s: %q and %q", section, name, text, other)
			}
		}
	}
	if len(en) != len(id) {
		t.Errorf("%d and %d sections", len(en), len(id))
	}
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
