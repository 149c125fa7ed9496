package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// maxExplain bounds what is read from standard input, in bytes.
const maxExplain = 4 << 20

// explained is one line of kurir explain --json.
type explained struct {
	Cause     explain.Cause   `json:"cause"`
	Stage     explain.Stage   `json:"stage"`
	Verdict   explain.Verdict `json:"verdict"`
	Permanent bool            `json:"permanent"`
	Provider  string          `json:"provider"`
	Title     string          `json:"title"`
	Meaning   string          `json:"meaning"`
	Fix       string          `json:"fix"`
}

// asked is what the command line says of the texts.
type asked struct {
	stage    explain.Stage
	host     string
	provider string
	language explain.Language
}

// hints are what stands beside a text in a log.
type hints struct {
	stage explain.Stage
	cause explain.Cause
	host  string // with or without a port
}

// explainTexts says what SMTP replies and error lines mean.
func explainTexts(args []string, stdin *os.File, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("kurir explain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	stage := flags.String("stage", "", "how far the session had come")
	host := flags.String("host", "", "the provider's `HOST`")
	name := flags.String("provider", "", "the provider's `NAME`")
	language := flags.String("language", string(explain.English), "en or id")
	asJSON := flags.Bool("json", false, "one JSON object a line")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	a := asked{explain.Stage(*stage), *host, *name, explain.Language(*language)}
	if a.stage != "" && !slices.Contains(explain.Stages(), a.stage) {
		fmt.Fprintf(stderr, "kurir explain: there is no stage %q; use one of %s\n", *stage, list(explain.Stages()))
		return exitUsage
	}
	if !slices.Contains(explain.Languages(), a.language) {
		fmt.Fprintf(stderr, "kurir explain: there is no language %q; use one of %s\n", *language, list(explain.Languages()))
		return exitUsage
	}
	text, single := strings.Join(flags.Args(), " "), true
	if flags.NArg() == 0 && isTerminal(stdin) {
		text = ""
	} else if flags.NArg() == 0 || text == "-" {
		data, err := io.ReadAll(io.LimitReader(stdin, maxExplain))
		if err != nil {
			return complain(stderr, exitFailed, fmt.Errorf("kurir explain: %w", err))
		}
		text, single = string(data), false
	}
	failures := a.explain(text, single)
	if len(failures) == 0 {
		fmt.Fprintln(stderr, `kurir explain: there is nothing to explain; give it a reply or an error line, such as kurir explain "535 5.7.8 Bad credentials"`)
		return exitUsage
	}
	var out bytes.Buffer
	for i, f := range failures {
		if *asJSON {
			writeExplained(&out, f, a.language)
			continue
		}
		if i > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(f.DetailsIn(a.language))
	}
	if _, err := stdout.Write(out.Bytes()); err != nil {
		return complain(stderr, exitFailed, fmt.Errorf("kurir explain: %w", err))
	}
	return exitOK
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

func writeExplained(out *bytes.Buffer, f *explain.Failure, l explain.Language) {
	e := f.ExplanationIn(l)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	// Strings and a bool into memory: nothing here can fail.
	_ = encoder.Encode(explained{
		Cause: f.Cause, Stage: f.Stage, Verdict: f.Verdict(), Permanent: f.Permanent(), Provider: f.Provider,
		Title: e.Title, Meaning: e.Meaning, Fix: e.Fix,
	})
}

// explain explains all that text holds: JSON objects, replies, error lines. A
// single text, one from the command line, may go over several lines.
func (a asked) explain(text string, single bool) []*explain.Failure {
	if values, ok := jsonValues(text); ok {
		var failures []*explain.Failure
		for _, v := range values {
			if f := a.fromJSON(v); f != nil {
				failures = append(failures, f)
			}
		}
		return failures
	}
	lines := parts(text)
	if single && len(lines) > 1 && !separate(text, lines) {
		lines = []string{text}
	}
	var failures []*explain.Failure
	for _, line := range lines {
		if f := a.fromLine(line); f != nil {
			failures = append(failures, f)
		}
	}
	return failures
}

// separate tells that lines of one text have nothing to do with each other:
// each is a reply or an object, and together they are none.
func separate(text string, lines []string) bool {
	_, whole := explain.ParseReply(text)
	return !whole && !slices.ContainsFunc(lines, func(line string) bool {
		return !anyReply.MatchString(line) && !strings.HasPrefix(line, "{")
	})
}

func (a asked) fromLine(line string) *explain.Failure {
	if values, ok := jsonValues(line); ok && len(values) == 1 {
		return a.fromJSON(values[0])
	}
	return a.one(line, hints{})
}

var (
	openReply = regexp.MustCompile(`^\W{0,3}(?:S:\s*)?([2-5]\d\d)-`)
	anyReply  = regexp.MustCompile(`^\W{0,3}(?:S:\s*)?([2-5]\d\d)([ -]|$)`)
)

// parts cuts a text into lines and joins those of a reply that go on, "550-"
// until "550 ", with what was wrapped between them.
func parts(text string) []string {
	var (
		all  []string
		code string // of the reply that goes on
	)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		m := anyReply.FindStringSubmatch(line)
		if code != "" && (m == nil || m[1] == code) {
			all[len(all)-1] += "\n" + line
			if m != nil && m[2] != "-" {
				code = ""
			}
			continue
		}
		code = ""
		// Several lines in one, their ends spelled out, are whole already.
		if o := openReply.FindStringSubmatch(line); o != nil && !strings.Contains(line, `\n`) {
			code = o[1]
		}
		all = append(all, line)
	}
	return all
}

// one explains one text; known is what else was said of it.
func (a asked) one(text string, known hints) *explain.Failure {
	stage, host := known.stage, a.host
	if a.stage != "" {
		stage = a.stage
	}
	_, isReply := explain.ParseReply(text)
	if host == "" {
		host = known.host
	}
	if host == "" && !isReply {
		host = knownHost(text)
	}
	host, port := splitHost(host)
	if m := mailPort.FindStringSubmatch(text); port == 0 && m != nil && !isReply {
		port, _ = strconv.Atoi(m[1]) // digits only, says the pattern
	}
	name, p := a.provider, provider.ByHost(host)
	if a.provider != "" {
		p = provider.ByName(a.provider)
	}
	if p != nil {
		name = p.Name
	}
	f := *explain.FromText(text, stage, name)
	if known.cause != "" {
		f.Cause = known.cause
	}
	f.Candidate = explain.Candidate{Host: host, Port: port}
	if p != nil {
		f.Facts = append(f.Facts, p.Facts()...)
	} else if nearest := provider.Nearest(host); nearest != "" {
		f.Facts = append(f.Facts, explain.Fact{Name: explain.FactNearestHost, Value: nearest})
	}
	return &f
}

func splitHost(hostPort string) (string, int) {
	host, service, err := net.SplitHostPort(hostPort)
	if err != nil {
		return strings.ToLower(hostPort), 0
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return strings.ToLower(host), 0
	}
	return strings.ToLower(host), int(port)
}

// mailPort finds the port in an error line that names an address.
var mailPort = regexp.MustCompile(`[\w\]]:(25|465|587|2525|2465|2587|8025)\b`)

var hostName = regexp.MustCompile(`(?i)\b(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}\b`)

// knownHost is the first host in an error line that is a provider's, or
// nearly: nobody else's name is told from what else looks like one.
func knownHost(text string) string {
	for _, host := range hostName.FindAllString(text[:min(len(text), 8<<10)], 20) {
		if provider.ByHost(host) != nil || provider.Nearest(host) != "" {
			return host
		}
	}
	return ""
}
