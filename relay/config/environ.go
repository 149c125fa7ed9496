package config

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kurir/upstream/spelling"
)

const envPrefix = "KURIR_"

// Kubernetes gives every pod variables about the services beside it, and for
// a service called kurir or kurir-smtp they begin with our prefix. They are
// told apart by their names, except for KURIR_PORT, which has a URL in it.
var serviceVariable = regexp.MustCompile(`^KURIR_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

func isServiceVariable(name, value string) bool {
	return serviceVariable.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

// environment lays KURIR_SECTION_KEY over the settings. KURIR_…_FILE gives the
// value in a file, except where …_FILE is a key by itself. A variable that is
// empty counts as not set: container tools pass on what is not set that way.
func (l *loader) environment() {
	known := map[string]key{}
	for _, section := range l.sections {
		for _, name := range l.keys[section] {
			k := key{section: section, name: name}
			known[k.env()] = k
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(l.env)) {
		value := l.env[variable]
		if !strings.HasPrefix(variable, envPrefix) || variable == envPrefix+"CONFIG" || value == "" {
			continue
		}
		if k, ok := known[variable]; ok {
			l.override(k, variable, value)
			continue
		}
		plain, isFile := strings.CutSuffix(variable, "_FILE")
		k, ok := known[plain]
		switch {
		case isFile && ok && l.env[plain] != "":
			l.origins[k] = origin{variable: variable}
			l.fault(k, "is set by "+plain+" too", "keep one of the two")
		case isFile && ok:
			l.overrideFromFile(k, variable, value)
		case !isServiceVariable(variable, value):
			l.unknownVariable(variable, known)
		}
	}
}

func (l *loader) unknownVariable(variable string, known map[string]key) {
	names := []string{envPrefix + "CONFIG"}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		names = append(names, name)
		if !strings.HasSuffix(name, "_FILE") {
			names = append(names, name+"_FILE")
		}
	}
	instead := "remove it, or name it KURIR_SECTION_KEY after a key of the file"
	name := strings.ToLower(strings.TrimPrefix(variable, envPrefix))
	if section, ok := l.home(name); ok {
		instead = "write " + key{section: section, name: name}.env()
	} else if meant := spelling.Nearest(variable, names); meant != "" {
		instead = "write " + meant
	}
	l.faults = append(l.faults, Fault{File: shown(variable), Problem: "is not a variable that Kurir knows", Instead: instead})
}

func (l *loader) overrideFromFile(k key, variable, path string) {
	path = from(l.opts.Dir, path)
	text, problem := readSmall(path)
	if problem != "" {
		l.origins[k] = origin{variable: variable}
		l.fault(k, path+": "+problem, "create the file, or correct "+variable)
		return
	}
	l.override(k, variable, trimLineEnd(text))
}

// override sets one key. Where several keys are different ways to give the
// same thing, the one in the environment replaces those of the file.
func (l *loader) override(k key, variable, value string) {
	ways := map[string][]string{upstreamSection: passwordKeys, oauth2Section: secretKeys}[k.section]
	if slices.Contains(ways, k.name) {
		for _, name := range ways {
			other := key{section: k.section, name: name}
			if l.given(other) && l.origins[other].variable == "" {
				delete(l.origins, other)
				reflect.ValueOf(field(&l.cfg, other)).Elem().SetZero()
			}
		}
	}
	l.origins[k] = origin{variable: variable}
	var asInFile any = value
	switch field(&l.cfg, k).(type) {
	case *int:
		if number, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
			asInFile = number
		}
	case *bool:
		if yes, known := yesOrNo[strings.ToLower(strings.TrimSpace(value))]; known {
			asInFile = yes
		}
	case *[]string:
		list := []any{}
		for _, element := range splitList(value) {
			list = append(list, element)
		}
		asInFile = list
	case *Aliases:
		asInFile = l.aliasesIn(k, value)
	}
	l.assign(k, asInFile)
}
