package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Options say where Load looks.
type Options struct {
	// Path is the file to read, as given with --config. "" means to look:
	// $KURIR_CONFIG, else kurir.toml in Dir, else /etc/kurir/kurir.toml.
	Path string

	// Environ is the environment, as os.Environ returns it.
	Environ []string

	// Dir is the directory that Path and paths in the environment start from.
	// "" means the working directory. Paths in the file start from the file.
	Dir string

	// Providers are the names that upstream.provider may have. Empty means
	// that the caller checks it.
	Providers []string

	// Sandbox is for a relay that brings its own provider: no host is
	// required, no file is looked for (Path is read if it is set), StateDir
	// and Spool.Dir stay empty unless they are set, and the default address is
	// 127.0.0.1:2525. What [upstream] says is not checked as a whole.
	Sandbox bool

	// Asking is for a program that only asks a running relay, by a user who may
	// not have the password: logins are not looked at. Faults that leave no
	// doubt where that relay is found come with the rest of the configuration.
	Asking bool

	// system replaces what is outside a test's reach.
	system *system
}

type system struct {
	config    string // the last file that is looked for
	stateDir  string
	superuser bool
}

// maxSyntaxFaults is how many lines that are not TOML are told of.
const maxSyntaxFaults = 20

// maxFile limits the configuration and the files it reads values from.
const maxFile = 256 << 10

// Load reads the configuration. The error is Faults, with everything that is
// wrong, or a *MissingError, or both joined. The result is valid, except that
// a password_command has not been run: see Resolve.
func Load(o Options) (*Config, error) {
	l := newLoader(o)
	path, looked, err := l.find()
	if err != nil {
		return nil, err
	}
	if path != "" {
		l.readFile(path)
	}
	l.environment()
	if path == "" && !o.Sandbox && !l.given(upstreamKey(0, "host")) && !l.given(upstreamKey(0, "provider")) {
		if l.opts.Asking && len(l.faults) == 0 && (l.given(key{name: "state_dir"}) || l.given(key{section: "control", name: "socket"})) {
			l.places()
			return &l.cfg, nil // which relay is meant, the environment says
		}
		missing := &MissingError{Looked: looked}
		if len(l.faults) > 0 {
			return nil, errors.Join(missing, l.faults)
		}
		return nil, missing
	}
	if !l.unreadable {
		l.places()
		l.validate()
	}
	if len(l.faults) > 0 {
		l.faults.sort()
		if l.opts.Asking && !l.unreadable && !slices.ContainsFunc(l.faults, l.hides) {
			return &l.cfg, l.faults
		}
		return nil, l.faults
	}
	return &l.cfg, nil
}

// A loader collects the Config and its faults. origins has a key for every
// setting that was given, whether or not its value was good.
type loader struct {
	opts       Options
	system     system
	env        map[string]string
	cfg        Config
	file       string // as people know it
	outline    outline
	unreadable bool // the file is not TOML even without lines, so that what is missing is unknown
	origins    map[key]origin
	hinted     map[key]bool // keys that were given under another name
	faults     Faults
	sections   []string
	keys       map[string][]string
}

// An origin is where a setting was given: in a line of a file, or in an
// environment variable.
type origin struct {
	file     string
	line     int
	variable string
}

func newLoader(o Options) *loader {
	l := &loader{
		opts:    o,
		system:  system{systemConfig, systemStateDir, os.Geteuid() == 0},
		env:     map[string]string{},
		cfg:     Default(),
		origins: map[key]origin{},
		hinted:  map[key]bool{},
	}
	if o.system != nil {
		l.system = *o.system
	}
	for _, variable := range o.Environ {
		if name, value, ok := strings.Cut(variable, "="); ok {
			l.env[name] = value
		}
	}
	if o.Sandbox {
		l.cfg.Listen.SMTP = []string{"127.0.0.1:2525"}
	}
	l.sections, l.keys = schema()
	return l
}

func upstreamKey(index int, name string) key { return key{upstreamSection, index, name} }

func (l *loader) given(k key) bool {
	_, ok := l.origins[k]
	return ok
}

// fault reports what is wrong with a setting, at the place it was given at;
// if it was not given, at the head of its section.
func (l *loader) fault(k key, problem, instead string) {
	at, ok := l.origins[k]
	if !ok && l.file != "" {
		at = origin{file: l.file, line: l.line(k)}
	}
	f := Fault{File: at.file, Line: at.line, Key: shown(k.String()), Problem: problem, Instead: instead}
	if at.variable != "" {
		f.File = at.variable
	}
	l.faults = append(l.faults, f)
}

// hides tells whether a fault leaves in doubt where a relay is found: it does
// unless it is about a section that says nothing of that, and the key is none
// that does in another one.
func (l *loader) hides(f Fault) bool {
	section, name, _ := strings.Cut(f.Key, ".")
	section, _, _ = strings.Cut(section, "[")
	name = name[strings.LastIndexByte(name, '.')+1:]
	places := slices.Concat(l.keys[""], []string{"spool", "control"}, l.keys["spool"], l.keys["control"])
	return slices.Contains(places, name) || !slices.Contains([]string{upstreamSection, "listen", "delivery", "rewrite", "notify", "log"}, section)
}

func (l *loader) warn(k key, file, text string) {
	w := Warning{File: file, Key: k.String(), Text: text}
	if !slices.Contains(l.cfg.Warnings, w) {
		l.cfg.Warnings = append(l.cfg.Warnings, w)
	}
}

// line is where the file has the key, else where its section begins; 0 if
// nowhere.
func (l *loader) line(k key) int {
	for _, path := range append(k.paths(), key{section: k.section, index: k.index}.paths()...) {
		if line := l.outline.lines[strings.TrimSuffix(path, ".")]; line > 0 {
			return line
		}
	}
	return 0
}

// find returns the file to read, "" if there is none, and then where it looked.
func (l *loader) find() (path string, looked []string, err error) {
	given, by := l.opts.Path, "--config"
	if given == "" && !l.opts.Sandbox {
		given, by = l.env[envPrefix+"CONFIG"], envPrefix+"CONFIG"
	}
	if given != "" {
		path = from(l.opts.Dir, given)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return "", nil, Faults{{File: path, Problem: "there is no such file", Instead: "create it, or change " + by}}
		}
		return path, nil, nil
	}
	if l.opts.Sandbox {
		return "", nil, nil
	}
	looked = []string{from(l.opts.Dir, "kurir.toml"), l.system.config}
	for _, path := range looked {
		// Any other error than this is one to tell: a file that may not be
		// read must not give way to another one in silence.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil, nil
		}
	}
	return "", looked, nil
}

func (l *loader) readFile(path string) {
	l.file, l.cfg.File, l.unreadable = path, path, true
	src, problem := readSmall(path)
	if problem != "" {
		l.faults = append(l.faults, Fault{File: path, Problem: problem, Instead: "give the path of a text file that Kurir may read"})
		return
	}
	l.outline = outlineOf(src)
	if line := l.outline.deep; line > 0 {
		l.faults = append(l.faults, Fault{File: path, Line: line, Problem: "this is nested too deeply", Instead: "no setting has more than a section and a key"})
		return
	}
	// A line that is not TOML is left out and the rest read again, so that all
	// that is wrong is told at once.
	for range maxSyntaxFaults {
		var root map[string]any
		_, err := toml.Decode(src, &root)
		if err == nil {
			l.unreadable = false
			l.decode("", 0, root)
			return
		}
		fault := l.syntaxFault(src, err)
		l.faults = append(l.faults, fault)
		var ok bool
		if src, ok = l.withoutLine(src, fault); !ok {
			return
		}
	}
}

// readSmall reads a file of at most maxFile bytes. A problem is to be read
// after the path.
func readSmall(path string) (text, problem string) {
	f, err := os.Open(path)
	if err != nil {
		return "", fileProblem(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return "", "is a directory (a container makes one where a file to be mounted is missing)"
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return "", fileProblem(err)
	case len(data) > maxFile:
		return "", fmt.Sprintf("is larger than %d kB", maxFile>>10)
	}
	return string(data), ""
}

func fileProblem(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "this user may not read it"
	case errors.As(err, &path):
		return "cannot be read: " + path.Err.Error()
	}
	return "cannot be read: " + err.Error()
}
