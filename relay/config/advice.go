package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// examples are values to show for keys whose default is to be empty.
var examples = map[string]any{
	"hostname":                         "relay.example.com",
	"listen.max_message_size":          "25MB",
	"spool.max_size":                   "2GB",
	"notify.webhook":                   "https://hooks.example.com/…",
	"notify.command":                   "mail -s Kurir root",
	"rewrite.from":                     "Shop <noreply@example.com>",
	"rewrite.allowed":                  []string{"@example.com"},
	"rewrite.aliases":                  pair{"root", "admin@example.com"},
	"upstream.provider":                "gmail",
	"upstream.host":                    "smtp.example.com",
	"upstream.port":                    587,
	"upstream.username":                "you@example.com",
	"upstream.password":                "…",
	"upstream.password_file":           "/etc/kurir/password",
	"upstream.password_command":        "pass show smtp",
	"upstream.auth":                    "PLAIN",
	"upstream.connections":             4,
	"upstream.messages_per_connection": 100,
	"upstream.ca_file":                 "/etc/kurir/ca.pem",
	"upstream.rate":                    "30/m",
	"upstream.client_cert":             "/etc/kurir/client.pem",
	"upstream.oauth2.flow":             "client_credentials",
	"upstream.oauth2.tenant":           "example.onmicrosoft.com",
	"upstream.oauth2.cloud":            "global",
	"upstream.oauth2.client_id":        "…",
	"upstream.oauth2.client_secret":    "…",
	"upstream.oauth2.client_cert":      "/etc/kurir/oauth2.pem",
	"upstream.oauth2.client_key":       "/etc/kurir/oauth2.key",
	"upstream.oauth2.token_url":        "https://login.example.com/oauth2/token",
	"upstream.oauth2.key_file":         "/etc/kurir/service-account.json",
	"listen.tls_cert":                  "/etc/kurir/tls.pem",
	"listen.tls_key":                   "/etc/kurir/tls.key",
	"upstream.client_key":              "/etc/kurir/client.key",
	"upstream.senders":                 []string{"@example.com"},
}

// example returns a good value for the key: string, int, []string or pair.
func example(k key) any {
	if value, ok := examples[k.String()]; ok {
		return value
	}
	defaults := Default()
	switch value := field(&defaults, key{section: k.section, name: k.name}).(type) {
	case *string:
		return *value
	case *int:
		return *value
	case *[]string:
		return *value
	case fmt.Stringer: // a Size or Duration
		return value.String()
	}
	return ""
}

// write tells the reader to set the key to what example may return.
func (l *loader) write(k key, value any) string { return "write " + l.assignment(k, value) }

// assignment is how the key is set where it was set: in the file or in the
// environment.
func (l *loader) assignment(k key, value any) string { return l.assignmentBeside(k, k, value) }

// assignmentBeside is how the key is set where another one was.
func (l *loader) assignmentBeside(other, k key, value any) string {
	at, given := l.origins[other]
	if at.variable != "" || !given && l.file == "" {
		switch given := value.(type) {
		case []string:
			value = strings.Join(given, ",")
		case pair:
			value = given.name + "=" + given.value
		}
		return fmt.Sprintf("%s=%v", k.env(), value)
	}
	switch value := value.(type) {
	case string:
		return k.name + " = " + strconv.Quote(value)
	case []string:
		var quoted []string
		for _, element := range value {
			quoted = append(quoted, strconv.Quote(element))
		}
		return k.name + " = [" + strings.Join(quoted, ", ") + "]"
	case pair:
		return fmt.Sprintf("%s = { %s = %q }", k.name, value.name, value.value)
	}
	return fmt.Sprintf("%s = %v", k.name, value)
}

// textFor makes text of a value that stands without quotes.
func textFor(k key, value any) any {
	switch value.(type) {
	case int64, float64:
		return meant(k, fmt.Sprint(value))
	}
	return example(k)
}

// listFor is what should be written for a value that is to be a list.
func listFor(k key, value any) any {
	switch value := value.(type) {
	case string:
		list := splitList(value)
		if k.name == "allow" { // no element has a space or a semicolon in it
			list = strings.FieldsFunc(strings.Join(list, " "), func(r rune) bool { return r == ' ' || r == ';' })
		}
		for i := range list {
			list[i] = meant(k, list[i])
		}
		return list
	case int64:
		if text := fmt.Sprint(value); meant(k, text) != text {
			return []string{meant(k, text)}
		}
	}
	return example(k)
}

// meant is the value that text wants to be, or text itself.
func meant(k key, text string) string {
	if k.section == "listen" && k.name == "smtp" || k.section == "control" && k.name == "http" {
		return cmp.Or(wholeAddress(text), text)
	}
	return text
}
