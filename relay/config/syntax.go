package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

var (
	sectionLine = regexp.MustCompile(`^\s*\[+\s*([A-Za-z0-9_.-]*)`)
	openSection = regexp.MustCompile(`^\s*\[[^\]=,"']*$`)
	keyLine     = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*([=:]?)\s*(.*?)\s*$`)
	addressLine = regexp.MustCompile(`^\s*[^\s"'=#]+@[^\s"'=#]+\s*=\s*["'\[]`)
	indexes     = regexp.MustCompile(`\[\d+\]`)
)

// syntaxFault says what keeps a file from being TOML. The parser's own words
// are not used: they quote what it read, which may be the password.
func (l *loader) syntaxFault(src string, err error) Fault {
	f := Fault{File: l.file, Problem: "this is not TOML", Instead: `a line is [section], key = "text" or key = number`}
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return f
	}
	f.Line = parse.Position.Line
	for _, again := range l.outline.twice {
		if again.line == f.Line {
			f.Key = shown(indexes.ReplaceAllString(again.path, ""))
			f.Problem, f.Instead = fmt.Sprintf("is in line %d already", again.first), "keep one of the two"
			if f.Key == upstreamSection {
				f.Instead = "keep one of the two, or write [[upstream]] for each if there are several providers"
			}
			return f
		}
	}
	lines := strings.Split(src, "\n")
	if f.Line < 1 || f.Line > len(lines) {
		return f
	}
	if from := l.outline.open; from > 0 && from <= f.Line {
		f.Line, f.Problem, f.Instead = from, "three quotes begin a text that does not end", "write one quote at both ends, or three below the text as well"
		return f
	}
	if above := max(f.Line-2, 0); openSection.MatchString(lines[above]) {
		f.Line = above + 1 // the parser sees it only at the end of the line
	}
	line := lines[f.Line-1]
	match := keyLine.FindStringSubmatch(line)
	switch {
	case !utf8.ValidString(line):
		f.Problem, f.Instead = "this line is not UTF-8 text", "save the file as UTF-8"
	case strings.TrimSpace(line) == "[["+upstreamSection+"]]":
		f.Key, f.Problem = upstreamSection, "stands in single brackets above, for one provider, and in double ones here, for several"
		f.Instead = "write [[upstream]] in both places"
	case sectionLine.MatchString(line):
		f.Problem, f.Instead = "this section line is not whole", "write the name between brackets and nothing behind: [upstream]"
	case addressLine.MatchString(line):
		f.Problem, f.Instead = "this name has an @ and no quotes around it", `write "name@example.com" = …`
	case match != nil:
		l.keySyntax(&f, keyIn(lines[:f.Line-1], match[1]), match[2], match[3])
	}
	return f
}

// keySyntax says what is wrong in a line that has a key.
func (l *loader) keySyntax(f *Fault, k key, sign, value string) {
	switch {
	case sign == "=":
		f.Key = k.String()
		f.Problem, f.Instead = l.valueSyntax(k, value)
	case sign == ":":
		f.Key, f.Problem, f.Instead = k.String(), "has a : behind it", "write = for the :"
	case l.isKey(k): // else it may be a password on a line of its own
		f.Key, f.Problem, f.Instead = k.String(), "has no = behind it", l.write(k, example(k))
	}
}

// keyIn is the key of a name below these lines.
func keyIn(above []string, name string) key {
	k := key{name: name}
	for _, line := range above {
		if header := sectionLine.FindStringSubmatch(line); header != nil {
			if k.section = header[1]; strings.HasPrefix(strings.TrimSpace(line), "[["+upstreamSection) {
				k.index++
			}
		}
	}
	k.index = max(k.index-1, 0)
	return k
}

// withoutLine empties the line of a fault, if it has a key and a value that
// ends there: without its first line, the others of a value are no TOML either.
// The key counts as given.
func (l *loader) withoutLine(src string, f Fault) (rest string, ok bool) {
	lines := strings.Split(src, "\n")
	if f.Key == "" || f.Line < 1 || f.Line > len(lines) {
		return "", false
	}
	match := keyLine.FindStringSubmatch(lines[f.Line-1])
	if match == nil || strings.HasPrefix(match[3], "[") || strings.HasPrefix(match[3], "{") ||
		strings.HasPrefix(match[3], `"""`) || strings.HasPrefix(match[3], "'''") {
		return "", false
	}
	l.origins[keyIn(lines[:f.Line-1], match[1])] = origin{file: f.File, line: f.Line}
	lines[f.Line-1] = ""
	return strings.Join(lines, "\n"), true
}

func (l *loader) isKey(k key) bool { return slices.Contains(l.keys[k.section], k.name) }

// valueSyntax says what is wrong with what stands behind the = of a key.
func (l *loader) valueSyntax(k key, value string) (problem, instead string) {
	// Only what surely is no secret is shown.
	show, number, list := false, false, false
	if l.isKey(k) {
		defaults := Default()
		switch field(&defaults, key{section: k.section, name: k.name}).(type) {
		case *int:
			show, number = true, true
		case *[]string:
			show, list = true, true
		case *Secret:
		case *Aliases:
			return "is not a whole section", l.write(k, example(k))
		default:
			show = k.name != "password_command" && k.name != "command"
		}
	}
	write := func(text string) string {
		switch {
		case !show || len(text) > 60:
			return "write " + k.name + ` = "…"`
		case number || text == "":
			return l.write(k, example(k))
		case list:
			return l.write(k, splitList(text))
		}
		return l.write(k, text)
	}
	if value == "" || value[0] == '#' {
		return "has no value", write("")
	}
	first, size := utf8.DecodeRuneInString(value)
	switch first {
	case '“', '”', '„', '‘', '’', '‚', '«', '»':
		return "has typographic quotes", write(strings.TrimRight(value[size:], "“”„‘’‚«»"))
	case '"', '\'':
		return quotedSyntax(k, value)
	case '[':
		return "is not a whole list", "put every element in quotes, commas between them, and a ] at the end"
	case '{':
		return "is not a whole section", "write [" + k.name + "], and its keys below"
	}
	text, _, _ := strings.Cut(value, " #")
	if number {
		return quote(text) + " is not a number", write("")
	}
	return "needs quotes", write(strings.Trim(strings.TrimSpace(text), `"'`))
}

func quotedSyntax(k key, value string) (problem, instead string) {
	text := quotedText.FindString(value)
	switch {
	case !strings.HasPrefix(value, text) || text == "":
		return "has a quote that is not closed", "put the same quote at both ends"
	case value[0] == '"' && strings.Contains(text, `\`):
		return "has a backslash, which is special between double quotes", "write " + k.name + " = '…'"
	case strings.TrimSpace(value[len(text):]) != "":
		return "has something behind the closing quote", "remove it, or write # before it if it is a comment"
	}
	return "has a character that must not stand there", "type the value anew"
}
