package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"kurir/upstream/discover"
	"kurir/upstream/explain"
	"kurir/upstream/paste"
	"kurir/upstream/provider"
)

// maxExplain bounds what is read from standard input, in bytes.
const maxExplain = 4 << 20

// prepareExplain is "kurir explain".
func prepareExplain(flags *flag.FlagSet) action {
	var o explainOptions
	flags.StringVar(&o.stage, "stage", "", "how far the session had come: `STAGE` is one of "+list(explain.Stages()))
	flags.StringVar(&o.host, "host", "", "the provider's `HOST`")
	flags.StringVar(&o.provider, "provider", "", "the provider's `NAME`, see kurir init --provider list")
	flags.StringVar(&o.language, "language", string(explain.English), "explain in English or Indonesian: `en|id`")
	flags.BoolVar(&o.asJSON, "json", false, "print one JSON object a line")
	return o.explain
}

// explainOptions are what kurir explain was told.
type explainOptions struct {
	stage, host, provider, language string
	asJSON                          bool
}

// explain says what SMTP replies and error lines mean.
func (o *explainOptions) explain(words []string, std streams) int {
	known, language := paste.Known{Stage: explain.Stage(o.stage), Host: o.host}, explain.Language(o.language)
	switch {
	case o.stage != "" && !slices.Contains(explain.Stages(), known.Stage):
		return std.misuse("explain", "there is no stage %q; use one of %s", o.stage, list(explain.Stages()))
	case !slices.Contains(explain.Languages(), language):
		return std.misuse("explain", "there is no language %q; use one of %s", o.language, list(explain.Languages()))
	case o.provider != "":
		if known.Provider = provider.ByName(o.provider); known.Provider == nil {
			_, err := discover.FromProvider(o.provider, "") // knows which one may be meant
			return std.misuse("explain", "%v", err)
		}
	}
	text, read := strings.Join(words, " "), known.Text
	if len(words) == 0 && isTerminal(std.in) {
		text = ""
	} else if len(words) == 0 || text == "-" {
		read = known.Log
		var err error
		if text, err = input(std.in, std.err); err != nil {
			return complain(std.err, exitFailed, fmt.Errorf("kurir explain: %w", err))
		}
	}
	failures, passages := read(text)
	switch {
	case passages == 0:
		return std.misuse("explain", `there is nothing to explain; give it a reply or an error line, such as kurir explain "535 5.7.8 Bad credentials"`)
	case len(failures) == 0 && passages == 1:
		fmt.Fprintln(std.err, "kurir explain: nothing failed here: this says that it went well")
	case len(failures) == 0:
		fmt.Fprintln(std.err, "kurir explain: nothing here tells of a failure")
	}
	print := printExplained
	if o.asJSON {
		print = encodeExplained
	}
	if err := print(std.out, failures, language); err != nil {
		return complain(std.err, exitFailed, fmt.Errorf("kurir explain: %w", err))
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
