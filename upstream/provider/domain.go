package provider

import "strings"

// A Pattern says which names lead to a provider, and to which of its hosts.
type Pattern struct {
	Name string // a * in it stands for one label
	Host string // "" means the first of Hosts
}

// UnmarshalText reads the form of providers.toml: "zoho.eu smtp.zoho.eu", or
// the name alone.
func (p *Pattern) UnmarshalText(text []byte) error {
	p.Name, p.Host, _ = strings.Cut(string(text), " ")
	return nil
}

// ByDomain returns the provider whose users have addresses in a domain, and
// the host that serves them; nil and "" if it is nobody's that is known. Case
// and a trailing dot do not matter.
func ByDomain(domain string) (*Provider, string) {
	return find(domain, func(p *Provider) []Pattern { return p.Domains })
}

// ByMX returns the provider to which an MX host belongs, and the submission
// host for those whose mail goes there; nil and "" if it is nobody's that is
// known. Case and a trailing dot do not matter.
func ByMX(host string) (*Provider, string) {
	return find(host, func(p *Provider) []Pattern { return p.MX })
}

// find prefers a name to a pattern: *.example.com must not hide what another
// row knows of one host there.
func find(name string, of func(*Provider) []Pattern) (*Provider, string) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	var found *Provider
	host := ""
	for _, p := range table() {
		for _, q := range of(p) {
			switch {
			case q.Name == name:
				return p, p.host(q)
			case found == nil && matches(q.Name, name):
				found, host = p, p.host(q)
			}
		}
	}
	return found, host
}

// host is where a pattern leads.
func (p *Provider) host(q Pattern) string {
	if q.Host != "" {
		return q.Host
	}
	return p.Hosts[0]
}
