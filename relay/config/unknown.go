package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kurir/upstream/spelling"
)

// otherNames are what people write who come from other programs, with the
// name it has here.
var otherNames = map[string]map[string]string{
	"": {
		"server": "upstream", "relay": "upstream", "relayhost": "upstream", "smarthost": "upstream",
		"smtp": "upstream", "mail": "upstream", "upstreams": "upstream",
		"listener": "listen", "bind": "listen",
		"queue": "delivery", "logging": "log", "admin": "control",
		"notification": "notify", "notifications": "notify", "notice": "notify", "alert": "notify", "alerts": "notify",
		"masquerade": "rewrite", "rewriting": "rewrite", "aliases": "rewrite.aliases", "alias": "rewrite.aliases",
		"oauth2": "upstream.oauth2", "oauth": "upstream.oauth2",
	},
	"listen": {
		"address": "smtp", "addr": "smtp", "addresses": "smtp", "bind": "smtp", "host": "smtp",
		"interface": "smtp", "port": "smtp", "mynetworks": "allow", "networks": "allow",
		"size_limit": "max_message_size", "message_size_limit": "max_message_size",
	},
	"upstream": {
		"address": "host", "hostname": "host", "relayhost": "host", "server": "host", "smtp": "host",
		"login": "username", "email": "username", "pass": "password", "passwd": "password", "secret": "password",
		"encryption": "tls", "secure": "tls", "security": "tls", "smtpsecure": "tls", "ssl": "tls", "starttls": "tls",
		"mechanism": "auth", "ca": "ca_file", "cafile": "ca_file", "from": "senders",
		"cert": "client_cert", "key": "client_key",
	},
	"upstream.oauth2": {
		"grant": "flow", "grant_type": "flow", "type": "flow", "tenant_id": "tenant", "directory": "tenant",
		"client": "client_id", "app_id": "client_id", "application_id": "client_id", "secret": "client_secret",
		"scopes": "scope", "url": "token_url", "endpoint": "token_url", "token_endpoint": "token_url", "token_uri": "token_url",
		"certificate": "client_cert", "service_account": "key_file", "credentials": "key_file", "refresh_token": "refresh_token_file",
	},
	"notify": {
		"sender": "bounce", "bounces": "bounce", "dsn": "bounce", "notify": "bounce",
		"url": "webhook", "hook": "webhook", "slack": "webhook", "exec": "command", "script": "command",
		"interval": "every", "limit": "every",
	},
	"rewrite": {
		"sender": "from", "address": "from", "mode": "when", "allow": "allowed", "senders": "allowed",
		"alias": "aliases", "recipients": "aliases",
	},
	"spool":   {"path": "dir", "directory": "dir"},
	"control": {"path": "socket", "unix": "socket", "web": "http", "page": "http", "metrics": "http"},
}

// unknown reports what the file has and Kurir does not know.
func (l *loader) unknown(k key, value any) {
	switch value.(type) {
	case map[string]any, []map[string]any:
		l.unknownSection(k)
	default:
		l.unknownKey(k)
	}
}

// unknownSection reports a section of the file that there is none of.
func (l *loader) unknownSection(k key) {
	instead := "remove it"
	switch name := strings.ToLower(k.name); {
	case k.section == "":
		meant := cmp.Or(otherNames[""][name], spelling.Nearest(k.name, l.sections[1:]))
		if meant == upstreamSection {
			l.hintUpstream()
		}
		instead = "write [" + meant + "]"
		if meant == "" {
			instead = "the sections are " + strings.Join(l.sections[1:], ", ")
		}
	case k.section == upstreamSection && slices.Contains([]string{"oauth", "o_auth2", "xoauth2", "token"}, name):
		instead = "write [" + oauth2Section + "]"
	}
	l.fault(k, "is not a section that Kurir knows", instead)
}

// unknownKey reports a key of the file that there is none of.
func (l *loader) unknownKey(k key) {
	problem, instead := "is not a key that Kurir knows", ""
	other := otherNames[k.section][strings.ToLower(k.name)]
	home, misplaced := l.home(k.name)
	meant := other
	if other == "" && !misplaced {
		meant = spelling.Nearest(k.name, l.keys[k.section])
	}
	switch {
	case other != "" && k.section == "":
		if other == upstreamSection {
			l.hintUpstream()
		}
		instead = fmt.Sprintf("write [%s], and its keys below", other)
	case meant != "":
		l.hinted[key{k.section, k.index, meant}] = true
		instead = "write " + meant
	case misplaced && home == "":
		problem, instead = "is in the wrong place", k.name+" belongs at the top of the file, above the first [section]"
	case misplaced:
		l.hinted[key{section: home, name: k.name}] = true
		problem, instead = "is in the wrong place", fmt.Sprintf("%s belongs in [%s]", k.name, home)
	default:
		instead = l.keysLike(k)
	}
	l.fault(k, problem, instead)
}

// keysLike names a key of another section that may be meant, else the keys that
// there are.
func (l *loader) keysLike(k key) string {
	for _, section := range l.sections {
		if meant := spelling.Nearest(k.name, l.keys[section]); meant != "" && section != "" && section != k.section && section != oauth2Section {
			return fmt.Sprintf("%s in [%s] may be meant", meant, section)
		}
	}
	if k.section == "" {
		return "the keys above the first [section] are " + strings.Join(l.keys[""], ", ")
	}
	return fmt.Sprintf("the keys of [%s] are %s", k.section, strings.Join(l.keys[k.section], ", "))
}

// hintUpstream notes that an upstream was meant, so that what it lacks is not
// said as well.
func (l *loader) hintUpstream() {
	for _, name := range l.keys[upstreamSection] {
		l.hinted[upstreamKey(0, name)] = true
	}
}

// home returns the section that has a key of this name.
func (l *loader) home(name string) (section string, ok bool) {
	for _, section := range l.sections {
		if slices.Contains(l.keys[section], name) {
			return section, true
		}
	}
	return "", false
}
