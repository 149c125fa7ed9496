package config

import (
	"net"
	"slices"
	"strings"
)

// An Endpoint is an entry of Listen.SMTP, taken apart.
type Endpoint struct {
	Network string // "tcp" or "unix"
	Address string // of that network

	// ImplicitTLS: the clients begin with TLS.
	ImplicitTLS bool

	// LegacyLineEnds: the entry is in Listen.LegacyLineEnds.
	LegacyLineEnds bool
}

// What an entry of Listen.SMTP may begin with.
const (
	unixScheme = "unix:"
	tlsScheme  = "tls://"
)

// smtpsPort is where clients expect implicit TLS (RFC 8314, section 7.3).
const smtpsPort = "465"

// Endpoint takes an entry of SMTP apart.
func (l *Listen) Endpoint(entry string) Endpoint {
	legacy := slices.Contains(l.LegacyLineEnds, entry)
	if path, ok := strings.CutPrefix(entry, unixScheme); ok {
		return Endpoint{Network: "unix", Address: path, LegacyLineEnds: legacy}
	}
	address, implicit := strings.CutPrefix(entry, tlsScheme)
	_, port, _ := net.SplitHostPort(address)
	return Endpoint{Network: "tcp", Address: address, ImplicitTLS: implicit || port == smtpsPort, LegacyLineEnds: legacy}
}

// endpointProblem judges an entry of Listen.SMTP.
func endpointProblem(entry string) (problem, better string) {
	if path, ok := strings.CutPrefix(entry, unixScheme); ok {
		switch {
		case !strings.HasPrefix(path, "/"):
			return "is not a full path", unixScheme + "/run/kurir/smtp.sock"
		case len(path) > 100:
			return "is longer than the name of a socket may be", unixScheme + "/run/kurir/smtp.sock"
		}
		return "", ""
	}
	if strings.HasPrefix(entry, "/") {
		return `lacks the "unix:" in front of the path of a socket`, unixScheme + entry
	}
	for _, other := range []string{"smtps://", "ssl://"} {
		if rest, ok := strings.CutPrefix(entry, other); ok {
			return "begins with " + quote(other), tlsScheme + rest
		}
	}
	address, tls := strings.CutPrefix(entry, tlsScheme)
	problem, better = listenProblem(address)
	if tls && better != "" {
		better = tlsScheme + strings.TrimSuffix(better, "25") + smtpsPort
	}
	return problem, better
}

// validateAccess judges what has to do with how clients speak.
func (l *loader) validateAccess() {
	listen := &l.cfg.Listen
	at := func(name string) key { return key{section: "listen", name: name} }
	l.checkChoice(at("auth"), &listen.Auth, listenAuths, listenAuthNames)
	l.checkPair(at("tls_cert"), at("tls_key"), listen.TLSCert, listen.TLSKey)
	for _, entry := range listen.SMTP {
		if listen.Endpoint(entry).ImplicitTLS && listen.TLSCert == "" && listen.TLSKey == "" {
			l.fault(at("tls_cert"), "is missing, for "+quote(entry)+" speaks implicit TLS", l.write(at("tls_cert"), example(at("tls_cert")))+" and tls_key")
			break
		}
	}
	for _, entry := range listen.LegacyLineEnds {
		if !slices.Contains(listen.SMTP, entry) {
			l.fault(at("legacy_line_ends"), quote(entry)+" is not in listen.smtp", "write one of its entries")
		}
	}
}
