package paste

import (
	"html"
	"regexp"
	"strings"

	"kurir/upstream/explain"
)

// A passage is one thing that the input says: a reply or an error, over one
// line or several, or an object of a log.
type passage struct {
	text   string
	object map[string]any // nil if it is a text
	said   surroundings   // of the transcript that it stands in
}

// Surroundings are what the lines of a transcript say of those that follow.
type surroundings struct {
	session int           // counts commands and connections; 0 outside of a transcript
	stage   explain.Stage // of the last command
	server  string        // the line that named the server
}

// maxPassage bounds a passage, in bytes: no reply is as long.
const maxPassage = 8 << 10

// A reader cuts input into passages.
type reader struct {
	passages []passage
	said     surroundings
	base     int    // indentation of the whole input, in bytes; -1 before its first line
	open     string // the code of a reply that goes on, "" if none does
	wraps    int    // how many lines of it had no code
	fresh    bool   // behind an empty line
	skips    bool   // in the indented lines of a Python traceback
}

// read cuts text into passages.
func read(text string) []passage {
	r := reader{base: -1}
	if values, ok := jsonValues(tidy(text)); ok {
		for _, v := range values {
			r.object(v)
		}
		return r.passages
	}
	for line := range strings.Lines(text) {
		r.line(line)
	}
	return r.passages
}

// The lines of a transcript, as PHPMailer, smtplib, nodemailer, swaks, msmtp,
// curl, Exim and Net::SMTP write them.
var (
	anyReply   = regexp.MustCompile(`^["'` + "`" + `]?([2-5]\d\d)([ -]|["'` + "`" + `]?$)`)
	fromServer = regexp.MustCompile(`(?i)^(?:\[[^\]]{1,20}\] )?(?:S:|server -> client:|smtp -> from server:|smtp<<|<-+|<~\*?|<\*\*|<{1,3}|>|net::smtp\S*<<<|reply:)\s*b?["']?([2-5]\d\d(?:[ -]|$))`)
	fromClient = regexp.MustCompile(`(?i)^(?:\[[^\]]{1,20}\] )?(?:(?:C:|client -> server:|smtp>>|-+>|~>|>>>|net::smtp\S*>>>|send:)\s*b?["']?(.*)|> ?((?:ehlo|helo|auth|mail|rcpt|data|starttls|quit)\b.*))`)
	spokenTo   = regexp.MustCompile(`(?i)^(?:=== trying|=== connected|\* +trying|\* connected|connection: opening|smtp: connecting)`)
	quotedOpen = regexp.MustCompile(`(?:^|[\s:;("'>])([45]\d\d)-\S`)
	goesOn     = regexp.MustCompile(`^(?:[})\]]+[,;]?$|at \S+[.(]|caused by:|Caused by:|\.\.\. \d+ more|--->)`)
	ofDaemon   = regexp.MustCompile(`^.{0,60}?[\w./-]\[\d+\]: `)
	stack      = regexp.MustCompile(`^(?:at \S|#\d+ |\.\.\. \d+ more)`)
	traceback  = regexp.MustCompile(`^Traceback \(most recent call last\)`)
)

// line takes the next line.
func (r *reader) line(raw string) {
	raw = strings.TrimRight(tidy(raw), "\r\n")
	if strings.Contains(raw, "\n") { // the line ends of a web page
		for line := range strings.Lines(raw) {
			r.line(line)
		}
		return
	}
	line := strings.TrimSpace(raw)
	if line == "" {
		r.fresh = true
		return
	}
	fresh := r.fresh
	r.fresh = false
	indent := len(raw) - len(strings.TrimLeft(raw, " \t"))
	if r.base < 0 {
		r.base = indent
	}
	bare, inLog := withoutPrefix(line)
	if object := objectIn(bare); object != nil {
		r.object(object)
		return
	}
	line = clip(bare)
	if m := fromServer.FindStringSubmatchIndex(line); m != nil {
		line = strings.TrimSpace(spelled.Replace(strings.TrimRight(line[m[2]:], `'"`)))
	} else if m := fromClient.FindStringSubmatch(line); m != nil {
		r.command(m[1] + m[2])
		return
	} else if spokenTo.MatchString(line) {
		r.said = surroundings{session: r.said.session + 1, server: line}
		line, inLog = "", true // no failure, whatever it says of timeouts
	} else if inLog && ofDaemon.MatchString(line) {
		r.leave()
	}
	r.text(line, indent > r.base && !fresh, inLog)
}

// text takes a line without what was around it: it goes on with the passage
// before, or begins one.
func (r *reader) text(line string, indented, inLog bool) {
	m := anyReply.FindStringSubmatch(line)
	if m != nil && indented && line[0] == '\'' {
		m = nil // part of an object that JavaScript printed
	}
	switch {
	case m != nil && m[1] == r.open:
		r.join(line)
		if m[2] != "-" {
			r.open = ""
		}
	case m == nil && r.open != "" && r.wraps < 8 && !inLog && !goesOn.MatchString(line) && anyReply.MatchString(r.last()):
		r.wraps++
		r.join(line)
	case m == nil && !inLog && len(r.passages) > 0 && (indented || goesOn.MatchString(line)):
		if !r.skips && !stack.MatchString(line) {
			r.join(line)
		}
	default:
		r.begin(line, m)
	}
}

// begin begins a passage; reply are the parts of its first line if it is one.
func (r *reader) begin(line string, reply []string) {
	r.open, r.wraps = "", 0
	if r.skips = traceback.MatchString(line); r.skips {
		line = "" // and what is indented below belongs to it
	}
	if reply != nil && reply[1] == "354" && r.said.stage == explain.StageData {
		r.said.stage = explain.StageDot
	}
	quoted := quotedOpen.FindStringSubmatch(line)
	switch {
	case strings.Contains(line, `\n`): // it is whole, its line ends spelled out
	case quoted != nil && !strings.Contains(line, quoted[1]+" "):
		r.open = quoted[1]
	case reply != nil && reply[2] == "-":
		r.open = reply[1]
	}
	r.passages = append(r.passages, passage{text: line, said: r.said})
}

var spelled = strings.NewReplacer(`\r\n`, "\n", `\n`, "\n")

// command notes what the client of a transcript says; the words themselves may
// be a secret.
func (r *reader) command(words string) {
	r.open = ""
	if r.said.session == 0 {
		r.said.session = 1
	}
	words = strings.Trim(spelled.Replace(words), "'\" \n")
	stage := stageOfCommand(words)
	if stage != "" {
		r.said.session++ // what fails from now on is another failure
		r.said.stage = stage
	} else if words == "." {
		r.said.stage = explain.StageDot
	}
}

// object takes the next object of a log, or the line of text that it wraps.
func (r *reader) object(object map[string]any) {
	if text, ok := wrapped(object); ok {
		for line := range strings.Lines(text) {
			r.line(line)
		}
		return
	}
	r.open = ""
	r.leave()
	r.passages = append(r.passages, passage{object: object})
}

// leave ends a transcript: what follows is of another program.
func (r *reader) leave() {
	if r.said.session > 0 {
		r.said = surroundings{session: r.said.session + 1}
	}
}

// last is the text of the last passage.
func (r *reader) last() string {
	if len(r.passages) == 0 {
		return ""
	}
	return r.passages[len(r.passages)-1].text
}

// join adds a line to the last passage.
func (r *reader) join(line string) {
	if len(r.passages) == 0 {
		return
	}
	p := &r.passages[len(r.passages)-1]
	if p.object == nil && len(p.text)+len(line) < maxPassage {
		p.text += "\n" + line
	}
}

func clip(text string) string { return text[:min(len(text), maxPassage)] }

var (
	terminal = regexp.MustCompile("\x1b(?:\\[[0-9;?]*[a-zA-Z]|\\][^\x07]*\x07)")
	webBreak = regexp.MustCompile(`(?i)<br ?/?>\n?`)
	oddities = strings.NewReplacer("\ufeff", "", "\u200b", "", "\u00a0", " ", "\x00", "", "“", `"`, "”", `"`, "‘", "'", "’", "'")
)

// tidy takes away what terminals and web pages put into a text.
func tidy(text string) string {
	if strings.Contains(text, "\x1b") {
		text = terminal.ReplaceAllString(text, "")
	}
	if strings.ContainsAny(text, "\x00\u200b\u00a0\ufeff“”‘’") {
		text = oddities.Replace(text)
	}
	if strings.Contains(text, "<br") {
		text = webBreak.ReplaceAllString(text, "\n")
	}
	if strings.Contains(text, "&") && entity.MatchString(text) {
		text = html.UnescapeString(text)
	}
	return text
}

var entity = regexp.MustCompile(`&(?:lt|gt|amp|quot|apos|nbsp|#\d{2,5}|#x[0-9a-f]{2,4});`)

// logPrefix is what logs put before what a program says: the time, the
// machine, the program, the level. Each is one step.
var logPrefix = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z| ?[+-]\d\d:?\d\d| UTC)?\]?:?\s+`,
	`\[\d\d[-/][A-Z][a-z]{2}[-/]\d{4}[ :][\d:]{5,8}[^\]]{0,40}\]\s*`,
	`\[(?:[A-Z][a-z]{2} ){2}[ \d]\d [\d:.]+ \d{4}\]\s*`,
	`(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:[\w.-]+ )?`,
	`\[(?:\w+:\w+|pid \d+[^\]]*|client [^\]]*)\]\s*`,
	`[\w./-]{1,60}\[\d+\]:\s+`,
	`[\w.-]{1,60}\s+\| `,
	`(?:PHP )?(?:Warning|Notice|Fatal error|Deprecated|Message|DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL):\s+`,
}, "|") + `)`)

// withoutPrefix takes the prefixes of logs off a line, if what they stand
// before is a reply, an object or a line of a transcript, and tells whether it
// is a line of a log.
func withoutPrefix(line string) (string, bool) {
	bare := line
	for range 6 {
		m := logPrefix.FindString(bare)
		if m == "" {
			break
		}
		bare = bare[len(m):]
	}
	bare = strings.TrimSpace(bare)
	if bare == line {
		return line, false
	}
	if anyReply.MatchString(bare) || strings.HasPrefix(bare, "{") || fromServer.MatchString(bare) || fromClient.MatchString(bare) || spokenTo.MatchString(bare) {
		return bare, true
	}
	return line, true
}
