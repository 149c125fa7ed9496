package main

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"kurir/upstream/explain"
)

// jsonValues reads a text that is nothing but JSON objects, or lists of them;
// false if it is anything else.
func jsonValues(text string) ([]map[string]any, bool) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[{") {
		return nil, false
	}
	var values []map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	for {
		var v any
		err := decoder.Decode(&v)
		if errors.Is(err, io.EOF) {
			return values, true
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

// The keys under which programs keep what we look for, ours first.
var (
	textKeys = []string{
		"reply", "response", "smtp_response", "smtpResponse", "error", "err", "exception", "diagnostic",
		"diagnosticCode", "bounce_reason", "reason", "message", "msg", "error_message", "description", "detail", "stack",
	}
	hostKeys = []string{"upstream", "host", "hostname", "relay", "server"}
)

// fromJSON explains one object of a log; nil if it tells of no failure.
func (a asked) fromJSON(object map[string]any) *explain.Failure {
	text := textOf(object, 3)
	known := hints{stage: explain.Stage(stringOf(object, "stage")), cause: explain.Cause(stringOf(object, "cause"))}
	if !slices.Contains(explain.Causes(), known.cause) {
		known.cause = ""
	}
	if !slices.Contains(explain.Stages(), known.stage) {
		known.stage = stageOfCommand(stringOf(object, "command"))
	}
	for _, key := range hostKeys {
		if known.host = stringOf(object, key); known.host != "" {
			break
		}
	}
	if r, ok := explain.ParseReply(text); ok && r.Class() < 4 && known.cause == "" {
		return nil // it went well
	}
	ours := stringOf(object, "event") != "" && stringOf(object, "level") != ""
	if text == "" || ours && known.cause == "" {
		return nil
	}
	return a.one(text, known)
}

// textOf is what was said, in the object or, deeper inside, in an error of it.
func textOf(object map[string]any, depth int) string {
	if depth == 0 {
		return ""
	}
	for _, key := range textKeys {
		switch v := object[key].(type) {
		case string:
			if strings.TrimSpace(v) != "" {
				return v
			}
		case map[string]any:
			if text := textOf(v, depth-1); text != "" {
				return text
			}
		}
	}
	return ""
}

func stringOf(object map[string]any, key string) string {
	s, _ := object[key].(string)
	return s
}

// stageOfCommand reads the command that nodemailer names beside an error.
func stageOfCommand(command string) explain.Stage {
	verb, _, _ := strings.Cut(strings.ToUpper(command), " ")
	return map[string]explain.Stage{
		"EHLO": explain.StageEHLO, "HELO": explain.StageEHLO, "STARTTLS": explain.StageSTARTTLS, "AUTH": explain.StageAuth,
		"MAIL": explain.StageMail, "RCPT": explain.StageRcpt, "DATA": explain.StageData,
	}[verb]
}
