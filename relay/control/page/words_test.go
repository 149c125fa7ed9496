package page

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// All that a page says is there.
func TestWords(t *testing.T) {
	en := wordsIn("en").Words
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"([a-z_]+)\.([a-z_]+)"`).FindAllStringSubmatch(string(data), -1) {
			texts, ok := en[m[1]]
			if !ok || m[2] == "css" || m[2] == "js" {
				continue // a file of the site, or something else
			}
			said++
			if texts[m[2]] == "" && en["event"][m[1]+"_"+m[2]] == "" {
				t.Errorf("%s says %s.%s, which has no words", name, m[1], m[2])
			}
		}
	}
	if said < 80 {
		t.Errorf("%d texts found, there are more", said)
	}
}
