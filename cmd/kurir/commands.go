package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"kurir/upstream/spelling"
)

// A command is one row of the table from which the program, its help, its
// manual page and the completions of shells are all made.
type command struct {
	name     string // one word, or two such as "queue list"
	operands string // as help shows them; "" takes flags only. "[a|b]" are words to choose from
	summary  string // one line
	long     string // more, in paragraphs; may be ""

	// prepare declares the flags, and returns what runs once they are parsed.
	// A flag's usage names its value in backquotes; `a|b` is a choice, `FILE`
	// a file.
	prepare func(*flag.FlagSet) action

	// raw takes the arguments as they are, in place of prepare's action.
	raw func(args []string, std streams) int
}

// An action carries a command out; words are the operands. It returns the exit
// code.
type action func(words []string, std streams) int

// streams are what a program reads and writes.
type streams struct {
	in       *os.File
	out, err io.Writer
}

// misuse tells who typed a command what is wrong with it.
func (s streams) misuse(command, problem string, args ...any) int {
	return complain(s.err, exitUsage, fmt.Errorf("kurir %s: %s", command, fmt.Sprintf(problem, args...)))
}

// commands is the table, in the order of help. It is a function because
// help and the manual, which are in it, are made of it.
func commands() []command {
	return []command{
		{name: "serve", summary: "run the relay", prepare: prepareServe,
			long: `Takes mail and delivers it until SIGTERM or SIGINT. SIGHUP makes it read its
configuration again.`},
		{name: "init", summary: "find your provider and write a configuration", prepare: prepareInit,
			long: `Give --email ADDRESS to find the server of an address, or --provider NAME to
take a known provider.

The password is asked for, or is the first line of the standard input. It goes
into a file of its own, beside the configuration.`},
		{name: "check", summary: "see whether mail would go out, and why not", prepare: prepareCheck,
			long: `Walks every way in to the provider, signs in once, looks at this machine, and
ends with 0 only if mail would go out. No mail is sent without --send.`},
		{name: "login", summary: "sign in to a mailbox that wants OAuth2, once", prepare: prepareLogin,
			long: `Signs in to the mailbox of [upstream.oauth2].

Microsoft shows a code to type on any device. Google shows a page, and the
address it leads to can be pasted here where this machine has no browser.`},
		{name: "explain", operands: "[TEXT… | -]", summary: "say what a reply or error line means", prepare: prepareExplain,
			long: `Explains a reply of a mail server, an error message or whole lines of a log,
from the command line or from standard input.`},
		{name: "status", summary: "how the relay is doing", prepare: prepareStatus,
			long: `Ends with 0 only while the relay runs and answers, so that it is a health check
too. Whether it takes mail just now is what /readyz of control.http tells.`},
		{name: "why", operands: "ID | MESSAGE-ID | ADDRESS", summary: "the whole story of a message, from history", prepare: prepareWhy},
		{name: "queue list", summary: "see what waits, or has failed, and why", prepare: prepareQueueList},
		{name: "queue show", operands: "ID…", summary: "all that is known of a message", prepare: prepareQueueShow},
		{name: "queue retry", operands: "[ID…]", summary: "send again what has failed, or try now what waits", prepare: prepareQueueRetry,
			long: `Give IDs, or --all with what narrows it.`},
		{name: "queue flush", summary: "try everything now, on routes in trouble too", prepare: prepareQueueFlush},
		{name: "queue drop", operands: "[ID…]", summary: "remove messages for good", prepare: prepareQueueDrop,
			long: `Give IDs, or --all with what narrows it.`},
		{name: "bundle", summary: "print a support file, without secrets and addresses", prepare: prepareBundle,
			long: `Prints versions, what is configured, the state, and the last failures with what
was said, for whoever helps.`},
		{name: "reload", summary: "have the relay read its configuration again", prepare: prepareReload,
			long: `A configuration that is of no use changes nothing, and is explained.`},
		{name: "sendmail", operands: "[TO…]", summary: "hand in a message as other programs do", prepare: describeSendmail,
			long: `Reads a message from standard input and hands it to the relay. While the relay
does not run, the message is left where it will find it. The program does the
same under the name of sendmail, mailq is sendmail -bp, and newaliases is there
because programs call it. Options of other sendmails are taken and ignored
where they ask for nothing that is to be done here.`,
			raw: sendmailCommand},
		{name: "man", operands: "[kurir|kurir.toml]", summary: "print a manual page, for man -l -", prepare: prepareMan},
		{name: "completion", operands: "bash|zsh|fish", summary: "print the completion of a shell", prepare: noFlags, raw: completionCommand},
		{name: "version", summary: "print the version", prepare: prepareVersion},
		{name: "help", operands: "[COMMAND]", summary: "say how a command is used", prepare: prepareHelp},
	}
}

// run is the program; it returns the exit code.
func run(args []string, std streams) int {
	all := commands()
	if len(args) == 0 {
		fmt.Fprint(std.err, overview(all))
		return exitUsage
	}
	switch args[0] {
	case "--version", "-v", "-V":
		args[0] = "version"
	case "--help", "-h":
		args[0] = "help"
	}
	for _, c := range all {
		if rest, ok := behind(args, c.name); ok {
			return c.run(rest, std)
		}
	}
	group := groupOf(all, args[0])
	meant := nearest(all, args)
	switch {
	case strings.HasPrefix(args[0], "-"):
		return complain(std.err, exitUsage, fmt.Errorf("kurir: the command comes first, and %s behind it: kurir COMMAND %[1]s; kurir help shows them", args[0]))
	case len(group) > 0 && len(args) > 1 && isHelp(args[1]):
		fmt.Fprint(std.out, groupHelp(group))
		return exitOK
	case len(group) > 0 && len(args) > 1 && strings.HasPrefix(args[1], "-"):
		return std.misuse(args[0], "the command comes first, and %s behind it: kurir %s COMMAND %[1]s", args[1], args[0])
	case meant != "":
		return complain(std.err, exitUsage, fmt.Errorf("kurir: there is no such command; did you mean kurir %s? kurir help shows all", meant))
	case len(group) == 0:
		fmt.Fprintf(std.err, "kurir: there is no command %q\n\n%s", args[0], overview(all))
		return exitUsage
	}
	problem := "kurir " + args[0] + ": say what to do"
	if len(args) > 1 {
		problem = fmt.Sprintf("there is no kurir %s %s", args[0], args[1])
	}
	fmt.Fprintf(std.err, "%s\n\n%s", problem, groupHelp(group))
	return exitUsage
}

// nearest is the command that was mistyped, "" if that is not clear.
func nearest(all []command, args []string) (name string) {
	for words := 1; words <= min(2, len(args)) && name == ""; words++ {
		var names []string
		for _, c := range all {
			if len(strings.Fields(c.name)) == words {
				names = append(names, c.name)
			}
		}
		name = spelling.Nearest(strings.Join(args[:words], " "), names)
	}
	return name
}

// behind gives the arguments behind the words of a name, if they begin with it.
func behind(args []string, name string) ([]string, bool) {
	words := strings.Fields(name)
	if len(args) < len(words) || strings.Join(args[:len(words)], " ") != name {
		return nil, false
	}
	return args[len(words):], true
}

// groupOf are the commands whose name has another word behind first.
func groupOf(all []command, first string) (group []command) {
	for _, c := range all {
		if strings.HasPrefix(c.name, first+" ") {
			group = append(group, c)
		}
	}
	return group
}

func isHelp(word string) bool {
	return word == "--help" || word == "-help" || word == "-h" || word == "help"
}

// flagSet has the flags of a command, and what is to be done with them.
func (c command) flagSet() (*flag.FlagSet, action) {
	flags := flag.NewFlagSet("kurir "+c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags, c.prepare(flags)
}

// run parses the arguments of a command and carries it out.
func (c command) run(args []string, std streams) int {
	if c.raw != nil && !(len(args) == 1 && args[0] == "--help") {
		return c.raw(args, std)
	}
	flags, do := c.flagSet()
	words, err := parseAnywhere(flags, args)
	switch {
	case err == flag.ErrHelp:
		fmt.Fprint(std.out, c.help())
		return exitOK
	case err != nil:
		fmt.Fprintf(std.err, "kurir %s: %v\n\n%s", c.name, err, c.help())
		return exitUsage
	case c.operands == "" && len(words) > 0:
		return std.misuse(c.name, "%q is too much; %s", words[0], instead(flags, words[0]))
	}
	return do(words, std)
}

// instead is how a word should be given to a command that takes flags only.
func instead(flags *flag.FlagSet, word string) string {
	for name, its := range map[string]bool{"email": strings.Contains(word, "@"), "config": strings.HasSuffix(word, ".toml")} {
		if its && flags.Lookup(name) != nil {
			return "write --" + name + " before it"
		}
	}
	return "it takes flags only"
}

// parseAnywhere parses flags that may also stand behind the words, and returns
// the words; behind "--" there are only words.
func parseAnywhere(flags *flag.FlagSet, args []string) ([]string, error) {
	var words []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		parsed := len(args) - len(rest)
		if len(rest) == 0 || parsed > 0 && args[parsed-1] == "--" {
			return append(words, rest...), nil
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}

// noFlags is for a command that has none.
func noFlags(*flag.FlagSet) action { return nil }

// configFlag declares --config.
func configFlag(flags *flag.FlagSet) *string {
	return flags.String("config", "", "the configuration `FILE`")
}
