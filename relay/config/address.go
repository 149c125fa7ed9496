package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode"

	"kurir/upstream/spelling"
)

// checkHost judges the name or IP address of a provider's server.
func (l *loader) checkHost(k key, u *Upstream) {
	problem, better, port := hostProblem(u.Host)
	if problem == "" {
		return
	}
	instead := "write the name of your provider's SMTP server: " + l.assignment(k, example(k))
	if better != "" {
		instead = l.write(k, better)
	}
	if portKey := (key{k.section, k.index, "port"}); port > 0 && !l.given(portKey) {
		instead += " and " + l.assignmentBeside(k, portKey, port)
	}
	l.fault(k, problem, instead)
}

// hostProblem says what is wrong with the name of a server, and how to write
// it, as far as that is clear. What it says never holds user:password@.
func hostProblem(host string) (problem, better string, port int) {
	clean := strings.TrimSpace(host)
	if scheme, rest, ok := strings.Cut(clean, "://"); ok {
		better, port := "", 0
		if u, err := url.Parse("x://" + rest); err == nil {
			better = u.Hostname()
			port, _ = strconv.Atoi(u.Port())
		}
		if p, _, _ := hostProblem(better); p != "" {
			better, port = "", 0
		}
		return "begins with " + quote(scheme+"://") + ", which is not part of the name", better, port
	}
	if strings.Contains(clean, "@") {
		return "is an e-mail address, not the name of a server", "", 0
	}
	if ip := strings.Trim(clean, "[]"); ip != clean {
		if _, err := netip.ParseAddr(ip); err == nil {
			return "has brackets, which are not part of the address", ip, 0
		}
	}
	if _, err := netip.ParseAddr(clean); err == nil && clean == host {
		return "", "", 0
	}
	if name, number, err := net.SplitHostPort(clean); err == nil {
		port, err := strconv.Atoi(number)
		if err != nil || port < 1 || port > 65535 {
			port = 0
		}
		if p, _, _ := hostProblem(name); p == "" {
			return quote(clean) + " has a port in it", name, port
		}
		return quote(clean) + " is not the name of a server", "", 0
	}
	if name, _, ok := strings.Cut(clean, "/"); ok {
		if p, _, _ := hostProblem(name); p != "" {
			name = ""
		}
		return quote(clean) + " has a / in it", name, 0
	}
	if problem := nameProblem(clean); problem != "" {
		return quote(host) + " " + problem, "", 0
	}
	if clean != host {
		return "has a blank at one end", clean, 0
	}
	return "", "", 0
}

// nameProblem judges a host name (RFC 1123, section 2.1), except that it lets
// underscores pass, which names inside of container networks have.
func nameProblem(name string) string {
	for _, r := range name {
		switch {
		case unicode.IsSpace(r):
			return "has a blank in it"
		case r > unicode.MaxASCII:
			return `has letters that need the form that begins with "xn--"`
		case r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z'):
			return "has the character " + strconv.QuoteRune(r) + ", which no host name has"
		}
	}
	name = strings.TrimSuffix(name, ".")
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "is not a host name"
		}
	}
	if len(name) > 253 || strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "is neither a host name nor an IP address"
	}
	return ""
}

// checkHostname judges our own name: what EHLO may say (RFC 5321, section
// 4.1.1.1).
func (l *loader) checkHostname(k key, name string) {
	if name == "" {
		return
	}
	if inside, ok := strings.CutPrefix(name, "["); ok && strings.HasSuffix(inside, "]") {
		inside = strings.TrimPrefix(strings.TrimSuffix(inside, "]"), "IPv6:")
		if _, err := netip.ParseAddr(inside); err == nil {
			return
		}
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		literal := "[" + name + "]"
		if ip.Is6() {
			literal = "[IPv6:" + name + "]"
		}
		l.fault(k, quote(name)+" is an IP address without brackets", l.write(k, literal)+" or a name")
		return
	}
	problem, better, _ := hostProblem(name)
	if problem == "" && strings.Contains(name, "_") {
		problem = quote(name) + " has a _ in it, which mail servers refuse"
	}
	switch {
	case better != "":
		l.fault(k, problem, l.write(k, better))
	case problem != "":
		l.fault(k, problem, "write a name of this machine: "+l.assignment(k, example(k)))
	case !strings.Contains(name, "."):
		l.warn(k, l.origins[k].file, quote(name)+" has no dot; some providers refuse such a name, a full one is like \"relay.example.com\"")
	}
}

// wholeAddress is the address that a port alone means, or an address with a
// space before its port; "" if text is neither.
func wholeAddress(text string) string {
	host, port, spaced := strings.Cut(text, " ")
	if port = strings.TrimLeft(port, " :"); !spaced {
		host, port = "127.0.0.1", text
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if n, e := strconv.ParseUint(port, 10, 16); err == nil && e == nil {
		return netip.AddrPortFrom(ip, uint16(n)).String()
	}
	return ""
}

// listenProblem judges one address to listen on.
func listenProblem(address string) (problem, better string) {
	if rest, found := strings.CutPrefix(address, "smtp://"); found {
		if p, b := listenProblem(rest); p == "" || b != "" {
			return `begins with "smtp://"`, cmp.Or(b, rest)
		}
	}
	if whole := wholeAddress(address); whole != "" {
		if strings.Contains(address, " ") {
			return "has a space before the port", whole
		}
		return "is a port without an address", whole
	}
	if i := strings.LastIndexByte(address, ':'); i > 0 && strings.Contains(address, "::") {
		if ip, err := netip.ParseAddr(address[:i]); err == nil {
			return "has no brackets around the address", net.JoinHostPort(ip.String(), address[i+1:])
		}
	}
	if ip, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil {
		return "has no port", net.JoinHostPort(ip.String(), "25")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		if strings.EqualFold(address, "localhost") {
			return "has no port", "localhost:25"
		}
		return "is not an address and a port", "127.0.0.1:25"
	}
	if number, err := strconv.Atoi(port); err != nil || number < 0 || number > 65535 {
		return "has a port that is not a number from 0 to 65535", net.JoinHostPort(host, "25")
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" || strings.EqualFold(host, "localhost") {
		return "", ""
	}
	if host == "*" {
		return "has a * for all addresses", ":" + port
	}
	return "has a name where the IP address of this machine must be", net.JoinHostPort("127.0.0.1", port)
}

// onlyLoopback tells whether only this machine can reach it.
func (e Endpoint) onlyLoopback() bool {
	if e.Network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(e.Address)
	return isLocal(host)
}

// allowProblem judges one entry of the list of those who may connect.
func allowProblem(entry string) (problem, better string) {
	switch strings.ToLower(entry) {
	case "loopback", "private", "subnet":
		if lower := strings.ToLower(entry); lower != entry {
			return "is written in small letters", lower
		}
		return "", ""
	case "localhost", "local":
		return "is not known", "loopback"
	case "lan", "internal":
		return "is not known", "private"
	case "*", "all", "any", "everyone", "everybody":
		return "would let the whole world send mail in your name", "private"
	}
	if _, err := netip.ParseAddr(entry); err == nil {
		return "", ""
	}
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		bare := strings.NewReplacer("[", "", "]", "").Replace(entry) // as Postfix writes IPv6
		if _, err := netip.ParsePrefix(bare); err == nil && bare != entry {
			_, better = allowProblem(bare)
			return "has brackets", cmp.Or(better, bare)
		}
		if meant := spelling.Nearest(entry, []string{"loopback", "private", "subnet"}); meant != "" {
			return "is not known", meant
		}
		return "is not a network", ""
	}
	if v4 := prefix.Addr().Unmap(); v4 != prefix.Addr() && prefix.Bits() >= 96 {
		return "is IPv4 in the form of IPv6", netip.PrefixFrom(v4, prefix.Bits()-96).Masked().String()
	}
	if prefix.Masked() != prefix {
		return "is one machine and a network at once", prefix.Masked().String()
	}
	return "", ""
}

// allowsLoopbackOnly tells whether an entry lets nobody in from elsewhere. An
// entry that is not valid is taken for one that does.
func allowsLoopbackOnly(entry string) bool {
	if entry == "loopback" {
		return true
	}
	if ip, err := netip.ParseAddr(entry); err == nil {
		return ip.Unmap().IsLoopback()
	}
	prefix, err := netip.ParsePrefix(entry)
	return err == nil && prefix.Addr().IsLoopback() && prefix.Bits() >= 8
}

// senderProblem judges one entry of senders: local@domain, @domain or domain.
func senderProblem(sender string) (problem, better string) {
	if clean := strings.Trim(strings.TrimSpace(sender), "<>"); clean != sender {
		if p, _ := senderProblem(clean); p == "" {
			return "has blanks or brackets around it", clean
		}
	}
	if domain, ok := strings.CutPrefix(sender, "*"); ok {
		if p, _ := senderProblem(domain); p == "" {
			return "has a *", domain
		}
	}
	at := strings.LastIndexByte(sender, '@')
	local, domain := sender[:max(at, 0)], sender[at+1:]
	if strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r == 0x7f }) || len(local) > 64 {
		return "is not an address", ""
	}
	if nameProblem(domain) != "" {
		return "has no valid domain", ""
	}
	return "", ""
}

// checkDir refuses a directory that is something else. That it can be made
// and written is seen when it is used.
func (l *loader) checkDir(k key, dir string) {
	if info, err := os.Stat(dir); dir != "" && err == nil && !info.IsDir() {
		l.fault(k, quote(dir)+" is a file", "write the path of a directory")
	}
}
