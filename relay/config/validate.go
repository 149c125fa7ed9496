package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"kurir/upstream/spelling"
)

// validate judges every setting by itself, then those that must agree. What
// could not be decoded still has its default, so that nothing is said twice.
func (l *loader) validate() {
	c := &l.cfg
	l.checkHostname(key{name: "hostname"}, c.Hostname)
	l.checkDir(key{name: "state_dir"}, c.StateDir)
	l.validateListen()
	for i := range c.Upstreams {
		l.validateUpstream(i)
	}
	l.validateDelivery()
	l.validateRewrite()
	l.validateNotify()
	l.checkDir(key{section: "spool", name: "dir"}, c.Spool.Dir)
	l.checkDir(key{section: "spool", name: "drop"}, c.Spool.Drop)
	l.checkSize(key{section: "spool", name: "max_size"}, c.Spool.MaxSize, 1e6)
	if room := c.Spool.MaxSize; room > 0 && c.Listen.MaxMessageSize > room {
		l.fault(key{section: "spool", name: "max_size"}, fmt.Sprintf("%s is less than one message may have (listen.max_message_size is %s)", room, c.Listen.MaxMessageSize), "make it larger")
	}
	l.checkChoice(key{section: "log", name: "level"}, &c.Log.Level, levels, levelNames)
	l.checkChoice(key{section: "log", name: "format"}, &c.Log.Format, formats, formatNames)
	l.checkChoice(key{section: "log", name: "language"}, &c.Log.Language, languages, languageNames)
	l.checkHTTP(key{section: "control", name: "http"}, c.Control.HTTP)
}

// The choices of a key, and what people write for them who come from elsewhere.
var (
	levels    = choices{"debug", "info", "warn", "error"}
	formats   = choices{"auto", "json", "console"}
	languages = choices{"en", "id"}
	modes     = choices{"through", "queue", "direct"}
	tlsModes  = choices{"auto", "starttls", "implicit"}
	auths     = choices{
		"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS",
		"XOAUTH2", "OAUTHBEARER", "EXTERNAL",
	}

	listenAuths     = choices{"off", "any"}
	listenAuthNames = map[string]string{"none": "off", "no": "off", "false": "off", "on": "any", "yes": "any", "true": "any", "plain": "any", "login": "any", "optional": "any"}

	tlsNames = map[string]string{
		"ssl": "implicit", "smtps": "implicit", "ssl/tls": "implicit", "wrapper": "implicit", "tls-wrapper": "implicit",
		"tls": "starttls", "start_tls": "starttls", "explicit": "starttls",
	}
	authNames     = map[string]string{"scram": "SCRAM-SHA-256", "oauth": "XOAUTH2", "oauth2": "XOAUTH2", "bearer": "OAUTHBEARER", "cert": "EXTERNAL", "certificate": "EXTERNAL", "cram": "CRAM-MD5", "md5": "CRAM-MD5", "cram_md5": "CRAM-MD5"}
	levelNames    = map[string]string{"warning": "warn", "notice": "info", "trace": "debug", "verbose": "debug", "critical": "error", "fatal": "error"}
	formatNames   = map[string]string{"pretty": "console", "text": "console", "human": "console"}
	languageNames = map[string]string{"english": "en", "en_us": "en", "en-us": "en", "indonesian": "id", "indonesia": "id", "bahasa": "id", "id_id": "id", "id-id": "id"}
	modeNames     = map[string]string{"sync": "through", "synchronous": "through", "async": "queue", "spool": "queue"}
)

// choices are the words that a setting may have.
type choices []string

// take tells whether the value is one of the choices, and makes it so if only
// its case differs.
func (c choices) take(value *string) bool {
	i := slices.IndexFunc(c, func(choice string) bool { return strings.EqualFold(*value, choice) })
	if i >= 0 {
		*value = c[i]
	}
	return i >= 0
}

// checkChoice makes the value one of the choices if only its case differs.
func (l *loader) checkChoice(k key, value *string, from choices, otherNames map[string]string) {
	if from.take(value) {
		return
	}
	better := example(k)
	if meant := cmp.Or(otherNames[strings.ToLower(*value)], spelling.Nearest(*value, from)); meant != "" {
		better = meant
	}
	l.fault(k, quote(*value)+" is not "+from.String(), l.write(k, better))
}

// faultIn reports what is wrong with an element of a list. What is better, if
// that is known, is what to write for it.
func (l *loader) faultIn(k key, element, problem, better, otherwise string) {
	if better != "" {
		otherwise = "write " + quote(better)
	}
	l.fault(k, quote(element)+" "+problem, otherwise)
}

func (l *loader) checkSenders(k key, senders []string) {
	for _, sender := range senders {
		if problem, better := senderProblem(sender); problem != "" {
			l.faultIn(k, sender, problem, better, `write an address, "@domain" or "domain"`)
		}
	}
}

func (l *loader) checkNumber(k key, value, least, most int) {
	if value < least || value > most {
		l.fault(k, fmt.Sprintf("%d is out of range", value), fmt.Sprintf("write a number from %d to %d", least, most))
	}
}

// checkSize refuses what is too small to be meant; 0 always has a meaning.
func (l *loader) checkSize(k key, value, least Size) {
	if value != 0 && value < least {
		better := example(k)
		if value < 1000 {
			better = fmt.Sprintf("%dMB", int64(value))
		}
		l.fault(k, fmt.Sprintf("%d bytes is too small to be meant", int64(value)), l.write(k, better)+", or at least "+least.String())
	}
}

func (l *loader) checkDuration(k key, value Duration, least, most time.Duration) {
	switch {
	case value < 0:
		l.fault(k, quote(value.String())+" is negative", l.write(k, example(k)))
	case value < Duration(least) || value > Duration(most):
		l.fault(k, quote(value.String())+" is out of range", fmt.Sprintf("write a duration from %s to %s", Duration(least), Duration(most)))
	}
}

func (l *loader) validateListen() {
	listen := &l.cfg.Listen
	smtp := key{section: "listen", name: "smtp"}
	if len(listen.SMTP) == 0 {
		l.fault(smtp, "is empty, so that no app could hand in mail", l.write(smtp, example(smtp)))
	}
	seen, open := map[string]bool{}, ""
	for _, address := range listen.SMTP {
		problem, better := endpointProblem(address)
		if problem == "" && seen[address] && !strings.HasSuffix(address, ":0") {
			problem = "is in the list twice"
		}
		seen[address] = true
		if problem != "" {
			l.faultIn(smtp, address, problem, better, "keep one of the two")
		} else if open == "" && !listen.Endpoint(address).onlyLoopback() {
			open = address
		}
	}
	allow := key{section: "listen", name: "allow"}
	if len(listen.Allow) == 0 {
		l.fault(allow, "is empty, so that no app could hand in mail", l.write(allow, example(allow)))
		return
	}
	wider := false
	for _, entry := range listen.Allow {
		problem, better := allowProblem(entry)
		if problem != "" {
			l.faultIn(allow, entry, problem, better, `write a network such as "192.0.2.0/24", or "loopback", "private" or "subnet"`)
		} else if prefix, err := netip.ParsePrefix(entry); err == nil && prefix.Bits() == 0 {
			l.warn(allow, l.origins[allow].file, quote(entry)+` lets everybody who reaches this machine send mail in your name; write the networks of your apps, or "private"`)
		}
		wider = wider || !allowsLoopbackOnly(entry)
	}
	if open != "" && !wider && !l.faultyAt(allow) {
		k := smtp
		if l.given(allow) {
			k = allow
		}
		l.fault(k, quote(open)+" listens to the network, but only this machine may send", "write "+
			l.assignmentBeside(k, allow, []string{"loopback", "private"})+" or the networks of your apps, or listen on 127.0.0.1 alone")
	}
	l.validateAccess()
	l.checkSize(key{section: "listen", name: "max_message_size"}, listen.MaxMessageSize, 64e3) // RFC 5321, section 4.5.3.1.7
	l.checkNumber(key{section: "listen", name: "max_recipients"}, listen.MaxRecipients, 1, 100_000)
	l.checkNumber(key{section: "listen", name: "max_connections"}, listen.MaxConnections, 1, 100_000)
	l.checkDuration(key{section: "listen", name: "idle_timeout"}, listen.IdleTimeout, time.Second, day)
}

func (l *loader) validateDelivery() {
	d := &l.cfg.Delivery
	at := func(name string) key { return key{section: "delivery", name: name} }
	l.checkChoice(at("mode"), &d.Mode, modes, modeNames)
	l.checkDuration(at("wait"), d.Wait, 10*time.Millisecond, 10*time.Minute)
	l.checkDuration(at("retry_min"), d.RetryMin, 10*time.Millisecond, day)
	l.checkDuration(at("retry_max"), d.RetryMax, 10*time.Millisecond, 7*day)
	l.checkDuration(at("give_up_after"), d.GiveUpAfter, time.Second, 60*day)
	l.checkDuration(at("keep_failed"), d.KeepFailed, 0, 365*day)
	if d.RetryMin > d.RetryMax && d.RetryMax > 0 {
		if k := at("retry_min"); l.given(k) {
			l.fault(k, fmt.Sprintf("%s is longer than retry_max, which is %s", d.RetryMin, d.RetryMax), l.write(k, d.RetryMax.String())+" or less")
		} else {
			k = at("retry_max")
			l.fault(k, fmt.Sprintf("%s is shorter than retry_min, which is %s", d.RetryMax, d.RetryMin), l.write(k, d.RetryMin.String())+" or more")
		}
	}
}

func (l *loader) validateUpstream(i int) {
	u := &l.cfg.Upstreams[i]
	at := func(name string) key { return upstreamKey(i, name) }
	l.checkProvider(at("provider"), u)
	host, provider := at("host"), at("provider")
	switch {
	case u.Host != "":
		l.checkHost(host, u)
	case u.Provider != "" || l.faultyAt(host) || l.faultyAt(provider) || l.opts.Sandbox:
	case l.given(host):
		l.fault(host, "is empty", l.write(host, example(host)))
	default:
		l.fault(host, "is missing", l.write(host, example(host))+" below [upstream]")
	}
	l.checkNumber(at("port"), u.Port, 0, 65535)
	if !l.plaintext(at("tls"), u.TLS) {
		l.checkChoice(at("tls"), &u.TLS, tlsModes, tlsNames)
	}
	switch {
	case u.Port == 465 && u.TLS == "starttls":
		l.warn(at("tls"), l.origins[at("tls")].file, "port 465 nearly always speaks implicit TLS; leave tls and port out to let Kurir find out")
	case u.Port == 587 && u.TLS == "implicit":
		l.warn(at("tls"), l.origins[at("tls")].file, "port 587 nearly always speaks STARTTLS; leave tls and port out to let Kurir find out")
	}
	if u.Auth != "" {
		l.checkChoice(at("auth"), &u.Auth, auths, authNames)
		if !l.given(at("username")) && u.Auth != "EXTERNAL" && !l.opts.Sandbox {
			l.fault(at("auth"), "is of no use without a user name", l.write(at("username"), example(at("username")))+", or remove auth")
		}
	}
	l.checkDuration(at("fallback_after"), u.FallbackAfter, 10*time.Millisecond, time.Minute)
	l.checkNumber(at("connections"), u.Connections, 0, 1000)
	l.checkNumber(at("messages_per_connection"), u.MessagesPerConnection, 0, 1_000_000)
	l.checkSenders(at("senders"), u.Senders)
	l.checkOAuth2(i)
	l.checkCertificates(i)
	l.checkLogin(i)
}

// faultyAt tells whether something was said about the key already, if only
// that another one was meant to be it.
func (l *loader) faultyAt(k key) bool {
	if l.hinted[k] {
		return true
	}
	at := l.origins[k]
	for _, f := range l.faults {
		if f.Key == k.String() && f.Line == at.line && (f.File == at.file || f.File == at.variable) {
			return true
		}
	}
	return false
}

func (l *loader) checkProvider(k key, u *Upstream) {
	names := choices(l.opts.Providers)
	if u.Provider == "" || len(names) == 0 || names.take(&u.Provider) {
		return
	}
	instead := "remove it, and set host"
	if meant := spelling.Nearest(u.Provider, names); meant != "" {
		instead = l.write(k, meant)
	}
	l.fault(k, quote(u.Provider)+" is not a provider that Kurir knows", instead)
}

// plaintext answers those who want to switch TLS off.
func (l *loader) plaintext(k key, mode string) bool {
	switch strings.ToLower(mode) {
	case "none", "off", "no", "false", "never", "plain", "plaintext", "disabled":
		l.fault(k, "cannot be switched off: Kurir sends neither mail nor a password unencrypted", l.write(k, "auto")+" or remove the line")
		return true
	}
	return false
}
