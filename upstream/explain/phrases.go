package explain

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
)

// phrases is a regular expression that is one long list of alternatives. Go's
// engine follows all of them through the text at once; looking for a few
// letters that each cannot do without first, and then for one alternative at a
// time, gives the same answer ten times sooner. An alternative is compiled when
// those letters are met: of thousands, a relay meets a handful in its life.
type phrases []phrase

type phrase struct {
	re      func() *regexp.Regexp
	needles []string // one of them is in whatever re matches; none if that is not known
}

// compilePhrases makes phrases of a pattern; an empty one gives nil.
func compilePhrases(pattern string) (phrases, error) {
	if pattern == "" {
		return nil, nil
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	alternatives := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpAlternate {
		alternatives = tree.Sub
	}
	var list phrases
	for _, a := range alternatives {
		pattern := a.String()
		list = append(list, phrase{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) }), needles(a)})
	}
	return list, nil
}

// match tells whether one of the phrases is in text.
func (list phrases) match(text string) bool {
	return slices.ContainsFunc(list, func(p phrase) bool {
		if p.needles != nil && !slices.ContainsFunc(p.needles, func(n string) bool { return strings.Contains(text, n) }) {
			return false
		}
		return p.re().MatchString(text)
	})
}

// needles are literals of which each match of re holds at least one, nil if
// there is no such set. Of a sequence, the part counts that is rarest: the one
// whose shortest literal is the longest.
func needles(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []string{string(re.Rune)}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return needles(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needles(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if n := needles(sub); shortest(n) > shortest(best) {
				best = n
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			n := needles(sub)
			if n == nil {
				return nil
			}
			all = append(all, n...)
		}
		return all
	}
	return nil
}

// shortest is the length of the shortest of list, 0 for none.
func shortest(list []string) int {
	if len(list) == 0 {
		return 0
	}
	return len(slices.MinFunc(list, func(a, b string) int { return len(a) - len(b) }))
}
