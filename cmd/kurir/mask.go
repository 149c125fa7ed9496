package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"kurir/relay/config"
	"kurir/upstream/explain"
	"kurir/upstream/provider"
	"kurir/upstream/redact"
)

// A mask puts words in the place of what is nobody's business: secrets,
// addresses of people, their domains, and addresses of machines on the
// Internet. The same address becomes the same word, so that a story can still
// be followed.
type mask struct {
	words map[string]string // what is masked wherever it stands
	hosts []string          // of providers, which stay

	domains []string // that are named without an address, or with one

	count map[string]int
}

// newMask is the mask for what a configuration names; nil is none.
func newMask(c *config.Config) *mask {
	m := &mask{words: make(map[string]string), count: make(map[string]int)}
	name, _ := os.Hostname() // without one, there is nothing to hide
	m.hide(name, "[this machine]")
	if c == nil {
		return m
	}
	m.hide(c.Hostname, "[hostname]")
	m.hide(c.Notify.Webhook.Reveal(), redact.Mark)
	for _, u := range c.Upstreams {
		m.hosts = append(m.hosts, strings.ToLower(u.Host))
		m.hide(u.Password.Reveal(), redact.Mark)
		m.hide(u.OAuth2.ClientSecret.Reveal(), redact.Mark)
		if !strings.Contains(u.Username, "@") {
			m.hide(u.Username, "[user name]")
		}
		m.domains = append(m.domains, u.Senders...)
	}
	m.domains = append(m.domains, c.Rewrite.Allowed...)
	return m
}

// leastMasked is the length from which on a word is masked inside of others.
const leastMasked = 4

// hide masks a text in each form in which it may be told.
func (m *mask) hide(text, word string) {
	for _, form := range redact.Forms(text) {
		m.words[form] = word
	}
}

var (
	// An address, whose @ may be written as in a URL.
	personAddress  = regexp.MustCompile(`(?i)(\\?"(?:[^"\\\n]|\\.){1,64}\\?"|[^\s<>"'(),;:=&?\[\]\\{}]+)(@|%40)([^\s<>"'(),;:=&\\{}/!?]+[^\s<>"'(),;:=&\\{}/!?.])`)
	machineAddress = regexp.MustCompile(`[0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]*(?:[0-9A-Fa-f]|::)`)
	fourOctets     = regexp.MustCompile(`\d{1,3}(?:\.\d{1,3}){3}`)
)

// cover gives text without any of it, in lines that any terminal may show.
func (m *mask) cover(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = explain.Printable(lines[i])
	}
	text = strings.Join(lines, "\n")
	// Secrets go first, as they may look like anything.
	for _, known := range slices.SortedFunc(maps.Keys(m.words), longest) {
		text = strings.ReplaceAll(text, known, m.words[known])
	}
	domains := make(map[string]string)
	masked := func(domain string) string {
		if m.isOfProvider(domain) {
			return domain
		}
		domains[domain] = m.word("domain", domain)
		return domains[domain]
	}
	text = personAddress.ReplaceAllStringFunc(text, func(address string) string {
		parts := personAddress.FindStringSubmatch(address)
		domain := masked(strings.ToLower(parts[3]))
		return m.word("address", strings.ToLower(parts[1])+"@"+domain) + parts[2] + domain
	})
	for _, named := range m.domains {
		if domain := strings.ToLower(named[strings.LastIndexByte(named, '@')+1:]); len(domain) >= leastMasked {
			masked(domain)
		}
	}
	for _, domain := range slices.SortedFunc(maps.Keys(domains), longest) {
		pattern := regexp.QuoteMeta(domain)
		if !strings.Contains(domain, ".") && asciiName.MatchString(domain) {
			pattern = `\b` + pattern + `\b` // a machine's name may be a part of our words
		}
		text = regexp.MustCompile(`(?i)`+pattern).ReplaceAllString(text, domains[domain])
	}
	return machineAddress.ReplaceAllStringFunc(text, m.machine)
}

var asciiName = regexp.MustCompile(`^[0-9a-z](?:.*[0-9a-z])?$`)

// machine is what may be told of a text that looks like an address of a machine,
// which may have a port, or a colon before it.
func (m *mask) machine(s string) string {
	trimmed := strings.TrimLeft(s, ".")
	if strings.HasPrefix(trimmed, ":") && !strings.HasPrefix(trimmed, "::") {
		trimmed = trimmed[1:]
	}
	ip, err := netip.ParseAddr(trimmed)
	if err != nil {
		return fourOctets.ReplaceAllStringFunc(s, func(four string) string {
			if ip, err := netip.ParseAddr(four); err == nil && isOnInternet(ip) {
				return m.word("ip", four)
			}
			return four
		})
	}
	if isOnInternet(ip) {
		return strings.TrimSuffix(s, trimmed) + m.word("ip", trimmed)
	}
	return s
}

func isOnInternet(ip netip.Addr) bool { return ip.IsGlobalUnicast() && !ip.IsPrivate() }

// isOfProvider tells whether a domain says nothing of whose it is.
func (m *mask) isOfProvider(domain string) bool {
	if p, _ := provider.ByDomain(domain); p != nil {
		return true
	}
	return slices.ContainsFunc(m.hosts, func(host string) bool { return host == domain || strings.HasSuffix(host, "."+domain) })
}

// word is what stands for a text of a kind from now on.
func (m *mask) word(kind, text string) string {
	key := kind + " " + text
	if m.count[key] == 0 {
		m.count[kind]++
		m.count[key] = m.count[kind]
	}
	return fmt.Sprintf("%s-%d", kind, m.count[key])
}

// longest orders texts so that none is masked as a part of another.
func longest(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) }
