package config

import (
	"regexp"
	"strconv"
	"strings"
)

// An outline says in which line of a TOML file a key stands, which the parser
// tells only about errors. Paths are as in "upstream[0].host" below [[upstream]]
// and "listen.smtp" below [listen]; what stands in an inline table has none.
type outline struct {
	lines map[string]int
	twice []duplicate // in the order of the file
	deep  int         // the first line that is nested deeper than deepest, 0 if none
	open  int         // the line where a text of several lines begins that does not end, 0 if none
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

const (
	namePattern = `(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')`
	pathPattern = `\s*(` + namePattern + `(?:\s*\.\s*` + namePattern + `)*)\s*`
)

var (
	names      = regexp.MustCompile(namePattern)
	pathHead   = regexp.MustCompile(`^\s*\[(\[?)` + pathPattern + `\]`)
	pathPair   = regexp.MustCompile(`^` + pathPattern + `=\s*("""|''')?`)
	quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'|#.*`)
)

// outlineOf reads a file line by line. It judges nothing: where the file is not
// valid TOML it goes on as well as it can.
func outlineOf(src string) outline {
	o := outline{lines: map[string]int{}}
	arrays := map[string]int{} // how often [[path]] was there
	section, depth, open := "", 0, ""
	line := 0
	for text := range strings.Lines(strings.TrimPrefix(src, "\ufeff")) {
		line++
		if open != "" { // in a text of several lines
			if strings.Contains(text, open) {
				open, o.open = "", 0
			}
			continue
		}
		path := ""
		if head := pathHead.FindStringSubmatch(text); head != nil {
			parts := names.FindAllString(head[2], -1)
			for i, part := range parts {
				path = join(path, strings.Trim(part, `"'`))
				if head[1] != "" && i == len(parts)-1 {
					arrays[path]++
				}
				if n := arrays[path]; n > 0 {
					path += "[" + strconv.Itoa(n-1) + "]"
				}
			}
			section = path
		} else if pair := pathPair.FindStringSubmatch(text); pair != nil {
			path = section
			for i, part := range names.FindAllString(pair[1], -1) {
				if i > 0 && o.lines[path] == 0 {
					o.lines[path] = line
				}
				path = join(path, strings.Trim(part, `"'`))
			}
			if end := pair[2]; end != "" && !strings.Contains(text[len(pair[0]):], end) {
				open, o.open = end, line
			}
		}
		if first := o.lines[path]; first > 0 {
			o.twice = append(o.twice, duplicate{path, first, line})
		} else if path != "" {
			o.lines[path] = line
		}
		bare := quotedText.ReplaceAllString(text, "")
		depth = max(0, depth+strings.Count(bare, "[")+strings.Count(bare, "{"))
		if o.deep == 0 && (depth > deepest || strings.Count(path, ".") > deepest) {
			o.deep = line
		}
		depth = max(0, depth-strings.Count(bare, "]")-strings.Count(bare, "}"))
	}
	return o
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}
