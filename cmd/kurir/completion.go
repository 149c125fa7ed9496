package main

import (
	"fmt"
	"slices"
	"strings"
)

// The scripts ask the program itself what may stand for a word, by the words up
// to it behind "kurir completion --": a line for each, with a tab and what it
// means behind; or files, which shells know best.
const askForFiles = ":files"

var completions = map[string]string{
	"bash": `# bash completion for kurir
_kurir() {
	local IFS=$'\n' word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=($(kurir completion -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" | cut -f 1))
	if [ "${COMPREPLY[0]}" = ` + askForFiles + ` ]; then
		COMPREPLY=($(compgen -f -- "$word"))
		compopt -o filenames 2>/dev/null || :
	fi
}
complete -F _kurir kurir
`,
	"zsh": `#compdef kurir
local -a found
found=("${(@f)$(kurir completion -- "${(@)words[1,CURRENT]}")}")
if [[ $found[1] == ` + askForFiles + ` ]]; then
	_files
	return
fi
found=("${(@)found//:/\\:}")
found=("${(@)found//$'\t'/:}")
_describe kurir found
`,
	"fish": `function __kurir
	set -l typed (commandline -ct)
	set -l found (kurir completion -- (commandline -opc) "$typed")
	if test "$found[1]" = ` + askForFiles + `
		__fish_complete_path "$typed"
	else
		string join \n -- $found
	end
end
complete -c kurir -f -a '(__kurir)'
`,
}

func completionCommand(args []string, std streams) int {
	if len(args) > 2 && args[0] == "--" {
		for _, line := range candidates(commands(), args[2:len(args)-1], args[len(args)-1]) {
			fmt.Fprintln(std.out, line)
		}
		return exitOK
	}
	if len(args) != 1 || completions[args[0]] == "" {
		return std.misuse("completion", "say bash, zsh or fish")
	}
	fmt.Fprint(std.out, completions[args[0]])
	return exitOK
}

// candidates are the lines for a word that begins as typed, behind others.
func candidates(all []command, before []string, typed string) (lines []string) {
	offer := func(word, meaning string) {
		line := strings.TrimSuffix(word+"\t"+meaning, "\t")
		if strings.HasPrefix(word, typed) && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for _, c := range all {
		rest, ok := behind(before, c.name)
		if !ok {
			if words := strings.Fields(c.name); len(before) == 0 && len(words) > 1 {
				offer(words[0], "look after what waits")
			} else if last, ok := strings.CutPrefix(c.name, strings.Join(append(before, ""), " ")); ok && len(words) == len(before)+1 {
				offer(last, c.summary)
			}
			continue
		}
		flags := c.flags()
		if i := slices.IndexFunc(flags, func(f shownFlag) bool { return len(rest) > 0 && rest[len(rest)-1] == f.dashed() }); i >= 0 && flags[i].value != "" {
			for _, word := range choices(flags[i].value) {
				offer(word, "")
			}
			if flags[i].value == "FILE" {
				return []string{askForFiles}
			}
			return lines
		}
		for _, word := range choices(c.operands) {
			offer(word, "")
		}
		if c.name == "help" {
			for _, other := range all {
				offer(strings.Fields(other.name)[0], "")
			}
		}
		for _, f := range flags {
			offer(f.dashed(), f.usage)
		}
	}
	return lines
}
