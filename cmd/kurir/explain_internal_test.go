package main

import (
	"bytes"
	"strings"
	"testing"
)

// Nothing is left out in silence, and no half line is explained.
func TestExplainTooMuch(t *testing.T) {
	line := "550 5.1.1 no such user\n"
	var stderr bytes.Buffer
	text, err := input(strings.NewReader(strings.Repeat(line, maxExplain/len(line)+2)), &stderr)
	if err != nil || len(text) > maxExplain || !strings.HasSuffix(text, "user") || !strings.Contains(stderr.String(), "more than 4 MB") {
		t.Errorf("%d bytes, %v, %q", len(text), err, stderr.String())
	}
}
