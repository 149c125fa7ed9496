package upstream

import (
	"slices"
	"strconv"
	"strings"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// known is what package provider knows that helps to understand a failure at
// the present stage.
func (s *session) known(r *explain.Reply) []explain.Fact {
	var facts []explain.Fact
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, explain.Fact{Name: name, Value: value})
		}
	}
	switch {
	case s.stage == explain.StageDNS:
		add(explain.FactNearestHost, provider.Nearest(s.candidate.Host))
	case s.stage == explain.StageConnect:
		add(explain.FactOtherPorts, s.o.otherPorts())
	case r != nil:
		facts = s.o.provider.Facts()
	}
	return append(facts, s.o.Facts...)
}

// otherPorts are the provider's ports that are not among the candidates, as
// when one was pinned.
func (o *Options) otherPorts() string {
	var ports []string
	for _, c := range o.provider.Candidates {
		tried := slices.ContainsFunc(o.Candidates, func(t explain.Candidate) bool { return t.Port == c.Port })
		if port := strconv.Itoa(c.Port); !tried && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return strings.Join(ports, " ")
}

// cleanPassword removes what a password catches on its way from a web page:
// white space at its ends, and within an app password the blanks that are
// shown between its four groups of four letters.
func cleanPassword(password string, p *provider.Provider) string {
	password = strings.TrimSpace(password)
	if !p.AppPassword {
		return password
	}
	groups := strings.Split(strings.ReplaceAll(password, "\u00a0", " "), " ")
	letter := func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
	other := func(g string) bool { return len(g) != 4 || strings.TrimFunc(g, letter) != "" }
	if len(groups) != 4 || slices.ContainsFunc(groups, other) {
		return password
	}
	return strings.Join(groups, "")
}
