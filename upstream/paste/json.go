package paste

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kurir/upstream/explain"
)

// jsonValues reads a text that is nothing but JSON objects, or lists of them;
// false if it is anything else.
func jsonValues(text string) ([]map[string]any, bool) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return nil, false
	}
	var values []map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	for {
		var v any
		err := decoder.Decode(&v)
		if errors.Is(err, io.EOF) {
			return values, len(values) > 0
		}
		if err != nil {
			return nil, false
		}
		elements, isList := v.([]any)
		if !isList {
			elements = []any{v}
		}
		for _, e := range elements {
			object, ok := e.(map[string]any)
			if !ok {
				return nil, false
			}
			values = append(values, object)
		}
	}
}

var (
	// keyed finds the lines of msmtp's log, of Kurir's at a terminal, and of
	// others that write key=value.
	keyed = []string{"smtpmsg=", "errormsg=", "cause=", "reply=", "error=", "err=", "msg="}
	pair  = regexp.MustCompile(`(?:^|\s)([a-zA-Z_]{2,20})=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)`)
)

// objectIn is the object that a line of a log is, nil if it is a text.
func objectIn(line string) map[string]any {
	if strings.HasPrefix(line, "{") {
		if values, ok := jsonValues(line); ok && len(values) == 1 {
			return values[0]
		}
		return nil
	}
	line = clip(line)
	if !holdsOne(line, keyed) {
		return nil
	}
	object := map[string]any{}
	for _, m := range pair.FindAllStringSubmatch(line, 50) {
		value := m[2]
		if s, err := strconv.Unquote(value); err == nil && strings.HasPrefix(value, `"`) {
			value = s
		}
		object[m[1]] = strings.Trim(value, `"'`)
	}
	if len(object) < 3 {
		return nil
	}
	return object
}

// wrapped is the line of another program that the journal of systemd or the
// log of a container holds.
func wrapped(object map[string]any) (string, bool) {
	switch message := object["MESSAGE"].(type) {
	case string:
		return message, true
	case []any: // bytes, when it is no plain text
		line := make([]byte, 0, len(message))
		for _, b := range message {
			n, _ := b.(float64)
			line = append(line, byte(n))
		}
		return string(line), true
	}
	line, ok := object["log"].(string)
	return line, ok && (len(object) == 1 || object["stream"] != nil || object["time"] != nil)
}

// The keys under which programs keep what we look for, ours first.
var (
	textKeys = []string{
		"reply", "response", "smtp_response", "smtpResponse", "smtpmsg", "error_description", "error", "err", "exception", "diagnostic",
		"diagnosticCode", "bounce_reason", "reason", "message", "msg", "short_message", "errormsg", "error_message", "description", "detail", "stack",
	}
	hostKeys = []string{"upstream", "relay", "server", "smtp_host", "host", "hostname", "address"}
	codeKeys = []string{"responseCode", "smtpCode", "smtp_code", "smtpstatus", "code"}
)

// signs are what libraries say in a word of their own: the codes of nodemailer.
var signs = map[string]hints{
	"EAUTH":       {stage: explain.StageAuth, guess: explain.AuthRejected},
	"ENOAUTH":     {stage: explain.StageAuth, guess: explain.AuthRequired},
	"EOAUTH2":     {stage: explain.StageAuth, guess: explain.AuthToken},
	"ECONNECTION": {stage: explain.StageConnect, guess: explain.ConnectClosed},
	"ESOCKET":     {stage: explain.StageConnect, guess: explain.ConnectClosed},
	"ETIMEDOUT":   {stage: explain.StageConnect, guess: explain.ConnectTimeout},
	"EDNS":        {stage: explain.StageDNS, guess: explain.DNSNotFound},
	"ETLS":        {stage: explain.StageSTARTTLS, guess: explain.TLSNotOffered},
	"EPROTOCOL":   {stage: explain.StageGreeting, guess: explain.ProtocolWrongPort},
	"EENVELOPE":   {stage: explain.StageRcpt, guess: explain.RecipientSyntax},
	"EMESSAGE":    {stage: explain.StageDot},
}

// errnos are the numbers that Node.js gives, for Linux, macOS and Windows.
var errnos = map[float64]string{
	-101: "ENETUNREACH", -104: "ECONNRESET", -110: "ETIMEDOUT", -111: "ECONNREFUSED", -113: "EHOSTUNREACH",
	-51: "ENETUNREACH", -54: "ECONNRESET", -60: "ETIMEDOUT", -61: "ECONNREFUSED", -65: "EHOSTUNREACH",
	-4062: "ENETUNREACH", -4077: "ECONNRESET", -4039: "ETIMEDOUT", -4078: "ECONNREFUSED", -4074: "EHOSTUNREACH",
	-3001: "EAI_AGAIN", -3008: "ENOTFOUND",
}

// fromJSON explains one object of a log; nil if it tells of no failure. Of
// many, those are left out that nobody can make anything of.
func (a *asked) fromJSON(object map[string]any, alone bool) *explain.Failure {
	if stringOf(object, "event") == "upstream.recovered" {
		return nil
	}
	if whole := a.fromCandidates(object); whole != nil {
		return whole
	}
	text, around := said(object, 4)
	known := hintsOf(object)
	if around != nil {
		known = known.or(hintsOf(around))
		text = withCode(text, around)
	}
	ours := stringOf(object, "event") != "" && stringOf(object, "level") != ""
	switch {
	case known.cause != "":
		return a.one(text, known)
	case ours, text == "" && known.guess == "", wentWell(text), !alone && !mayTell(text) && known.guess == "":
		return nil
	}
	f := a.one(text, known)
	if !alone && f.Cause == explain.Unknown && f.Reply == nil {
		return nil
	}
	return f
}

// fromCandidates explains what Kurir's log says of a route of which no way in
// worked.
func (a *asked) fromCandidates(object map[string]any) *explain.Failure {
	elements, _ := object["candidates"].([]any)
	var failures []*explain.Failure
	for _, e := range elements {
		if c, ok := e.(map[string]any); ok {
			if f := a.fromJSON(c, true); f != nil {
				failures = append(failures, f)
			}
		}
	}
	if len(failures) == 0 || stringOf(object, "event") == "upstream.selected" {
		return nil
	}
	return explain.Whole(failures)
}

// hintsOf are what an object says beside a text.
func hintsOf(object map[string]any) hints {
	h := signs[stringOf(object, "code")]
	if s := stageOfCommand(stringOf(object, "command")); s != "" {
		h.stage = s
	}
	if s := explain.Stage(stringOf(object, "stage")); slices.Contains(explain.Stages(), s) {
		h.stage = s
	}
	if c := explain.Cause(stringOf(object, "cause")); slices.Contains(explain.Causes(), c) {
		h.cause = c
	}
	if m := explain.TLSMode(stringOf(object, "tls")); m == explain.STARTTLS || m == explain.Implicit {
		h.tls = m
	}
	if object["schemes"] != nil && object["status"] != nil { // what Google says in base64 after a 334
		h.stage, h.guess = explain.StageAuth, explain.AuthToken
	}
	ofCall := object["syscall"] != nil
	for _, key := range hostKeys {
		// In a log, these may name the machine that the program runs on.
		if key == "hostname" && !ofCall || key == "host" && (object["pid"] != nil || object["short_message"] != nil) {
			continue
		}
		name := stringOf(object, key)
		if key == "address" && !ofCall || name == "" || strings.ContainsAny(name, " @/") {
			continue
		}
		h.host, h.port = splitHost(name)
		break
	}
	if port := numberOf(object, "port"); h.port == 0 && h.host != "" && port > 0 && port < 1<<16 {
		h.port = port
	}
	return h
}

// or fills in from others what h does not say.
func (h hints) or(others hints) hints {
	h.stage, h.cause, h.guess = cmp.Or(h.stage, others.stage), cmp.Or(h.cause, others.cause), cmp.Or(h.guess, others.guess)
	if h.host == "" {
		h.host, h.port = others.host, others.port
	}
	return h
}

// said is what was said in the object or, deeper inside, in an error of it,
// and the object that holds it. What names a cause goes before what does not.
func said(object map[string]any, depth int) (string, map[string]any) {
	first := ""
	for _, key := range textKeys {
		text := strings.TrimSpace(stringOf(object, key))
		if text != "" && tells(text) {
			return text, object
		}
		if first == "" {
			first = text
		}
	}
	if depth > 0 {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			elements, isList := object[key].([]any)
			if !isList {
				elements = []any{object[key]}
			}
			for _, e := range elements[:min(len(elements), 20)] {
				inner, ok := e.(map[string]any)
				if !ok {
					continue
				}
				if text, around := said(inner, depth-1); around != nil && tells(withCode(text, around)) {
					return text, around
				}
			}
		}
	}
	return first, object
}

// tells tells whether a text says what happened.
func tells(text string) bool {
	if _, ok := explain.ParseReply(text); ok {
		return true
	}
	return explain.FromText(text, "", "").Cause != explain.Unknown
}

// withCode puts the codes that stand beside a text before it, if it has none.
func withCode(text string, object map[string]any) string {
	if _, ok := explain.ParseReply(text); ok || refusal.MatchString(text) {
		return text
	}
	for _, key := range codeKeys {
		if n := numberOf(object, key); n >= 200 && n < 600 && n%100 < 60 {
			return strings.TrimSpace(strconv.Itoa(n) + " " + text)
		}
	}
	if text != "" {
		return text
	}
	words := []string{stringOf(object, "syscall"), stringOf(object, "code")}
	if n, ok := object["errno"].(float64); ok && errnos[n] != "" {
		words = append(words, errnos[n])
	} else if name := stringOf(object, "errno"); name != words[1] {
		words = append(words, name)
	}
	if host, port := stringOf(object, "address"), numberOf(object, "port"); host != "" && port != 0 {
		words = append(words, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func stringOf(object map[string]any, key string) string {
	s, _ := object[key].(string)
	return s
}

// numberOf is a number, also one that was written as a text; 0 if it is none.
func numberOf(object map[string]any, key string) int {
	switch v := object[key].(type) {
	case float64:
		return int(v)
	case string:
		n, err := strconv.Atoi(v)
		if err == nil {
			return n
		}
	}
	return 0
}

// stageOfCommand is the stage of an SMTP command.
func stageOfCommand(command string) explain.Stage {
	verb, _, _ := strings.Cut(strings.ToUpper(command), " ")
	return map[string]explain.Stage{
		"EHLO": explain.StageEHLO, "HELO": explain.StageEHLO,
		"STARTTLS": explain.StageSTARTTLS, "AUTH": explain.StageAuth,
		"MAIL": explain.StageMail, "RCPT": explain.StageRcpt, "DATA": explain.StageData,
	}[verb]
}
