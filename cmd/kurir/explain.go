package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"kurir/upstream/discover"
	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// maxExplain bounds what is read from standard input, in bytes.
const maxExplain = 4 << 20

// asked is what the command line says of the texts, and what was looked up on
// the way.
type asked struct {
	stage    explain.Stage
	host     string
	provider *provider.Provider
	language explain.Language

	near map[string]string // the misspelt hosts seen so far; "" is a host that is none
}

// hints are what stands beside a text.
type hints struct {
	stage explain.Stage
	cause explain.Cause // for certain
	guess explain.Cause // if the text does not tell
	host  string
	port  int
	tls   explain.TLSMode
}

// prepareExplain is "kurir explain".
func prepareExplain(flags *flag.FlagSet) action {
	var o explainOptions
	flags.StringVar(&o.stage, "stage", "", "how far the session had come: `STAGE` is one of "+list(explain.Stages()))
	flags.StringVar(&o.host, "host", "", "the provider's `HOST`")
	flags.StringVar(&o.provider, "provider", "", "the provider's `NAME`, see kurir init --provider list")
	flags.StringVar(&o.language, "language", string(explain.English), "explain in English or Indonesian: `en|id`")
	flags.BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
	return func(words []string, std streams) int { return explainTexts(o, words, std.in, std.out, std.err) }
}

// explainOptions are what kurir explain was told.
type explainOptions struct {
	stage, host, provider, language string
	asJSON                          bool
}

// explainTexts says what SMTP replies and error lines mean.
func explainTexts(o explainOptions, words []string, stdin *os.File, stdout, stderr io.Writer) int {
	a := asked{stage: explain.Stage(o.stage), host: o.host, language: explain.Language(o.language), near: map[string]string{}}
	switch {
	case a.stage != "" && !slices.Contains(explain.Stages(), a.stage):
		return complain(stderr, exitUsage, fmt.Errorf("kurir explain: there is no stage %q; use one of %s", o.stage, list(explain.Stages())))
	case !slices.Contains(explain.Languages(), a.language):
		return complain(stderr, exitUsage, fmt.Errorf("kurir explain: there is no language %q; use one of %s", o.language, list(explain.Languages())))
	case o.provider != "":
		if a.provider = provider.ByName(o.provider); a.provider == nil {
			_, err := discover.FromProvider(o.provider, "") // knows which one may be meant
			return complain(stderr, exitUsage, fmt.Errorf("kurir explain: %w", err))
		}
	}
	text, single := strings.Join(words, " "), true
	if len(words) == 0 && isTerminal(stdin) {
		text = ""
	} else if len(words) == 0 || text == "-" {
		single = false
		var err error
		if text, err = input(stdin, stderr); err != nil {
			return complain(stderr, exitFailed, fmt.Errorf("kurir explain: %w", err))
		}
	}
	failures, passages := a.explain(text, single)
	switch {
	case passages == 0:
		fmt.Fprintln(stderr, `kurir explain: there is nothing to explain; give it a reply or an error line, such as kurir explain "535 5.7.8 Bad credentials"`)
		return exitUsage
	case len(failures) == 0 && passages == 1:
		fmt.Fprintln(stderr, "kurir explain: nothing failed here: this says that it went well")
	case len(failures) == 0:
		fmt.Fprintln(stderr, "kurir explain: nothing here tells of a failure")
	}
	print := printExplained
	if o.asJSON {
		print = encodeExplained
	}
	if err := print(stdout, failures, a.language); err != nil {
		return complain(stderr, exitFailed, fmt.Errorf("kurir explain: %w", err))
	}
	return exitOK
}

// input reads what is to be explained.
func input(stdin io.Reader, stderr io.Writer) (string, error) {
	data, err := io.ReadAll(io.LimitReader(stdin, maxExplain+1))
	if err != nil {
		return "", err
	}
	text := string(data)
	if len(text) > maxExplain {
		text = text[:maxExplain]
		if end := strings.LastIndexByte(text, '\n'); end >= 0 {
			text = text[:end] // no half line
		}
		fmt.Fprintf(stderr, "kurir explain: that is more than %d MB; only what comes first is explained\n", maxExplain>>20)
	}
	return text, nil
}

func list[T ~string](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err != nil || info.Mode()&os.ModeCharDevice != 0
}

// explain explains the failures that text tells of, and says how many passages
// it has. A single text, one from the command line, may go over several lines.
func (a *asked) explain(text string, single bool) ([]*explain.Failure, int) {
	passages := read(text)
	if single && len(passages) > 1 && isOne(text, passages) {
		passages = []passage{{text: strings.TrimSpace(clip(tidy(text)))}}
	}
	var (
		failures []*explain.Failure
		session  int           // that the last failure was in
		before   explain.Cause // that it had
	)
	for _, p := range passages {
		f := a.passage(p, len(passages) == 1)
		if f == nil || p.said.session > 0 && p.said.session == session && f.Cause == before {
			continue // a program says below its transcript once more what the server said
		}
		session, before = p.said.session, f.Cause
		failures = append(failures, f)
	}
	return failures, len(passages)
}

// isOne tells that several lines on the command line are one text that was
// wrapped: not a log, and not replies or objects that have nothing to do with
// each other.
func isOne(text string, passages []passage) bool {
	if _, whole := explain.ParseReply(text); whole {
		return true
	}
	replies := 0
	for _, p := range passages {
		if p.object != nil || p.said.session > 0 || logPrefix.MatchString(p.text) {
			return false
		}
		if anyReply.MatchString(p.text) {
			replies++
		}
	}
	return replies < len(passages)
}

// passage explains one passage, nil if it tells of no failure. Of many, those
// are left out that nobody can make anything of.
func (a *asked) passage(p passage, alone bool) *explain.Failure {
	if p.object != nil {
		return a.fromJSON(p.object, alone)
	}
	asserted := alone && a.stage != "" // that it is where a session failed
	if p.text == "" || !alone && !mayTell(p.text) || !asserted && wentWell(p.text) {
		return nil
	}
	known := hints{stage: p.said.stage}
	if p.said.server != "" {
		known.host, known.port = a.where(p.said.server)
	}
	f := a.one(p.text, known)
	if !alone && f.Cause == explain.Unknown && f.Reply == nil && !hasCode(p.text) {
		return nil
	}
	return f
}

// one explains one text; known is what else was said of it.
func (a *asked) one(text string, known hints) *explain.Failure {
	_, isReply := explain.ParseReply(text)
	host, port := splitHost(a.host)
	if host == "" {
		host, port = known.host, known.port
	}
	switch {
	case isReply: // what looks like a server in its words is none
	case host == "":
		host, port = a.where(text)
	case port == 0:
		port = portIn(text)
	}
	p, name := a.provider, ""
	if p == nil {
		p = provider.ByHost(host)
	}
	if p != nil {
		name = p.Name
	}
	stage := known.stage
	if a.stage != "" {
		stage = a.stage
	}
	f := *explain.FromText(text, stage, name)
	switch {
	case known.cause != "":
		f.Cause = known.cause
	case f.Cause == explain.Unknown && known.guess != "":
		f.Cause = known.guess
	}
	f.Candidate.TLS = known.tls
	a.locate(&f, host, port, p)
	return &f
}
