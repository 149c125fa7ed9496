package provider

import (
	"strings"

	"kurir/upstream/spelling"
)

// Nearest returns the provider's host that a name is most likely a misspelling
// of: one that at most two letters, in a short name one, have to be inserted,
// dropped, changed or swapped in. It is "" for a host that is right, and when
// none is near.
func Nearest(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || len(host) > 253 || ByHost(host) != nil {
		return ""
	}
	best, least := "", 1+min(2, len(host)/6) // in a short name, two letters are another name
	for _, p := range table() {
		for _, h := range p.Hosts {
			gap := max(len(h)-len(host), len(host)-len(h))
			if gap >= least || strings.Contains(h, "*") {
				continue
			}
			if d := spelling.Slips(host, h); d < least {
				best, least = h, d
			}
		}
	}
	return best
}
