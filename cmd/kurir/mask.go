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
	count map[string]int
}

// newMask is the mask for what a configuration names; nil is none.
func newMask(c *config.Config) *mask {
	m := &mask{words: make(map[string]string), count: make(map[string]int)}
	name, err := os.Hostname()
	if err == nil && len(name) >= leastMasked {
		m.words[name] = "[this machine]"
	}
	if c == nil {
		return m
	}
	m.hide(c.Hostname, "[hostname]")
	m.hideSecret(c.Notify.Webhook)
	for _, u := range c.Upstreams {
		m.hosts = append(m.hosts, strings.ToLower(u.Host))
		m.hideSecret(u.Password)
		m.hideSecret(u.OAuth2.ClientSecret)
		if !strings.Contains(u.Username, "@") {
			m.hide(u.Username, "[user name]")
		}
	}
	return m
}

// leastMasked is the length from which on a word is masked inside of others.
const leastMasked = 4

func (m *mask) hideSecret(secret config.Secret) {
	for _, form := range redact.Forms(secret.Reveal()) {
		m.words[form] = redact.Mark
	}
}

func (m *mask) hide(text, word string) {
	if len(text) >= leastMasked {
		m.words[text] = word
	}
}

var (
	personAddress  = regexp.MustCompile(`(\\?"(?:[^"\\\n]|\\.){1,64}\\?"|[^\s<>"'(),;:=\[\]\\{}]+)@([^\s<>"'(),;:=\\{}/!?]+[^\s<>"'(),;:=\\{}/!?.])`)
	machineAddress = regexp.MustCompile(`[0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]*[0-9A-Fa-f]`)
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
	text = personAddress.ReplaceAllStringFunc(text, func(address string) string {
		at := strings.LastIndexByte(address, '@')
		local, domain := strings.ToLower(address[:at]), strings.ToLower(address[at+1:])
		if !m.isOfProvider(domain) {
			domains[domain] = m.word("domain", domain)
			domain = domains[domain]
		}
		return m.word("address", local+"@"+domain) + "@" + domain
	})
	for _, domain := range slices.SortedFunc(maps.Keys(domains), longest) {
		text = regexp.MustCompile(`(?i)`+regexp.QuoteMeta(domain)).ReplaceAllString(text, domains[domain])
	}
	return machineAddress.ReplaceAllStringFunc(text, func(s string) string {
		ip, err := netip.ParseAddr(s)
		if err != nil || !ip.IsGlobalUnicast() || ip.IsPrivate() {
			return s
		}
		return m.word("ip", s)
	})
}

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
