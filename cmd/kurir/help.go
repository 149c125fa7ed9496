package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

const about = "Kurir takes mail from local apps and hands it to your mail provider."

// heeded are what every command heeds beside its flags, as help and the
// manual page tell it.
const heeded = `Without --config, $KURIR_CONFIG, ./kurir.toml and /etc/kurir/kurir.toml are
looked for. KURIR_SECTION_KEY in the environment overrides a key, such as
KURIR_UPSTREAM_HOST; KURIR_SECTION_KEY_FILE reads its value from a file.`

const example = `KURIR_UPSTREAM_HOST=smtp.example.com KURIR_UPSTREAM_USERNAME=app@example.com \
KURIR_UPSTREAM_PASSWORD_FILE=/run/secrets/smtp kurir serve`

// overview is the help for the whole program.
func overview(all []command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nusage: kurir COMMAND …\n\n", about)
	for _, c := range all {
		fmt.Fprintf(&b, "  %-11s  %s\n", c.name, c.summary)
	}
	fmt.Fprintf(&b, "\nkurir help COMMAND has the flags of a command, kurir man the whole manual.\n\n%s\n", heeded)
	fmt.Fprintf(&b, "\nexample, once an app sends its mail to 127.0.0.1:25:\n  %s\n", strings.ReplaceAll(example, "\n", "\n  "))
	return b.String()
}

// groupHelp is the help for commands with the same first word.
func groupHelp(group []command) string {
	var b strings.Builder
	b.WriteString("usage:\n")
	for _, c := range group {
		fmt.Fprintf(&b, "  kurir %-11s  %s\n", c.name, c.summary)
	}
	return b.String()
}

// help is the help for a command.
func (c command) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: kurir %s\n\n%s.\n", strings.Join(c.synopsis(), " "), upperFirst(c.summary))
	if c.long != "" {
		fmt.Fprintf(&b, "\n%s\n", c.long)
	}
	if flags := c.flags(); len(flags) > 0 {
		b.WriteString("\n")
		for _, f := range flags {
			fmt.Fprintf(&b, "  %-22s %s\n", f.shown(), f.usage)
		}
	}
	return b.String()
}

// synopsis is the command with all it takes, in words that a line may break
// between.
func (c command) synopsis() []string {
	words := []string{c.name}
	for _, f := range c.flags() {
		words = append(words, "["+f.shown()+"]")
	}
	if c.operands != "" {
		words = append(words, c.operands)
	}
	return words
}

// A shownFlag is a flag as people see it.
type shownFlag struct{ name, value, usage string }

// flags are those that a command declares, by their names.
func (c command) flags() (shown []shownFlag) {
	set, _ := c.flagSet()
	set.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if choices(value) != nil { // which stand at its end
			usage = strings.TrimSuffix(usage, ": "+value)
		}
		shown = append(shown, shownFlag{f.Name, value, usage})
	})
	return shown
}

func (f shownFlag) dashed() string {
	if len(f.name) == 1 {
		return "-" + f.name
	}
	return "--" + f.name
}

// shown is the flag with the name of its value, if it has one.
func (f shownFlag) shown() string { return strings.TrimSpace(f.dashed() + " " + f.value) }

// choices are the words that a placeholder such as "a|b" stands for.
func choices(placeholder string) []string {
	words := strings.Split(strings.Trim(placeholder, "[]"), "|")
	if len(words) < 2 || strings.ContainsAny(placeholder, " …") {
		return nil
	}
	return words
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// prepareHelp is "kurir help".
func prepareHelp(*flag.FlagSet) action {
	return func(words []string, std streams) int {
		all := commands()
		if len(words) == 0 {
			fmt.Fprint(std.out, overview(all))
			return exitOK
		}
		name := strings.Join(words, " ")
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == name }); i >= 0 {
			fmt.Fprint(std.out, all[i].help())
			return exitOK
		}
		if group := groupOf(all, name); len(group) > 0 {
			fmt.Fprint(std.out, groupHelp(group))
			return exitOK
		}
		return std.misuse("help", "there is no command %q", name)
	}
}
