package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Fault is one thing wrong with the configuration, and what to write
// instead. No field ever holds a password.
type Fault struct {
	File    string // the file, or the environment variable, that it is in
	Line    int    // from 1; 0 when it is unknown or there is none
	Key     string // "section.key"; "" when it is about the file as a whole
	Problem string // what is wrong, to be read after the key: "is not a number"
	Instead string // what to write or do, as an imperative; may be ""
}

// String returns "file:line: key: problem: instead", less what is empty.
func (f Fault) String() string {
	place := f.File
	if place != "" && f.Line > 0 {
		place += ":" + strconv.Itoa(f.Line)
	}
	parts := []string{place, f.Key, f.Problem, f.Instead}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
}

// Faults is the error of Load: everything that is wrong, in the order of the
// file, then of the environment.
type Faults []Fault

// Error returns the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

func (f Faults) sort() {
	slices.SortStableFunc(f, func(a, b Fault) int {
		if a.Line == 0 || b.Line == 0 {
			return cmp.Compare(b.Line, a.Line) // those without a line come last
		}
		return cmp.Compare(a.Line, b.Line)
	})
}

// A Warning is something that works but is probably not meant.
type Warning struct {
	File string // the file it is about, "" if it is about none
	Key  string // "section.key"
	Text string // a sentence without a capital and a full stop, with advice
}

// String returns "file: key: text", less what is empty.
func (w Warning) String() string { return Fault{File: w.File, Key: w.Key, Problem: w.Text}.String() }

// A MissingError says that there is nothing to configure from: no file, and
// no environment variable that names a provider.
type MissingError struct {
	Looked []string // the files that are not there
}

// Error says what to write, and where.
func (e *MissingError) Error() string {
	return "there is no configuration: write a file, or set KURIR_UPSTREAM_HOST, KURIR_UPSTREAM_USERNAME and KURIR_UPSTREAM_PASSWORD\n" +
		"looked for: " + strings.Join(e.Looked, ", ") + "\n" +
		"this is enough, with the data of your provider:\n\n" +
		"    [upstream]\n" +
		"    host = \"smtp.example.com\"\n" +
		"    username = \"you@example.com\"\n" +
		"    password = \"secret\"\n"
}

// quote shows a value in a fault: quoted, without control characters, and not
// longer than a line bears.
func quote(value string) string { return strconv.Quote(shorten(value)) }

// shown makes a name from outside fit for a line: as it is if it is a plain
// one, else quoted.
func shown(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return quote(name)
	}
	return shorten(name)
}

func shorten(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) > most {
		return string([]rune(text)[:most]) + "…"
	}
	return text
}

// String joins the choices, of which there are two at least, for people: `"a",
// "b" or "c"`.
func (c choices) String() string {
	last := len(c) - 1
	return fmt.Sprintf(`"%s" or "%s"`, strings.Join(c[:last], `", "`), c[last])
}
