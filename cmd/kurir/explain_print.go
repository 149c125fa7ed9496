package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"kurir/upstream/explain"
)

// explained is one line of kurir explain --json.
type explained struct {
	Cause     explain.Cause   `json:"cause"`
	Stage     explain.Stage   `json:"stage"`
	Verdict   explain.Verdict `json:"verdict"`
	Permanent bool            `json:"permanent"`
	Provider  string          `json:"provider"`
	Title     string          `json:"title"`
	Meaning   string          `json:"meaning"`
	Fix       string          `json:"fix"`
	Nearest   string          `json:"nearest,omitempty"` // the host that was most likely meant
}

// doubts ask whether another host was meant: whose name, and which.
var doubts = map[explain.Language]string{
	explain.English:    "  note:   %s looks like a misspelling. Did you mean %s?\n",
	explain.Indonesian: "  catatan:  %s tampak salah ketik. Apakah maksudnya %s?\n",
}

// printExplained writes the failures for people.
func printExplained(w io.Writer, failures []*explain.Failure, l explain.Language) error {
	var out bytes.Buffer
	for i, f := range failures {
		if i > 0 {
			out.WriteByte('\n')
		}
		details := f.DetailsIn(l)
		out.WriteString(details)
		if nearest := f.Fact(explain.FactNearestHost); nearest != "" && !strings.Contains(details, nearest) {
			fmt.Fprintf(&out, doubts[l], explain.Printable(f.Candidate.Host), nearest)
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// encodeExplained writes the failures as one JSON object a line.
func encodeExplained(w io.Writer, failures []*explain.Failure, l explain.Language) error {
	for _, f := range failures {
		e := f.ExplanationIn(l)
		if err := encode(w, explained{
			Cause: f.Cause, Stage: f.Stage, Verdict: f.Verdict(), Permanent: f.Permanent(), Provider: f.Provider,
			Title: e.Title, Meaning: e.Meaning, Fix: e.Fix, Nearest: f.Fact(explain.FactNearestHost),
		}); err != nil {
			return err
		}
	}
	return nil
}
