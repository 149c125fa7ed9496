package explain

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// maxText bounds what of a pasted text is looked at; a reply of a server is
// far shorter.
const maxText = 8 << 10

// pasted is an error line of some program, of which only the text is known.
type pasted string

func (p pasted) Error() string { return string(p) }

// sourcePlace is where in its source a program was: paths hold words that
// nobody said, and line numbers look like the codes of replies.
var sourcePlace = regexp.MustCompile(`(?:^|[\s"'(=])(?:/[\w.+@-]+){2,}|\b[A-Za-z]:\\[^\s"']*|` +
	`\bline \d+\b|(?:\.[A-Za-z]{1,5}|\bnode:[\w:/]+):[45][0-35]\d\b(?::\d+)?`)

// said is what the program has to say, without where in its source it was.
func (p pasted) said() string { return sourcePlace.ReplaceAllString(string(p), " ") }

// question is what the line asks the rules. Programs that failed to get a token
// say so in the words of the token endpoint.
func (p pasted) question(stage Stage, provider string) question {
	if said := p.said(); tokenWords.MatchString(said) {
		return askToken(said)
	}
	return ask(stage, 0, EnhancedCode{}, provider, p.said())
}

// FromText explains a text as it stands in a log or was pasted: an SMTP reply,
// or the error line of any program. Stage and provider may be "" when they are
// not known; the stage is then inferred where the text leaves no doubt. The
// text is kept: as Reply, or as Err when it is none.
func FromText(text string, stage Stage, provider string) *Failure {
	f := Failure{Stage: stage, Provider: provider}
	if r, ok := ParseReply(text); ok {
		f.Reply = r
		f.Cause = causeOf(stage, r.Code, r.Enhanced, provider, strings.Join(r.Lines, "\n"))
	} else {
		text = strings.TrimSpace(clip(text))
		line := pasted(text)
		f.Err = line
		f.Cause = Unknown
		q := line.question(stage, provider)
		if r := q.answer(); r != nil {
			f.Cause = r.Cause
		}
	}
	if stage == "" {
		f.Stage = stageOf(f.code(), text, f.Cause)
	}
	return &f
}

// stageOf is the stage that a text of unknown origin was most likely said at,
// "" where it could be any.
func stageOf(code int, text string, c Cause) Stage {
	if stages := stagesOf(code, text); len(stages) > 0 && len(stages) < 3 {
		return stages[0]
	}
	return row(c).Stage
}

// ParseReply reads an SMTP reply as it is pasted: "550-5.1.1 no\n550 5.1.1
// such user", also with the line ends spelled out as \n or \r\n, in quotes, or
// after the "S:" or "<" of a transcript. It is false for anything else. Only
// the first 8 KiB are read.
func ParseReply(text string) (*Reply, bool) {
	text = strings.Trim(strings.TrimSpace(clip(text)), "\"'`")
	text = spelledEnds.Replace(text)
	code := 0
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		m := replyLine.FindStringSubmatch(line)
		if m == nil {
			if len(lines) == 0 {
				return nil, false
			}
			// A long line that was wrapped on its way to us.
			lines = append(lines, line)
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || code != 0 && n != code {
			return nil, false
		}
		code = n
		lines = append(lines, m[2])
	}
	if code == 0 {
		return nil, false
	}
	return NewReply(code, lines), true
}

var (
	spelledEnds = strings.NewReplacer(`\r\n`, "\n", `\n`, "\n", `\r`, "\n")
	replyLine   = regexp.MustCompile(`^(?:(?:S|<|<-|<~\*?|<\*\*)[:\s]\s*)?([2-5][0-9]{2})(?:[- ](.*))?$`)

	address       = regexp.MustCompile(`(?:"(?:\\[^\n]|[^"\\\n])*"|[^\s<>()\[\]",;:]+)@[^\s<>()\[\]"',;:]+`)
	ipv4          = regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)
	lineCodes     = regexp.MustCompile(`(?m)^\s*(?:[2-5]\d{2}[- ])?\s*(?:[245]\.\d{1,3}\.\d{1,3}\b[,:;]?)?`)
	formula       = regexp.MustCompile(`requested (?:mail )?action (?:not taken|aborted)[:;.,]?(?: (?:mailbox unavailable|mailbox name not allowed|(?:local )?error in processing|exceeded storage allocation|insufficient system storage)\b[:;.,]?)?`)
	apart         = regexp.MustCompile(`(?s)\bDetail: (.*)\bSMTP code: ([45]\d\d)(?: Additional SMTP info: (\S*))?`) // PHPMailer
	enhancedAfter = regexp.MustCompile(`^(?:[-\s,:;)"']|$)\s*(?:b?["'])?(?:#?([45])\.(\d{1,3})\.(\d{1,3})\b)?`)
)

// quotedReply finds a server's reply inside the error line of a program, such
// as "Invalid login: 535 5.7.8 …" or "(550, b'5.1.1 …')": its codes, and what
// follows them. Of a code that stands there twice, the one with an enhanced
// code counts.
func quotedReply(text string) (code int, enhanced EnhancedCode, words string, ok bool) {
	if strings.Contains(text, "SMTP code: ") {
		if m := apart.FindStringSubmatch(text); m != nil {
			e, _, _ := cutEnhanced(m[3])
			return number(m[2]), e, m[1], true
		}
	}
	for i := 0; i+3 <= len(text); i++ {
		if !isReplyCode(text[i:i+3]) || !opensReply(text[:i]) {
			continue
		}
		m := enhancedAfter.FindStringSubmatchIndex(text[i+3:])
		if m == nil {
			continue
		}
		n := number(text[i : i+3])
		if ok && (n != code || m[2] < 0) {
			continue
		}
		rest := text[i+3:]
		code, words, ok = n, rest[m[1]:], true
		if m[2] >= 0 {
			return code, EnhancedCode{number(rest[m[2]:m[3]]), number(rest[m[4]:m[5]]), number(rest[m[6]:m[7]])}, words, true
		}
	}
	if _, answer, found := strings.Cut(text, "server response was: "); !ok && found { // .NET
		if e, words, has := cutEnhanced(answer); has && e[0] != 2 {
			return 100*e[0] + 50, e, words, true
		}
	}
	return code, enhanced, words, ok
}

// isReplyCode tells whether three bytes are the code of a refusal.
func isReplyCode(s string) bool {
	return (s[0] == '4' || s[0] == '5') && (s[1] >= '0' && s[1] <= '3' || s[1] == '5') && s[2] >= '0' && s[2] <= '9'
}

// opensReply tells whether a code may follow on before: not within a number, a
// word or an address.
func opensReply(before string) bool {
	before = strings.TrimSuffix(before, "#")
	if before == "" || strings.HasSuffix(before, "code=") || strings.HasSuffix(before, "status=") {
		return true
	}
	return strings.IndexByte(" \t\r\n\v\f:;(\"'>", before[len(before)-1]) >= 0
}

// number reads a few digits.
func number(digits string) int {
	n, _ := strconv.Atoi(digits) // digits only, at every call
	return n
}

// stagesOf are the stages at which a text of unknown origin may have been
// said: the one it names itself, else what its code and words allow. None
// means that nothing is known.
func stagesOf(code int, text string) []Stage {
	text = strings.ToLower(clip(text))
	for _, s := range saidAt {
		if s.words.match(text) {
			return s.stages
		}
	}
	switch code {
	case 0:
		return nil
	case 334, 432, 435, 454, 525, 526, 534, 535:
		return []Stage{StageAuth}
	case 220:
		return []Stage{StageGreeting}
	}
	return []Stage{StageMail, StageRcpt, StageData, StageDot}
}

// saidAt are the words with which programs say where a session failed.
var saidAt = []struct {
	words  phrases
	stages []Stage
}{
	{mustPhrases(`(in reply to|after|sending|sent) (the )?(pipelined )?(end of data|message body|final dot)`), []Stage{StageDot}},
	{mustPhrases(`(in reply to|after|sending|sent|receiving) (the )?(pipelined )?data\b|smtpdataerror|message failed:|data (end )?command failed|data not accepted`), []Stage{StageData, StageDot}},
	{mustPhrases(`(in reply to|after|sending|sent) (the )?(pipelined )?rcpt|recipientsrefused|rcpt( to)? (command )?failed|recipients? (were|was|addresses)? ?(rejected|failed)|recipient address .* not accepted by the server`), []Stage{StageRcpt}},
	{mustPhrases(`(in reply to|after|sending|sent) (the )?(pipelined )?mail (from|command)|senderrefused|mail( from)? (command )?failed|envelope from address .* not accepted by the server|from address failed`), []Stage{StageMail}},
	{mustPhrases(`authenticationerror|authenticationfailed|invalid login|eauth\b|could not authenticate|login denied|sasl auth|auth command failed|\(in reply to auth`), []Stage{StageAuth}},
	{mustPhrases(`(in reply to|after|sending) (the )?[eh](hlo|elo)|smtpheloerror`), []Stage{StageEHLO}},
	{mustPhrases(`initial server greeting|initial connection|greeting never`), []Stage{StageGreeting}},
	{mustPhrases(`(in reply to|after|sending) (the )?starttls|starttls command failed`), []Stage{StageSTARTTLS}},
}

func mustPhrases(pattern string) phrases {
	list, err := compilePhrases(pattern)
	if err != nil {
		panic("explain: " + err.Error())
	}
	return list
}

// normalise leaves the words of a text: without codes at the start of its
// lines, in lower case and without accents, addresses as "addr", IP addresses
// as "ip", white space folded, and without the formulas of RFC 5321, section
// 4.2.3, where the server says anything of its own beside them.
func normalise(text string) string {
	text = spelledEnds.Replace(clip(text))
	text = lineCodes.ReplaceAllString(text, "")
	text = address.ReplaceAllString(text, "addr")
	text = ipv4.ReplaceAllString(text, "ip")
	text = plain.Replace(strings.ToLower(text))
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '<' || r == '>' }), " ")
	if rest := strings.TrimSpace(formula.ReplaceAllString(text, "")); len(rest) >= 8 {
		return rest
	}
	return text
}

// plain folds what languages with Latin letters and typographic quotes add.
var plain = strings.NewReplacer(
	"à", "a", "á", "a", "â", "a", "ã", "a", "ä", "a", "å", "a", "ç", "c",
	"è", "e", "é", "e", "ê", "e", "ë", "e", "ì", "i", "í", "i", "î", "i", "ï", "i", "ñ", "n",
	"ò", "o", "ó", "o", "ô", "o", "õ", "o", "ö", "o", "ø", "o", "ù", "u", "ú", "u", "û", "u", "ü", "u", "ß", "ss",
	"’", "'", "‘", "'", "“", `"`, "”", `"`, "–", "-", "—", "-",
)

// clip cuts a text after maxText bytes.
func clip(text string) string { return text[:min(len(text), maxText)] }
