package config

import (
	"strconv"
	"strings"
)

// An outline says in which line of a TOML file a key stands, which the parser
// tells only about errors. Paths are as in "upstream[0].host" below [[upstream]]
// and "listen.smtp" below [listen].
type outline struct {
	lines map[string]int
	twice []duplicate // in the order of the file
	deep  int         // the first line that is nested deeper than deepest, 0 if none
}

// deepest is far more than settings need. The parser's memory grows with the
// square of the depth, so that a file beyond it is not given to it.
const deepest = 20

// A duplicate is a key or section that the file has a second time, which TOML
// does not allow.
type duplicate struct {
	path        string
	first, line int
}

// outlineOf scans a file. It judges nothing: where the file is not valid TOML
// it goes on as well as it can.
func outlineOf(src string) outline {
	s := &scanner{
		src:     strings.TrimPrefix(src, "\ufeff"),
		line:    1,
		outline: outline{lines: map[string]int{}},
		arrays:  map[string]int{},
	}
	for {
		s.blank()
		if s.at() == 0 {
			return s.outline
		}
		start := s.pos
		if s.at() == '[' {
			s.header()
		} else {
			s.pair(s.section)
		}
		if s.pos == start {
			s.next()
		}
	}
}

type scanner struct {
	src     string
	pos     int
	line    int
	depth   int
	section string         // path of the last header
	arrays  map[string]int // index of the last [[path]]
	outline outline
}

// at returns the byte at the position, 0 at the end.
func (s *scanner) at() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

func (s *scanner) next() {
	if s.at() == '\n' {
		s.line++
	}
	if s.pos < len(s.src) {
		s.pos++
	}
}

// blank skips blanks, line ends and comments.
func (s *scanner) blank() {
	for {
		switch s.at() {
		case ' ', '\t', '\r', '\n':
			s.next()
		case '#':
			for s.at() != '\n' && s.at() != 0 {
				s.next()
			}
		default:
			return
		}
	}
}

// tooDeep notes the line, and ends the scan.
func (s *scanner) tooDeep() {
	if s.outline.deep == 0 {
		s.outline.deep = s.line
	}
	s.pos = len(s.src)
}

func (s *scanner) inline() {
	for s.at() == ' ' || s.at() == '\t' {
		s.next()
	}
}

// name reads a dotted key.
func (s *scanner) name() []string {
	var parts []string
	for {
		s.inline()
		start := s.pos
		switch s.at() {
		case '"', '\'':
			end := s.at()
			s.next()
			for s.at() != end && s.at() != '\n' && s.at() != 0 {
				s.next()
			}
			parts = append(parts, s.src[start+1:s.pos])
			if s.at() == end {
				s.next()
			}
		default:
			for s.at() != 0 && !strings.ContainsRune(" \t\r\n.=[]{},#\"'", rune(s.at())) {
				s.next()
			}
			if s.pos == start {
				return parts
			}
			parts = append(parts, s.src[start:s.pos])
		}
		s.inline()
		if s.at() != '.' {
			return parts
		}
		s.next()
		if len(parts) > deepest {
			s.tooDeep()
			return parts
		}
	}
}

func (s *scanner) header() {
	line := s.line
	s.next()
	array := s.at() == '['
	if array {
		s.next()
	}
	path := ""
	parts := s.name()
	for i, part := range parts {
		path = join(path, part)
		if array && i == len(parts)-1 {
			if _, ok := s.arrays[path]; ok {
				s.arrays[path]++
			} else {
				s.arrays[path] = 0
			}
		}
		if index, ok := s.arrays[path]; ok {
			path += "[" + strconv.Itoa(index) + "]"
		}
	}
	s.record(path, line)
	s.section = path
	for s.at() == ']' {
		s.next()
	}
}

func (s *scanner) pair(prefix string) {
	line := s.line
	parts := s.name()
	if len(parts) == 0 {
		return
	}
	path := prefix
	for _, part := range parts[:len(parts)-1] {
		path = join(path, part)
		if _, ok := s.outline.lines[path]; !ok {
			s.outline.lines[path] = line
		}
	}
	path = join(path, parts[len(parts)-1])
	s.record(path, line)
	if s.at() == '=' {
		s.next()
		s.value(path)
	}
}

func (s *scanner) record(path string, line int) {
	if first, ok := s.outline.lines[path]; ok {
		s.outline.twice = append(s.outline.twice, duplicate{path, first, line})
		return
	}
	s.outline.lines[path] = line
}

// value skips a value, and looks into inline tables.
func (s *scanner) value(path string) {
	s.depth++
	defer func() { s.depth-- }()
	s.inline()
	switch c := s.at(); {
	case s.depth > deepest:
		s.tooDeep()
	case strings.HasPrefix(s.src[s.pos:], `"""`), strings.HasPrefix(s.src[s.pos:], "'''"):
		s.long(s.src[s.pos : s.pos+3])
	case c == '"', c == '\'':
		s.short(c)
	case c == '[':
		s.next()
		for i := 0; ; i++ {
			s.blank()
			start := s.pos
			if s.at() == ']' || s.at() == 0 {
				s.next()
				return
			}
			s.value(path + "[" + strconv.Itoa(i) + "]")
			s.separator(start)
		}
	case c == '{':
		s.next()
		for {
			s.blank()
			start := s.pos
			if s.at() == '}' || s.at() == 0 {
				s.next()
				return
			}
			s.pair(path)
			s.separator(start)
		}
	default:
		for s.at() != 0 && !strings.ContainsRune(",]}#\r\n", rune(s.at())) {
			s.next()
		}
	}
}

// separator skips the comma behind an element, and makes sure that something
// was read since start.
func (s *scanner) separator(start int) {
	s.blank()
	if s.at() == ',' || s.pos == start {
		s.next()
	}
}

func (s *scanner) short(end byte) {
	s.next()
	for s.at() != end && s.at() != '\n' && s.at() != 0 {
		if s.at() == '\\' && end == '"' {
			s.next()
		}
		s.next()
	}
	if s.at() == end {
		s.next()
	}
}

func (s *scanner) long(end string) {
	for range end {
		s.next()
	}
	for s.at() != 0 && !strings.HasPrefix(s.src[s.pos:], end) {
		if s.at() == '\\' && end == `"""` {
			s.next()
		}
		s.next()
	}
	for s.at() == end[0] { // up to two quotes may stand before the closing three
		s.next()
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}
