package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kurir/relay/config"
)

// prepareMan is "kurir man".
func prepareMan(*flag.FlagSet) action {
	return func(words []string, std streams) int {
		page := cmp.Or(strings.Join(words, " "), "kurir")
		switch page {
		case "kurir":
			fmt.Fprint(std.out, programPage(commands()))
		case "kurir.toml":
			fmt.Fprint(std.out, configPage(config.Example()))
		default:
			return std.misuse("man", "there is no page %q; there are kurir and kurir.toml", page)
		}
		return exitOK
	}
}

// madeOn is the day that a page shows: $SOURCE_DATE_EPOCH, so that a release is
// the same whenever it is built, or today.
func madeOn() string {
	at := time.Now()
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		at = time.Unix(seconds, 0)
	}
	return at.UTC().Format(time.DateOnly)
}

// lineWidth is the most that a line of a page has, in octets.
const lineWidth = 76

// A roff is a manual page in the man(7) macros, as far as groff and mandoc
// agree on them.
type roff struct{ strings.Builder }

func newRoff(title string, section int) *roff {
	var r roff
	fmt.Fprintf(&r, ".TH %s %d %s \"kurir %s\"\n", strings.ToUpper(title), section, madeOn(), version())
	return &r
}

// macro writes a line of control; the argument is text.
func (r *roff) macro(name, argument string) {
	if argument != "" {
		argument = ` "` + strings.ReplaceAll(escape(argument), `"`, `\(dq`) + `"`
	}
	fmt.Fprintf(r, ".%s%s\n", name, argument)
}

// text writes paragraphs; the first one stands where the page is now.
func (r *roff) text(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			r.macro("PP", "")
		}
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			word = escape(word)
			if line != "" && len(line)+len(word) >= lineWidth {
				r.line(line)
				line = ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		r.line(line)
	}
}

// line writes a line that is escaped, and is not to be taken for control.
func (r *roff) line(s string) {
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	r.WriteString(s + "\n")
}

// verbatim writes lines as they are.
func (r *roff) verbatim(text string) {
	r.WriteString(".PP\n.nf\n.RS 4\n")
	for line := range strings.Lines(text) {
		r.line(escape(strings.TrimRight(line, "\n")))
	}
	r.WriteString(".RE\n.fi\n")
}

// item writes paragraphs below what they are about, if they are about something.
func (r *roff) item(text string, heads ...string) {
	for i, head := range heads {
		r.WriteString([]string{".TP\n", ".TQ\n"}[min(i, 1)])
		r.macro("B", head)
	}
	if text != "" {
		r.text(text)
	}
}

// escapes are what roff shows as it is only in another form; nothing stands for
// the ellipsis in ASCII.
var escapes = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `~`, `\(ti`, `^`, `\(ha`, "`", `\(ga`, `'`, `\(aq`, `…`, `...`)

// escape writes text so that roff shows it as it is.
func escape(s string) string {
	var b strings.Builder
	for _, c := range escapes.Replace(s) {
		if c > 0x7e {
			fmt.Fprintf(&b, `\[u%04X]`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// programPage is kurir(1).
func programPage(all []command) string {
	r := newRoff("kurir", 1)
	r.macro("SH", "NAME")
	r.line("kurir \\- local SMTP relay to an authenticated mail provider")
	r.macro("SH", "SYNOPSIS")
	r.WriteString(".B kurir\n.I COMMAND\n.RI [ FLAG ...]\n.RI [ OPERAND ...]\n")
	r.macro("SH", "DESCRIPTION")
	r.text(about + " It finds the way in by itself, keeps on disk what cannot be delivered yet, and says of every failure why it is one and what to do.")
	r.macro("SH", "COMMANDS")
	r.text("Flags may stand before and behind operands.")
	for _, c := range all {
		words := c.synopsis()
		r.macro("SS", "kurir "+words[0])
		if len(words) > 1 {
			r.macro("I", strings.Join(words[1:], " "))
			r.macro("PP", "")
		}
		r.text(upperFirst(c.summary) + ".")
		if c.long != "" {
			r.macro("PP", "")
			r.text(c.long)
		}
		for _, f := range c.flags() {
			r.item(f.usage, f.shown())
		}
	}
	r.macro("SH", "ENVIRONMENT")
	r.text(heeded)
	r.macro("SH", "FILES")
	r.item("The configuration, see kurir.toml(5).", "/etc/kurir/kurir.toml")
	r.item("What must survive a restart: mail that waits, history, tokens.", "/var/lib/kurir")
	r.macro("SH", "EXIT STATUS")
	r.item("It was done.", "0")
	r.item("It was not, or mail would not go out.", "1")
	r.item("The command was used in a wrong way.", "64")
	r.item("No relay runs, or another one has the port or the spool.", "69")
	r.item("There is a fault in the configuration.", "78")
	r.macro("PP", "")
	r.text("kurir sendmail has those of sysexits.h(3head); 75 means to try again later.")
	r.macro("SH", "EXAMPLES")
	r.text("A relay without a configuration file:")
	r.verbatim(example)
	r.macro("SH", "SEE ALSO")
	r.WriteString(".BR kurir.toml (5)\n")
	return r.String()
}

var (
	exampleTable = regexp.MustCompile(`^\[.+\]$`)
	exampleKey   = regexp.MustCompile(`^#?([a-z_0-9]+ = .*)$`)
)

// configPage is kurir.toml(5): the comments and keys of the example, which
// shows all of them, in its order. Without its keys, a comment stands alone.
func configPage(text string) string {
	r := newRoff("kurir.toml", 5)
	r.macro("SH", "NAME")
	r.line("kurir.toml \\- configuration of kurir")
	r.macro("SH", "DESCRIPTION")
	var comment, keys []string
	atTop := true // of a section, where no macro may make space
	flush := func() {
		if len(keys) == 0 && len(comment) > 0 && !atTop {
			r.macro("PP", "")
		}
		r.item(strings.Join(comment, "\n"), keys...)
		atTop = atTop && len(comment)+len(keys) == 0
		comment, keys = nil, nil
	}
	inKeys := false
	for line := range strings.Lines(text + "\n") {
		line = strings.TrimSpace(line)
		if exampleTable.MatchString(line) {
			r.macro("SS", line)
			atTop = true
			flush()
			inKeys = true
		} else if m := exampleKey.FindStringSubmatch(line); m != nil {
			if !inKeys {
				r.macro("SH", "KEYS")
				inKeys, atTop = true, true
			}
			keys = append(keys, m[1])
		} else if said, ok := strings.CutPrefix(line, "#"); ok {
			comment = append(comment, strings.TrimSpace(said))
		} else {
			flush()
		}
	}
	r.macro("SH", "SEE ALSO")
	r.WriteString(".BR kurir (1)\n")
	return r.String()
}
