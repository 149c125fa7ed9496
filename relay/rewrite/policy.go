package rewrite

import (
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"

	"kurir/upstream/envelope"
)

// When says which senders are replaced.
type When string

// The values of When.
const (
	Never        When = "never"        // Rules.From only stands in where a message has no From
	Unauthorized When = "unauthorized" // those that are not allowed
	Always       When = "always"
)

// Rules are what a person wants rewritten. The zero value changes no sender
// and no recipient.
type Rules struct {
	Hostname string // our name, which names without a domain belong to

	// From is the sender that replaces others, "" for none, and Name its
	// display name, in plain text. When "" is Never.
	From envelope.Path
	Name string
	When When

	// Allowed are the senders that need not be replaced: addresses, "@domain"
	// or "domain", which is not what lies below it. From is one of them.
	Allowed []string

	// Aliases are recipients with whom they stand for. A key without an @ is
	// that name at Hostname, localhost and localhost.localdomain. Case does
	// not count.
	Aliases map[string][]string
}

// A Policy is Rules in a form that is quick to use. It never changes, so that
// any number of goroutines may use it; a nil one changes nothing.
type Policy struct {
	from    envelope.Path // "" if there is none
	name    string        // as a From field has it
	when    When
	allowed map[string]bool            // in small letters; a domain with its @
	aliases map[string][]envelope.Path // whole addresses, in small letters
}

// Compile makes a Policy, or says which address or word is of no use. Who
// closes a circle of aliases is left out of it.
func Compile(r Rules) (*Policy, error) {
	p := &Policy{from: r.From, when: r.When, allowed: map[string]bool{}, aliases: map[string][]envelope.Path{}}
	switch {
	case r.When == "" || r.From == "":
		p.when = Never
	case r.When != Never && r.When != Unauthorized && r.When != Always:
		return nil, fmt.Errorf("rewrite: %q says not when to rewrite", r.When)
	}
	if again, err := envelope.ParsePath(string(r.From)); err != nil || again != r.From {
		return nil, fmt.Errorf("rewrite: %q is no address to send from", r.From)
	}
	if strings.ContainsFunc(r.Name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return nil, fmt.Errorf("rewrite: the name %q has a control character", r.Name)
	}
	p.name = displayName(r.Name)
	for _, a := range r.Allowed {
		if !strings.Contains(a, "@") {
			a = "@" + a
		}
		p.allowed[small(a)] = true
	}
	p.allowed[small(string(p.from))] = p.from != ""
	return p, p.addAliases(r.Aliases, r.Hostname)
}

// addAliases follows each alias to the addresses that none stands for.
func (p *Policy) addAliases(aliases map[string][]string, hostname string) error {
	direct := make(map[string][]envelope.Path, len(aliases))
	keys := slices.SortedFunc(maps.Keys(aliases), func(a, b string) int {
		return strings.Count(a, "@") - strings.Count(b, "@") // a whole address goes before a name
	})
	for _, key := range keys {
		var targets []envelope.Path
		for _, target := range aliases[key] {
			path, err := envelope.ParsePath(target)
			if err != nil || path == "" {
				return fmt.Errorf("rewrite: the alias %q has no address in %q", key, target)
			}
			targets = append(targets, path)
		}
		for _, name := range named(key, hostname) {
			direct[name] = targets
		}
	}
	for name := range direct {
		seen := map[string]bool{name: true}
		var follow func([]envelope.Path)
		follow = func(targets []envelope.Path) {
			for _, target := range targets {
				key := small(string(target))
				if seen[key] {
					continue
				}
				seen[key] = true
				if next, ok := direct[key]; ok {
					follow(next)
				} else {
					p.aliases[name] = append(p.aliases[name], target)
				}
			}
		}
		follow(direct[name])
	}
	return nil
}

// named are the addresses that the key of an alias means, in small letters.
func named(key, hostname string) []string {
	key = small(key)
	if strings.Contains(key, "@") {
		return []string{key}
	}
	return []string{key + "@" + small(hostname), key + "@localhost", key + "@localhost.localdomain"}
}

// Envelope is env with its reverse-path and its recipients rewritten; env's own
// list of them is left as it is. The null reverse-path stays (RFC 5321, section
// 4.5.5). Recipients that an alias stands for keep the DSN parameters, and each
// address is there once.
func (p *Policy) Envelope(env envelope.Envelope) envelope.Envelope {
	if p == nil {
		return env
	}
	if env.From != "" && !p.allows(env.From) {
		env.From = p.from
	}
	if slices.ContainsFunc(env.To, func(r envelope.Recipient) bool { return p.targets(r.To) != nil }) {
		env.To = p.recipients(env.To)
	}
	env.UTF8 = !env.From.IsASCII() || slices.ContainsFunc(env.To, func(r envelope.Recipient) bool { return !r.To.IsASCII() })
	return env
}

func (p *Policy) targets(to envelope.Path) []envelope.Path {
	if len(p.aliases) == 0 {
		return nil
	}
	return p.aliases[small(string(to))]
}

func (p *Policy) recipients(before []envelope.Recipient) (after []envelope.Recipient) {
	seen := make(map[string]bool, len(before))
	for _, r := range before {
		targets := p.targets(r.To)
		if targets == nil {
			targets = []envelope.Path{r.To}
		}
		for _, r.To = range targets {
			key := r.To.LocalPart() + "@" + small(r.To.Domain())
			if !seen[key] {
				seen[key] = true
				after = append(after, r)
			}
		}
	}
	return after
}

// rewrites tells whether senders are judged at all.
func (p *Policy) rewrites() bool { return p != nil && p.when != Never }

// allows tells whether a sender may stay.
func (p *Policy) allows(sender envelope.Path) bool {
	switch p.when {
	case Never:
		return true
	case Always:
		return false
	}
	s := small(string(sender))
	at := strings.LastIndexByte(s, '@')
	return at > 0 && (p.allowed[s] || p.allowed[s[at:]])
}

// displayName writes a name as a field has it: bare, quoted or encoded.
func displayName(name string) string {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -'") == "" {
		return strings.TrimSpace(name)
	}
	return strings.TrimSuffix((&mail.Address{Name: name, Address: "a@b"}).String(), " <a@b>")
}

// small makes ASCII letters small. Others stay: they may look alike without
// being the same to a mail server.
func small(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// join puts a blank between two parts of a field, or a fold where the line
// would become longer than 78 octets (RFC 5322, section 2.1.1).
func join(a, b string) string {
	line := a[strings.LastIndexByte(a, '\n')+1:]
	switch {
	case a == "" || b == "":
		return a + b
	case len("Reply-To: ")+len(line)+1+len(b) > 78:
		return a + "\r\n " + b
	}
	return a + " " + b
}
