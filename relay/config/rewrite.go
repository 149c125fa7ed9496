package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rewrite says which senders and recipients are replaced by others.
type Rewrite struct {
	// From is the sender that replaces others, and that a message without one
	// gets: an address, or "Name <address>". "" means none.
	From string `toml:"from"`

	// When is "never", "unauthorized" (senders that are not allowed) or
	// "always".
	When string `toml:"when"`

	// Allowed lists the senders that are not replaced: addresses, "@domain"
	// or "domain". That of From is allowed anyway.
	Allowed []string `toml:"allowed"`

	// Aliases are recipients with whom they stand for. A name without an @ is
	// that name at Hostname and at localhost.
	Aliases Aliases `toml:"aliases"`
}

// Aliases are addresses by the name or address that stands for them. In the
// file one that stands alone needs no list.
type Aliases map[string][]string

func defaultRewrite() Rewrite {
	return Rewrite{When: "unauthorized", Allowed: []string{}, Aliases: Aliases{}}
}

// Sender is From, taken apart; name is plain text and may be "".
func (r Rewrite) Sender() (name, address string) {
	address = strings.TrimSpace(r.From)
	if at := strings.LastIndexByte(address, '<'); at >= 0 && strings.HasSuffix(address, ">") {
		name, address = strings.TrimSpace(address[:at]), strings.TrimSpace(address[at+1:len(address)-1])
	}
	if len(name) > 1 && name[0] == '"' && name[len(name)-1] == '"' {
		name = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(name[1 : len(name)-1])
	}
	return name, address
}

// A pair is an example of a table: one of its keys with its value.
type pair struct{ name, value string }

var (
	occasions     = choices{"never", "unauthorized", "always"}
	occasionNames = map[string]string{"no": "never", "off": "never", "false": "never", "none": "never", "yes": "always", "on": "always", "true": "always", "all": "always", "auto": "unauthorized", "foreign": "unauthorized"}
)

func (l *loader) validateRewrite() {
	r := &l.cfg.Rewrite
	from, when, allowed := key{section: "rewrite", name: "from"}, key{section: "rewrite", name: "when"}, key{section: "rewrite", name: "allowed"}
	if r.From != "" {
		l.checkSender(from, r)
	}
	l.checkChoice(when, &r.When, occasions, occasionNames)
	without := func(k key) {
		l.fault(k, "says which senders are replaced, but not by whom", "write "+l.assignmentBeside(k, from, example(from))+" too, or remove "+k.name)
	}
	if r.From == "" && !l.faultyAt(from) {
		// The example file sets every key to its default, and that is no fault.
		if r.When != defaultRewrite().When || l.given(when) && !l.given(from) {
			if !l.faultyAt(when) {
				without(when)
			}
		} else if len(r.Allowed) > 0 {
			without(allowed)
		}
	}
	l.checkSenders(allowed, r.Allowed)
	l.checkAliases(r.Aliases)
}

// checkSender judges the sender that replaces others.
func (l *loader) checkSender(k key, r *Rewrite) {
	name, address := r.Sender()
	problem, better := mailboxProblem(address)
	if problem == "" && strings.ContainsFunc(address, func(c rune) bool { return c >= 0x80 }) {
		problem, better = "has letters that many mail servers do not take in an address", ""
	}
	switch last := strings.LastIndexAny(r.From, " \t"); {
	case problem != "" && name == "" && last > 0:
		if p, _ := mailboxProblem(r.From[last+1:]); p == "" {
			problem, better = "has no brackets around the address", strings.TrimSpace(r.From[:last])+" <"+r.From[last+1:]+">"
		}
	case problem == "" && strings.ContainsAny(name, "<>"):
		problem, better = "has more than one address", ""
	case problem == "" && (strings.ContainsFunc(name, isControl) || len(name) > 200):
		problem, better = "has a name that is too long or has control characters in it", ""
	}
	if problem == "" {
		return
	}
	l.fault(k, quote(r.From)+" "+problem, l.write(k, cmp.Or(better, example(k).(string))))
}

// mailboxProblem judges one address of a person.
func mailboxProblem(address string) (problem, better string) {
	if problem, better = receiverProblem(address); problem != "" {
		return problem, better
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "has no @domain", ""
	}
	return localProblem(address[:at]), ""
}

// localProblem judges a name as it may stand before an @ without quotes.
func localProblem(name string) string {
	if name == "" || len(name) > 64 || strings.ContainsAny(name, "()<>[]:;@\\,\"\x7f") || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' }) {
		return "is not an address"
	}
	return ""
}

// alias is the key of one alias, for what is to be said of it.
func (l *loader) alias(name string) key {
	all := key{section: "rewrite", name: "aliases"}
	if l.origins[all].variable != "" {
		return all
	}
	return key{section: all.String(), name: name}
}

// checkAliases judges each alias by itself, then whether they go in circles.
func (l *loader) checkAliases(aliases Aliases) {
	stands := make(map[string]string) // which key an address belongs to
	before := len(l.faults)
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		k, problem := l.alias(name), localProblem(name)
		if strings.Contains(name, "@") {
			problem, _ = mailboxProblem(name)
		}
		switch {
		case strings.HasPrefix(name, "*"):
			l.fault(k, "would stand for everybody, which no alias can", "write the names one by one")
		case problem != "":
			l.fault(k, quote(name)+" "+problem, `write a name such as root, or "name@example.com"`)
		}
		for _, address := range l.cfg.addresses(name) {
			if other, ok := stands[address]; ok && !strings.Contains(name, "@") == !strings.Contains(other, "@") {
				l.fault(k, "is there as "+quote(other)+" too, and case does not count", "keep one of the two")
				break
			}
			if _, ok := stands[address]; !ok || strings.Contains(name, "@") {
				stands[address] = name
			}
		}
		if len(aliases[name]) == 0 {
			l.fault(k, "stands for nobody", "write an address, or remove it")
		}
		for _, target := range aliases[name] {
			if problem, better := mailboxProblem(target); problem != "" {
				l.faultIn(k, target, problem, better, `write an address such as "admin@example.com"`)
			}
		}
	}
	if len(l.faults) == before {
		l.checkCircles(aliases, stands)
	}
}

// addresses are those that the name of an alias means, in small letters.
func (c *Config) addresses(name string) (list []string) {
	name = strings.ToLower(name)
	if strings.Contains(name, "@") {
		return []string{name}
	}
	for _, host := range []string{c.Hostname, "localhost", "localhost.localdomain"} {
		if address := name + "@" + strings.ToLower(host); host != "" && !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

// checkCircles reports aliases that lead back to themselves, each circle once.
func (l *loader) checkCircles(aliases Aliases, stands map[string]string) {
	const onPath, done = 1, 2
	state := make(map[string]int, len(aliases))
	var follow func(name string)
	follow = func(name string) {
		state[name] = onPath
		for _, target := range aliases[name] {
			next, ok := stands[strings.ToLower(target)]
			switch {
			case !ok || state[next] == done:
			case state[next] == onPath:
				l.fault(l.alias(name), fmt.Sprintf("%s leads back to %s, in a circle", quote(target), quote(next)), "take it out, or write another address")
			default:
				follow(next)
			}
		}
		state[name] = done
	}
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		if state[name] == 0 {
			follow(name)
		}
	}
}

// assignAliases is assign for a table of aliases.
func (l *loader) assignAliases(k key, target *Aliases, value any) {
	table, ok := value.(map[string]any)
	if !ok {
		l.fault(k, "is "+kind(value)+", not a section", l.write(k, example(k)))
		return
	}
	aliases := make(Aliases, len(table))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		list, isList := table[name].([]any)
		if !isList {
			list = []any{table[name]}
		}
		for _, element := range list {
			text, ok := element.(string)
			if !ok {
				l.fault(l.alias(name), "is "+kind(element)+", not an address", `write an address in quotes, or a list of them`)
				return
			}
			aliases[name] = append(aliases[name], text)
		}
		if len(list) == 0 {
			aliases[name] = nil
		}
	}
	*target = aliases
}

// aliasesIn reads the environment's "root=admin@example.com,…", in which a name
// that is there twice has a list.
func (l *loader) aliasesIn(k key, text string) map[string]any {
	table := map[string]any{}
	for _, element := range splitList(text) {
		name, address, ok := strings.Cut(element, "=")
		if name = strings.TrimSpace(name); !ok {
			l.fault(k, quote(element)+" has no = in it", l.write(k, example(k)))
			return nil
		}
		list, _ := table[name].([]any)
		table[name] = append(list, strings.TrimSpace(address))
	}
	return table
}
