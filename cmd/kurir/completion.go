package main

import (
	"flag"
	"fmt"
	"strings"
)

// prepareCompletion is "kurir completion".
func prepareCompletion(*flag.FlagSet) action {
	return func(words []string, std streams) int {
		shells := map[string]func([]command) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
		if len(words) != 1 || shells[words[0]] == nil {
			return std.misuse("completion", "say bash, zsh or fish")
		}
		fmt.Fprint(std.out, shells[words[0]](commands()))
		return exitOK
	}
}

// A place is where the words of a command line lead to: the commands that go
// on from there, or the flags and operands of one.
type place struct {
	path     string // the words before, without "kurir"
	words    []completed
	operands []string
	flags    []shownFlag
}

// completed is a word with what it means.
type completed struct{ word, meaning string }

// places are all of them, the one without words first.
func places(all []command) []place {
	root := place{}
	var rest []place
	groups := map[string]int{}
	for _, c := range all {
		first, second, isPair := strings.Cut(c.name, " ")
		if _, known := groups[first]; isPair && !known {
			groups[first] = len(rest)
			rest = append(rest, place{path: first})
			root.words = append(root.words, completed{first, "look after what waits"})
		}
		if isPair {
			g := &rest[groups[first]]
			g.words = append(g.words, completed{second, c.summary})
		} else {
			root.words = append(root.words, completed{c.name, c.summary})
		}
		p := place{path: c.name, flags: c.flags(), operands: choices(c.operands)}
		if c.name == "help" {
			p.operands = names(all)
		}
		rest = append(rest, p)
	}
	return append([]place{root}, rest...)
}

// names are the first words of all commands.
func names(all []command) (list []string) {
	for _, c := range all {
		first, _, _ := strings.Cut(c.name, " ")
		if len(list) == 0 || list[len(list)-1] != first {
			list = append(list, first)
		}
	}
	return list
}

// bashCompletion needs nothing but bash.
func bashCompletion(all []command) string {
	var flags, words strings.Builder
	for _, p := range places(all) {
		offered := append([]string{}, p.operands...)
		for _, w := range p.words {
			offered = append(offered, w.word)
		}
		for _, f := range p.flags {
			offered = append(offered, f.dashed())
			switch list := choices(f.value); {
			case f.value == "FILE":
				fmt.Fprintf(&flags, "\t'%s %s') _kurir_files; return ;;\n", p.path, f.dashed())
			case list != nil:
				fmt.Fprintf(&flags, "\t'%s %s') COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n", p.path, f.dashed(), strings.Join(list, " "))
			case f.value != "":
				fmt.Fprintf(&flags, "\t'%s %s') return ;;\n", p.path, f.dashed())
			}
		}
		fmt.Fprintf(&words, "\t'%s') COMPREPLY=($(compgen -W '%s' -- \"$word\")) ;;\n", p.path, strings.Join(offered, " "))
	}
	return `# bash completion for kurir
_kurir_files() {
	local IFS=$'\n'
	COMPREPLY=($(compgen -f -- "$word"))
	compopt -o filenames 2>/dev/null || :
}
_kurir() {
	local word=${COMP_WORDS[COMP_CWORD]} path=''
	[ "$COMP_CWORD" -gt 1 ] && path=${COMP_WORDS[1]}
	case "$path" in
	` + strings.Join(groupsOf(all), "|") + `) [ "$COMP_CWORD" -gt 2 ] && path="$path ${COMP_WORDS[2]}" ;;
	esac
	COMPREPLY=()
	case "$path ${COMP_WORDS[COMP_CWORD-1]}" in
` + flags.String() + `	esac
	case "$path" in
` + words.String() + `	esac
}
complete -F _kurir kurir
`
}

// groupsOf are the first words of commands that have two.
func groupsOf(all []command) (groups []string) {
	for _, name := range names(all) {
		if len(groupOf(all, name)) > 0 {
			groups = append(groups, name)
		}
	}
	return groups
}

// quoted is a word for zsh and fish.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// zshCompletion uses the completion system that zsh comes with.
func zshCompletion(all []command) string {
	var b strings.Builder
	b.WriteString(`#compdef kurir
local at=2 place="${words[2]}"
(( CURRENT == 2 )) && place=''
case "$place" in
` + strings.Join(groupsOf(all), "|") + `) (( CURRENT > 3 )) && at=3 && place="$place ${words[3]}" ;;
esac
case "$place" in
`)
	for _, p := range places(all) {
		fmt.Fprintf(&b, "%s)\n", quoted(p.path))
		if len(p.words) > 0 {
			b.WriteString("\tlocal -a offered=(\n")
			for _, w := range p.words {
				fmt.Fprintf(&b, "\t\t%s\n", quoted(w.word+":"+w.meaning))
			}
			b.WriteString("\t)\n\t_describe command offered\n\t;;\n")
			continue
		}
		b.WriteString("\t(( CURRENT -= at - 1 )); shift $(( at - 1 )) words\n\t_arguments")
		for _, f := range p.flags {
			spec := f.dashed() + "[" + strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(f.usage) + "]"
			switch list := choices(f.value); {
			case f.value == "FILE":
				spec += ":file:_files"
			case list != nil:
				spec += ":value:(" + strings.Join(list, " ") + ")"
			case f.value != "":
				spec += ":" + f.value + ": "
			}
			b.WriteString(" \\\n\t\t" + quoted(spec))
		}
		if p.operands != nil {
			b.WriteString(" \\\n\t\t" + quoted("1:word:("+strings.Join(p.operands, " ")+")"))
		}
		b.WriteString("\n\t;;\n")
	}
	b.WriteString("esac\n")
	return b.String()
}

// fishCompletion uses the completion system that fish comes with.
func fishCompletion(all []command) string {
	var b strings.Builder
	b.WriteString("complete -c kurir -f\n")
	for _, p := range places(all) {
		condition := "__fish_use_subcommand"
		if p.path != "" {
			condition = "__fish_seen_subcommand_from " + strings.ReplaceAll(p.path, " ", "; and __fish_seen_subcommand_from ")
		}
		for _, w := range p.words {
			fmt.Fprintf(&b, "complete -c kurir -n %s -a %s -d %s\n", quoted(condition), w.word, quoted(w.meaning))
		}
		for _, word := range p.operands {
			fmt.Fprintf(&b, "complete -c kurir -n %s -a %s\n", quoted(condition), word)
		}
		for _, f := range p.flags {
			kind := "-l"
			if len(f.name) == 1 {
				kind = "-s"
			}
			fmt.Fprintf(&b, "complete -c kurir -n %s %s %s -d %s", quoted(condition), kind, f.name, quoted(f.usage))
			switch list := choices(f.value); {
			case f.value == "FILE":
				b.WriteString(" -r -F")
			case list != nil:
				b.WriteString(" -x -a " + quoted(strings.Join(list, " ")))
			case f.value != "":
				b.WriteString(" -x")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
