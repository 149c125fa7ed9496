package explain

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

// rulesTOML lists, specific before general, what servers and libraries say
// for each cause. What it may rest on stands at its top.
//
//go:embed rules.toml
var rulesTOML string

// A rule names the cause of every text that meets all its conditions; a
// condition left out is met by all.
type rule struct {
	Cause    Cause   `toml:"cause"`
	Stages   []Stage `toml:"stages"`
	Code     string  `toml:"code"`     // on three digits, "000" where the server said nothing
	Enhanced string  `toml:"enhanced"` // on "5.7.1", "" without one
	Provider string  `toml:"provider"`
	Words    string  `toml:"words"` // on the text as normalise leaves it
	Not      string  `toml:"not"`
	Example  string  `toml:"example"`
	Variant  string  `toml:"variant"` // which words of the cause fit what it is about

	code, enhanced, provider *regexp.Regexp // nil where left out
	words, not               phrases
}

// rules is compiled at its first use: most programs that link this package
// deliver more often than they fail.
var rules = sync.OnceValue(func() *ruleBook {
	book, err := readRules(rulesTOML)
	if err != nil {
		panic("explain: rules.toml: " + err.Error())
	}
	return book
})

// A ruleBook is the content of rules.toml.
type ruleBook struct {
	Rules   []rule `toml:"rule"`    // the first that fits names the cause
	Token   []rule `toml:"token"`   // the same, for what token endpoints say
	Lasting []rule `toml:"lasting"` // one that fits makes a 4xx of its cause permanent
}

// readRules decodes and compiles the rules.
func readRules(data string) (*ruleBook, error) {
	var book ruleBook
	meta, err := toml.Decode(data, &book)
	if err != nil {
		return nil, err
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		return nil, fmt.Errorf("unknown key %s", keys[0])
	}
	for name, list := range map[string][]rule{"rule": book.Rules, "token": book.Token, "lasting": book.Lasting} {
		for i := range list {
			if err := list[i].compile(); err != nil {
				return nil, fmt.Errorf("%s %d (%s): %w", name, i+1, list[i].Cause, err)
			}
		}
	}
	return &book, nil
}

// compile compiles the patterns of r; those on codes and names are anchored.
func (r *rule) compile() (err error) {
	for _, f := range []struct {
		re      **regexp.Regexp
		pattern string
	}{{&r.code, r.Code}, {&r.enhanced, r.Enhanced}, {&r.provider, r.Provider}} {
		if f.pattern == "" {
			continue
		}
		if *f.re, err = regexp.Compile("^(?:" + f.pattern + ")$"); err != nil {
			return err
		}
	}
	if r.words, err = compilePhrases(joinLines(r.Words)); err != nil {
		return err
	}
	r.not, err = compilePhrases(joinLines(r.Not))
	return err
}

// joinLines makes one line of a pattern that was broken for the reader.
func joinLines(pattern string) string { return strings.ReplaceAll(pattern, "\n", "") }

// A question is what the rules are asked about.
type question struct {
	stages   []Stage // where it may have failed; none if that is not known at all
	code     string
	enhanced string
	provider string
	words    string
	token    bool // it is about what a token endpoint said
}

// fits tells whether q meets every condition of r. The cheap ones come first.
// What a server agrees with only a rule refuses that names such codes.
func (r *rule) fits(q *question) bool {
	return (r.code == nil && !q.agreed() || r.code != nil && r.code.MatchString(q.code)) &&
		(len(r.Stages) == 0 || len(q.stages) == 0 || slices.ContainsFunc(q.stages, r.at)) &&
		(r.enhanced == nil || r.enhanced.MatchString(q.enhanced)) &&
		(r.provider == nil || r.provider.MatchString(q.provider)) &&
		(r.words == nil || r.words.match(q.words)) &&
		(!r.not.match(q.words))
}

// at tells whether r is about stage s.
func (r *rule) at(s Stage) bool { return slices.Contains(r.Stages, s) }

// agreed tells that the server's code refuses nothing: 2xx and 3xx.
func (q *question) agreed() bool { return q.code[0] == '2' || q.code[0] == '3' }

// causeOf finds the cause of a reply or error line from its words and codes.
// Unknown when nothing fits.
func causeOf(stage Stage, code int, enhanced EnhancedCode, provider, text string) Cause {
	q := ask(stage, code, enhanced, provider, text)
	if r := q.answer(); r != nil {
		return r.Cause
	}
	return Unknown
}

// answer is the first rule that fits, nil if none does.
func (q *question) answer() *rule {
	list := rules().Rules
	if q.token {
		list = rules().Token
	}
	for i := range list {
		if list[i].fits(q) {
			return &list[i]
		}
	}
	return nil
}

// tokenWords are in what token endpoints say and in nothing else (RFC 6749,
// section 5.2; Microsoft numbers its errors).
var tokenWords = regexp.MustCompile(`(?i)aadsts\d{4}|invalid_(grant|client|scope)\b|unauthorized_client|consent_required|` +
	`token has been expired or revoked|unauthorized to retrieve access tokens|invalid jwt\b`)

// askToken makes a question of what a token endpoint said.
func askToken(text string) question {
	return question{stages: []Stage{StageAuth}, code: "000", words: normalise(text), token: true}
}

// ask makes a question of what was said. Without a code, one inside the text
// counts: other programs quote the server in their own error lines.
func ask(stage Stage, code int, enhanced EnhancedCode, provider, text string) question {
	said := text
	if code == 0 {
		if c, e, words, ok := quotedReply(clip(text)); ok {
			code, enhanced, said = c, e, words
		}
	}
	stages := []Stage{stage}
	if stage == "" {
		stages = stagesOf(code, text)
	}
	return question{
		stages:   stages,
		code:     fmt.Sprintf("%03d", code),
		enhanced: enhanced.String(),
		provider: strings.ToLower(provider),
		words:    normalise(said),
	}
}

// lasts tells that a 4xx puts off what no waiting will mend.
func (f *Failure) lasts() bool {
	if f.class() != 4 {
		return false
	}
	q, _ := f.question()
	list := rules().Lasting
	for i := range list {
		if list[i].Cause == f.Cause && list[i].fits(&q) {
			return true
		}
	}
	return false
}

// question is what f asks the rules, false if nothing was said.
func (f *Failure) question() (question, bool) {
	if f.aboutToken() {
		return askToken(f.Fact(FactTokenError)), true
	}
	if f.Reply != nil {
		return ask(f.Stage, f.Reply.Code, f.Reply.Enhanced, f.Provider, f.said()), true
	}
	if line, ok := errors.AsType[pasted](f.Err); ok {
		return line.question(f.Stage, f.Provider), true
	}
	return question{}, false
}

// variant is that of the rule that named the cause, "" if none did.
func (f *Failure) variant() string {
	q, ok := f.question()
	if !ok {
		return ""
	}
	if r := q.answer(); r != nil && r.Cause == f.Cause {
		return r.Variant
	}
	return ""
}
