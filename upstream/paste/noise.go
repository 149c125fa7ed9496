package paste

import (
	"regexp"
	"slices"
	"strings"

	"kurir/upstream/explain"
)

// successes are what mail servers and clients write when a mail went through.
var successes = []string{"status=sent", "status=deliverable", "stat=Sent", "dsn=2.", "smtpstatus=2", "exitcode=EX_OK", `C="250`}

var agreed = regexp.MustCompile(`(?i)(?:^|[\s:;("'>])2[0-5]\d[ -](?:2\.\d{1,3}\.\d{1,3}\b|ok\b)`)

// wentWell tells that a text is about something that worked, or is a question
// of the server that is part of each session.
func wentWell(text string) bool {
	if r, ok := explain.ParseReply(text); ok {
		switch f := explain.FromText(text, "", ""); {
		case r.Class() > 3:
			return false
		case r.Code == 220: // of a web server, say
			return f.Cause != explain.ProtocolWrongPort
		case r.Code == 334: // an error of OAuth
			return f.Cause != explain.AuthToken
		}
		return true
	}
	return (holdsOne(text, successes) || holdsOne(text, []string{"250", "235", "221"}) && agreed.MatchString(text)) && !refusal.MatchString(text)
}

// troubles are words of which an error line holds one; they are looked for
// before the rules are asked, which takes a hundred times as long.
var troubles = []string{
	"said:", "fail", "error", "err ", "econn", "etimed", "enotfound", "eai_", "ehost", "enet", "eauth", "refuse", "reject", "denied", "deferred",
	"bounced", "timed out", "timeout", "time out", "unreachable", "no route", "no such", "not found", "unknown", "not known", "could not",
	"couldn't", "cannot", "can't", "unable", "invalid", "exception", "expired", "untrusted", "self-signed", "self signed", "x509", "wrong version",
	"not look like", "not accept", "not allowed", "not permitted", "not support", "not offer", "not available", "blocked", "lost connection", "reset by peer", "closed", "broken pipe",
	"eof", "limit", "quota", "too many", "too large", "spam", "misbehaving", "diagnostic-code", "mismatch", "hung up", "may be sent more than once", "not valid", "does not",
}

var (
	refusal = regexp.MustCompile(`(?:^|[\s:;("'>=#])[45][0-35]\d(?:[-\s,;)"']|: )`)
	coded   = regexp.MustCompile(`(?:^|[\s:;("'>=#])[45][0-35]\d[ -]#?[45]\.\d{1,3}\.\d{1,3}\b`)
)

// everyday are parts of lines that hold such words although nothing failed.
var everyday = []string{
	"TLS connection established", "(queue active)", "]: connect from ", "]: disconnect from ", "]: statistics: ", ": lost connection after ",
	"]: warning: hostname ", ": sender non-delivery notification", "reply: retcode ", "During handling of ", "The above exception ", "=== Connection closed with remote host",
	`"GET `, `"HEAD `, `"POST `, `"PUT `, `"PATCH `, `"DELETE `, `"OPTIONS `,
}

// mayTell tells whether a line among many may be about a failure.
func mayTell(text string) bool {
	if holdsOne(text, everyday) {
		return false
	}
	return holdsOne(strings.ToLower(text), troubles) || hasCode(text)
}

func holdsOne(text string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// hasCode tells whether a text is a reply, or quotes one that refuses.
func hasCode(text string) bool {
	if _, ok := explain.ParseReply(text); ok {
		return true
	}
	return holdsOne(text, []string{" 4.", " 5.", "-4.", "-5.", "#4.", "#5."}) && coded.MatchString(text)
}
