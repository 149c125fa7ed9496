package config

import (
	"cmp"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Notify says who is told when mail fails.
type Notify struct {
	// Bounce is who gets the notification of a message that was not delivered
	// (RFC 3464): "sender" is its reverse-path, "none" nobody, and an address
	// that one instead of the sender.
	Bounce string `toml:"bounce"`

	// Webhook is a URL that notices are posted to. It is a secret, since who
	// knows it may post to it. "" means none.
	Webhook Secret `toml:"webhook"`

	// Command gets notices on its standard input; /bin/sh -c runs it. ""
	// means none.
	Command string `toml:"command"`

	// Every is the shortest time between two notices. What happens in between
	// is gathered into the next.
	Every Duration `toml:"every"`
}

func defaultNotify() Notify {
	return Notify{Bounce: "sender", Every: Duration(15 * time.Minute)}
}

// receivers are who may get the notification of a message, beside an address.
var (
	receivers     = choices{"sender", "none"}
	receiverNames = map[string]string{"from": "sender", "reverse-path": "sender", "yes": "sender", "off": "none", "no": "none", "nobody": "none", "never": "none", "": "none"}
)

func (l *loader) validateNotify() {
	n := &l.cfg.Notify
	at := func(name string) key { return key{section: "notify", name: name} }
	if bounce := at("bounce"); strings.Contains(n.Bounce, "@") {
		if problem, better := receiverProblem(n.Bounce); problem != "" {
			l.fault(bounce, quote(n.Bounce)+" "+problem, l.write(bounce, cmp.Or(better, "postmaster@example.com")))
		}
	} else if !receivers.take(&n.Bounce) {
		meant := cmp.Or(receiverNames[strings.ToLower(n.Bounce)], "sender")
		l.fault(bounce, quote(n.Bounce)+` is neither "sender" nor "none" nor an address`, l.write(bounce, meant))
	}
	webhook := at("webhook")
	problem, risk := webhookProblem(n.Webhook)
	if problem != "" {
		l.fault(webhook, problem, l.write(webhook, example(webhook)))
	}
	if risk != "" {
		l.warn(webhook, l.origins[webhook].file, risk)
	}
	if strings.ContainsRune(n.Command, 0) {
		l.fault(at("command"), "has a zero byte in it", l.write(at("command"), example(at("command"))))
	}
	l.checkDuration(at("every"), n.Every, time.Second, day)
}

// receiverProblem judges the address that notifications go to.
func receiverProblem(address string) (problem, better string) {
	if problem, better = senderProblem(address); problem != "" {
		return problem, better
	}
	if strings.HasPrefix(address, "@") {
		return "has no name before the @", ""
	}
	return "", ""
}

// webhookProblem says what is wrong with the URL of a webhook, or risky in it,
// without showing any of it: most of them have a secret in the path.
func webhookProblem(webhook Secret) (problem, risk string) {
	if webhook == "" {
		return "", ""
	}
	text := webhook.Reveal()
	u, err := url.Parse(text)
	switch {
	case strings.TrimSpace(text) != text || strings.ContainsFunc(text, isControl):
		return "has blanks around it or control characters in it", ""
	case err != nil:
		return "is not a URL", ""
	case u.Scheme != "https" && u.Scheme != "http":
		return `is not a URL that begins with "https://"`, ""
	case u.Hostname() == "":
		return "has no host in it", ""
	case u.Scheme == "http" && !isLocal(u.Hostname()):
		return "", "notices, with addresses of mail in them, go over the network unencrypted; use https if the other side can"
	}
	return "", ""
}

// isLocal tells whether a host is this machine.
func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
