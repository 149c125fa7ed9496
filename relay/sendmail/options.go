package sendmail

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kurir/upstream/envelope"
)

// Mode is what stands behind -b: what is to be done.
type Mode string

// The modes. What is not named here sends a message.
const (
	send       Mode = "m"
	SpeakSMTP  Mode = "s"
	PrintQueue Mode = "p"
	Aliases    Mode = "i" // build the alias database anew, which there is none of
)

// Options are what a caller of sendmail asks for, as far as it means
// something here.
type Options struct {
	Mode Mode

	fromHeader bool // -t: the header names recipients
	wholeInput bool // -i: a line with only a dot ends nothing
	verbose    bool

	from    string // -f or -r
	hasFrom bool
	name    string // -F
	notify  string // the values of NOTIFY, RET and ENVID, as SMTP writes them
	ret     string
	envid   string

	to []string
}

// Options of sendmail by how they take a value. Those that get no case of
// their own in set are known from callers and ask for nothing that is ours to
// do: how errors are reported, which files of sendmail's are used, and the like.
const (
	optionsWithValue    = "ABCDFLMNORVXbefhopr"
	optionsValueBehind  = "Qdq" // only in the same word, or none
	optionsWithoutValue = "EGIJTUcimnstvx"
)

// Parse reads arguments as getopt does: letters may share a
// word, a value may stand in the same word or be the next one, options may
// follow recipients, and "--" ends them.
func Parse(args []string) (*Options, error) {
	o := &Options{Mode: send}
	queueRun := false
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		if word == "--" {
			o.to = append(o.to, args...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			o.to = append(o.to, word)
			continue
		}
		for rest := word[1:]; rest != ""; {
			letter := rest[0]
			rest = rest[1:]
			value := ""
			switch {
			case strings.IndexByte(optionsWithValue, letter) >= 0:
				if value, rest = rest, ""; value == "" {
					if len(args) == 0 {
						return nil, fmt.Errorf("-%c needs a value", letter)
					}
					value, args = args[0], args[1:]
				}
			case strings.IndexByte(optionsValueBehind, letter) >= 0:
				rest, queueRun = "", queueRun || letter == 'q'
			case strings.IndexByte(optionsWithoutValue, letter) < 0:
				return nil, fmt.Errorf("%q is no option of sendmail", word)
			}
			if err := o.set(letter, value); err != nil {
				return nil, err
			}
		}
	}
	if queueRun && o.Mode == send && !o.fromHeader && len(o.to) == 0 {
		return nil, errors.New("the queue runs by itself while Kurir runs; \"kurir queue flush\" tries everything now")
	}
	return o, nil
}

func (o *Options) set(letter byte, value string) error {
	switch letter {
	case 't':
		o.fromHeader = true
	case 'i':
		o.wholeInput = true
	case 'v':
		o.verbose = true
	case 'I':
		o.Mode = Aliases
	case 'f', 'r':
		o.from, o.hasFrom = value, true
	case 'F':
		o.name = value
	case 'o':
		o.wholeInput = o.wholeInput || value == "i"
	case 'O':
		name, set, _ := strings.Cut(value, "=")
		o.wholeInput = o.wholeInput || strings.EqualFold(name, "IgnoreDots") && !strings.EqualFold(set, "false")
	case 'X':
		return errors.New("-X is not possible here: -v prints the dialogue, and Kurir's log says what became of each message")
	case 'b':
		return o.setMode(value)
	case 'N':
		return o.setNotify(value)
	case 'R':
		o.ret = strings.ToUpper(value)
		if !envelope.IsReturn(o.ret) {
			return fmt.Errorf("-R is full or hdrs, not %q", value)
		}
	case 'V':
		o.envid = envelope.EncodeXtext(value)
		if o.envid != "" && !envelope.IsID(o.envid) {
			return errors.New("-V is longer than 100 characters")
		}
	}
	return nil
}

func (o *Options) setMode(value string) error {
	switch mode := Mode(value); mode {
	case send, SpeakSMTP, PrintQueue, Aliases:
		o.Mode = mode
		return nil
	case "d", "D":
		return fmt.Errorf("-b%s starts a server: that is \"kurir serve\"", value)
	}
	return fmt.Errorf("-b%s is nothing that Kurir can do: it has -bm, -bs, -bp and -bi", value)
}

func (o *Options) setNotify(value string) error {
	words := strings.Split(strings.ToUpper(value), ",")
	for i, w := range words {
		words[i] = strings.TrimSpace(w)
	}
	slices.Sort(words)
	o.notify = strings.Join(slices.Compact(words), ",")
	if !envelope.IsNotify(o.notify) {
		return fmt.Errorf("-N is never, or some of success,failure,delay, not %q", value)
	}
	return nil
}
