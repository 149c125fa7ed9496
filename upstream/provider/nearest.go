package provider

import "strings"

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
			if d := distance(host, h); d < least {
				best, least = h, d
			}
		}
	}
	return best
}

// distance counts the letters to insert, drop, change or swap with their
// neighbour.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
