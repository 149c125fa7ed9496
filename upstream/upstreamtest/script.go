package upstreamtest

import (
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
)

// A Script is one file of dialogues.
type Script struct {
	Comment     string // why the case exists
	Explanation string // what a person should read; "" if the file has none

	path    string
	archive *txtar.Archive
	ways    []*way
}

// A way is one candidate with its connections in order.
type way struct {
	port      int // the name
	mode      explain.TLSMode
	dialogues []*dialogue
}

// A dialogue is one connection.
type dialogue struct {
	line        int // of its section's head
	mode        explain.TLSMode
	certificate sandbox.Certificate
	version     uint16 // the newest of TLS, 0 = any
	closed      bool
	host        string // in place of loopback: one that cannot be reached
	repeat      bool
	optional    bool
	steps       []step
}

// A step is one line. Kind is what stands behind "* ", else say or expect.
type step struct {
	line int
	kind kind
	text string
}

type kind string

const (
	say         kind = "say"
	expect      kind = "expect"
	doTLS       kind = "S tls"
	doClose     kind = "S close"
	doSilence   kind = "S silence"
	doBytes     kind = "S bytes"
	expectBody  kind = "C body"
	expectClose kind = "C close"
)

const explanationSection = "explanation"

// Load reads a script, and ends the test if it is not a sound one.
func Load(t testing.TB, path string) *Script {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(path, data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Save rewrites the file with another explanation, for tests that have an
// -update flag.
func (s *Script) Save(explanation string) error {
	s.Explanation = explanation
	i := slices.IndexFunc(s.archive.Files, func(f txtar.File) bool { return f.Name == explanationSection })
	if i < 0 {
		i = len(s.archive.Files)
		s.archive.Files = append(s.archive.Files, txtar.File{Name: explanationSection})
	}
	s.archive.Files[i].Data = []byte(explanation)
	if err := os.WriteFile(s.path, txtar.Format(s.archive), 0o644); err != nil {
		return fmt.Errorf("upstreamtest: %w", err)
	}
	return nil
}

func parse(path string, data []byte) (*Script, error) {
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		if strings.TrimRight(text, "\r\n") == "-- --" { // txtar panics on it
			return nil, fmt.Errorf("%s:%d: the section has no name", path, line)
		}
	}
	s := &Script{path: path, archive: txtar.Parse(data)}
	s.Comment = strings.TrimSpace(string(s.archive.Comment))
	if s.Comment == "" {
		return nil, fmt.Errorf("%s:1: a first sentence has to say why the case exists", path)
	}
	line = 1 + strings.Count(string(s.archive.Comment), "\n")
	for _, f := range s.archive.Files {
		head := line
		line += 1 + strings.Count(string(f.Data), "\n")
		if f.Name == explanationSection {
			s.Explanation = string(f.Data)
			continue
		}
		port, err := portOf(f.Name)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, head, err)
		}
		d, err := parseDialogue(port, head, string(f.Data))
		if err != nil {
			return nil, fmt.Errorf("%s:%w", path, err)
		}
		if err := s.add(port, d); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, head, err)
		}
	}
	if len(s.ways) == 0 {
		return nil, fmt.Errorf("%s:1: there is no -- dialogue --", path)
	}
	return s, nil
}

// portOf reads a section's name.
func portOf(name string) (int, error) {
	if name == "dialogue" {
		return 587, nil
	}
	number, ok := strings.CutPrefix(name, "candidate ")
	port, err := strconv.ParseUint(number, 10, 16)
	if !ok || err != nil {
		return 0, fmt.Errorf("section %q: want dialogue, candidate and a port, or explanation", name)
	}
	return int(port), nil
}

func (s *Script) add(port int, d *dialogue) error {
	i := slices.IndexFunc(s.ways, func(w *way) bool { return w.port == port })
	if i < 0 {
		s.ways = append(s.ways, &way{port: port, mode: d.mode, dialogues: []*dialogue{d}})
		return nil
	}
	w := s.ways[i]
	last := w.dialogues[len(w.dialogues)-1]
	switch {
	case d.mode != w.mode:
		return fmt.Errorf("port %d is %s already", port, w.mode)
	case !d.open() || !last.open():
		return fmt.Errorf("port %d is closed or out of reach, it has one dialogue only", port)
	case last.repeat:
		return fmt.Errorf("nothing can follow the repeated dialogue of port %d", port)
	}
	w.dialogues = append(w.dialogues, d)
	return nil
}

func parseDialogue(port, head int, data string) (*dialogue, error) {
	d := &dialogue{line: head, mode: explain.STARTTLS}
	if slices.Contains([]int{443, 465, 2465, 8465}, port) {
		d.mode = explain.Implicit
	}
	line := head
	for text := range strings.Lines(data) {
		line++
		text = strings.TrimRight(text, "\r\n")
		if strings.TrimSpace(text) == "" || text[0] == '#' {
			continue
		}
		var err error
		if side, rest, _ := strings.Cut(text, ":"); side == "S" || side == "C" {
			var st step
			st, err = parseStep(side, strings.TrimPrefix(rest, " "))
			st.line = line
			d.steps = append(d.steps, st)
		} else if len(d.steps) > 0 {
			err = fmt.Errorf("%q is neither an S: nor a C: line", text)
		} else {
			err = d.option(text)
		}
		if err != nil {
			return nil, fmt.Errorf("%d: %w", line, err)
		}
	}
	if d.open() == (len(d.steps) == 0) {
		return nil, fmt.Errorf("%d: a dialogue has lines, or it is closed or out of reach", head)
	}
	return d, nil
}

// open tells whether connections get as far as the dialogue.
func (d *dialogue) open() bool { return !d.closed && d.host == "" }

// Silent tells whether a dialogue keeps quiet from its first line on, so that
// only the client's own patience ends it.
func (s *Script) Silent() bool {
	for _, w := range s.ways {
		for _, d := range w.dialogues {
			if len(d.steps) > 0 && d.steps[0].kind == doSilence {
				return true
			}
		}
	}
	return false
}

func parseStep(side, text string) (step, error) {
	directive, isDirective := strings.CutPrefix(text, "* ")
	switch {
	case !isDirective && side == "S":
		return step{kind: say, text: text}, nil
	case !isDirective:
		return step{kind: expect, text: text}, nil
	}
	word, arg, _ := strings.Cut(directive, " ")
	switch k := kind(side + " " + word); k {
	case doBytes:
		octets, err := strconv.Unquote(arg)
		if err != nil {
			return step{}, fmt.Errorf("%s is not a Go string", arg)
		}
		return step{kind: k, text: octets}, nil
	case doTLS, doClose, doSilence, expectBody, expectClose:
		if arg == "" {
			return step{kind: k}, nil
		}
	}
	return step{}, fmt.Errorf("%q is not something that can happen", side+": "+text)
}

// option reads a line above the dialogue.
func (d *dialogue) option(text string) error {
	key, value, _ := strings.Cut(text, ":")
	value = strings.TrimSpace(value)
	versions := map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12}
	certificates := map[string]sandbox.Certificate{
		"good": sandbox.Good, "expired": sandbox.Expired, "wrong-name": sandbox.WrongName, "untrusted": sandbox.Untrusted,
	}
	ok := true
	switch key {
	case "mode":
		d.mode = explain.TLSMode(value)
		ok = d.mode == explain.STARTTLS || d.mode == explain.Implicit
	case "certificate":
		d.certificate, ok = certificates[value]
	case "version":
		d.version, ok = versions[value]
	case "closed":
		d.closed = true
	case "unreachable":
		d.host = unreachable
	case "resolve":
		d.host, ok = unresolved[value]
	case "repeat":
		d.repeat = true
	case "optional":
		d.optional = true
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("%q is not known here", text)
	}
	return nil
}
