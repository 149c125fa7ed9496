package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A key names one setting. Section is "" for those at the top of the file, and
// has a dot in it for a section within another; index counts the [[upstream]]
// sections and is 0 elsewhere.
type key struct {
	section string
	index   int
	name    string
}

// String returns the key as people write it: "upstream.host".
func (k key) String() string { return join(k.section, k.name) }

// paths are where the outline of a file may have the key.
func (k key) paths() []string {
	outer, inner, _ := strings.Cut(k.section, ".")
	indexed := join(fmt.Sprintf("%s[%d]", outer, k.index), k.name)
	if inner != "" {
		indexed = join(fmt.Sprintf("%s[%d].%s", outer, k.index, inner), k.name)
	}
	if k.index > 0 {
		return []string{indexed}
	}
	return []string{k.String(), indexed, k.String() + "[0]"}
}

// env is the name of the environment variable for the key.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.String(), ".", "_"))
}

const (
	upstreamSection = "upstream"
	maxUpstreams    = 100
)

// schema lists the keys a file may have, by section, in the order of Config.
func schema() (sections []string, keys map[string][]string) {
	keys = map[string][]string{}
	var list func(section string, table reflect.Type)
	list = func(section string, table reflect.Type) {
		sections = append(sections, section)
		for f := range table.Fields() {
			name, inner := f.Tag.Get("toml"), f.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			switch {
			case name == "-":
			case inner.Kind() == reflect.Struct && inner != reflect.TypeFor[Rate]():
				list(join(section, name), inner)
			default:
				keys[section] = append(keys[section], name)
			}
		}
	}
	list("", reflect.TypeFor[Config]())
	return sections, keys
}

// field returns a pointer to the setting in cfg, nil if there is none of that
// name.
func field(cfg *Config, k key) any {
	table := reflect.ValueOf(cfg).Elem()
	if outer, inner, nested := strings.Cut(k.section, "."); outer != "" {
		table = named(table, outer)
		if table.Kind() == reflect.Slice {
			table = table.Index(k.index)
		}
		if nested {
			table = named(table, inner)
		}
	}
	if value := named(table, k.name); value.IsValid() {
		return value.Addr().Interface()
	}
	return nil
}

func named(table reflect.Value, name string) reflect.Value {
	for f, value := range table.Fields() {
		if f.Tag.Get("toml") == name {
			return value
		}
	}
	return reflect.Value{}
}

// decode takes a section of the parsed file into the Config, and what is
// within it; "" is the whole file.
func (l *loader) decode(section string, index int, table map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		k, value, within := key{section, index, name}, table[name], join(section, name)
		inner, isTable := value.(map[string]any)
		_, isTables := value.([]map[string]any)
		switch {
		case slices.Contains(l.keys[section], name):
			l.origins[k] = origin{file: l.file, line: l.line(k)}
			l.assign(k, value)
		case within == upstreamSection:
			l.decodeUpstreams(k, value)
		case !slices.Contains(l.sections, within):
			l.unknown(k, value)
		case isTable:
			l.decode(within, index, inner)
		case isTables && section == "":
			l.fault(k, "is a section that there is only one of", fmt.Sprintf("write [%s], and its keys below", within))
		default:
			l.fault(k, "is a section, not a value", fmt.Sprintf("write [%s], and its keys below", within))
		}
	}
}

func (l *loader) decodeUpstreams(k key, value any) {
	var tables []map[string]any
	problem, instead := "", "write [upstream], and host, username and password below"
	switch value := value.(type) {
	case map[string]any:
		tables = []map[string]any{value}
	case []map[string]any:
		tables = value
	case []any:
		for _, element := range value {
			table, ok := element.(map[string]any)
			if !ok {
				problem = "is a list of something else than sections"
			}
			tables = append(tables, table)
		}
	default:
		problem = "is a section, not a value"
	}
	if problem == "" && len(tables) > maxUpstreams {
		problem, instead = fmt.Sprintf("is there %d times", len(tables)), fmt.Sprintf("write at most %d", maxUpstreams)
	}
	if problem != "" {
		l.hintUpstream()
		l.fault(k, problem, instead)
		return
	}
	for len(l.cfg.Upstreams) < len(tables) {
		l.cfg.Upstreams = append(l.cfg.Upstreams, defaultUpstream())
	}
	for i, table := range tables {
		l.decode(upstreamSection, i, table)
	}
}

// assign stores a value from TOML, or as if from TOML, in the setting. What
// does not fit is a fault, and leaves the setting as it was.
func (l *loader) assign(k key, value any) {
	switch target := field(&l.cfg, k).(type) {
	case *string:
		if text, ok := value.(string); ok {
			*target = text
			return
		}
		l.fault(k, "is "+kind(value)+", not text", l.write(k, textFor(k, value)))
	case *Secret:
		if text, ok := value.(string); ok {
			*target = Secret(text)
			return
		}
		l.fault(k, "is "+kind(value)+", not text", "put it in quotes: "+l.assignment(k, "…"))
	case *int:
		number, isNumber := value.(int64)
		text, isText := value.(string)
		meant, err := strconv.Atoi(strings.TrimSpace(text))
		switch {
		case isNumber && int64(int(number)) == number:
			*target = int(number)
		case isNumber:
			l.fault(k, "is too large", l.write(k, example(k)))
		case isText && err == nil:
			l.fault(k, "is text, not a number", l.write(k, meant))
		case isText:
			l.fault(k, quote(text)+" is not a number", l.write(k, example(k)))
		default:
			l.fault(k, "is "+kind(value)+", not a whole number", l.write(k, example(k)))
		}
	case *bool:
		if yes, ok := value.(bool); ok {
			*target = yes
			return
		}
		yes, known := yesOrNo[strings.ToLower(fmt.Sprint(value))]
		instead := l.write(k, yes)
		if !known {
			instead = fmt.Sprintf("%s or %s", l.write(k, true), l.assignment(k, false))
		}
		l.fault(k, "is "+kind(value)+", not true or false", instead)
	case *Size:
		if number, ok := value.(int64); ok && number >= 0 {
			*target = Size(number)
			return
		}
		assignParsed(l, k, target, value, parseSize)
	case *Duration:
		if number, ok := value.(int64); ok && number > 0 {
			value = strconv.FormatInt(number, 10)
		}
		assignParsed(l, k, target, value, parseDuration)
	case *Rate:
		assignParsed(l, k, target, value, parseRate)
	case *[]string:
		list, ok := value.([]any)
		if !ok {
			what := strings.Replace(kind(value), "text", "one text", 1)
			l.fault(k, "is "+what+", not a list", l.write(k, listFor(k, value)))
			return
		}
		texts := make([]string, len(list))
		for i, element := range list {
			if texts[i], ok = element.(string); !ok {
				l.fault(k, "has "+kind(element)+" in the list, not text", l.write(k, example(k)))
				return
			}
		}
		*target = texts
	case *Aliases:
		l.assignAliases(k, target, value)
	}
}

// yesOrNo are the words and numbers for true and false.
var yesOrNo = map[string]bool{
	"true": true, "yes": true, "on": true, "1": true,
	"false": false, "no": false, "off": false, "0": false,
}

// assignParsed is assign for what is text in the file.
func assignParsed[T any](l *loader, k key, target *T, value any, parse func(string) (T, error)) {
	text, ok := value.(string)
	if !ok {
		l.fault(k, "is "+kind(value)+", not text", l.write(k, example(k)))
		return
	}
	parsed, err := parse(text)
	switch {
	case err == nil:
		*target = parsed
	case errors.Is(err, errNoUnit):
		l.fault(k, quote(text)+" has no unit (ms, s, m, h or d)", l.write(k, strings.TrimSpace(text)+"s")+" if seconds are meant")
	default:
		l.fault(k, quote(text)+" "+err.Error(), l.write(k, example(k)))
	}
}

// kind says what a value of TOML is, for people.
func kind(value any) string {
	switch value := value.(type) {
	case string:
		return "text"
	case int64:
		if value < 0 {
			return "a negative number"
		}
		return "a number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a section"
	default:
		return "a date or time"
	}
}

// splitList reads a list in one text: elements between commas or line ends.
func splitList(text string) []string {
	list := []string{}
	for element := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if element = strings.TrimSpace(element); element != "" {
			list = append(list, element)
		}
	}
	return list
}
