package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/upstream/explain"
)

// mailServers are those that systems come with: the name of the process that
// listens, what the greeting has, and the service to stop.
var mailServers = []struct{ process, program, unit string }{
	{"master", "Postfix", "postfix"},
	{"exim4", "Exim", "exim4"},
	{"exim", "Exim", "exim"},
	{"sendmail-mta", "Sendmail", "sendmail"},
	{"sendmail", "Sendmail", "sendmail"},
	{"smtpd", "OpenSMTPD", "opensmtpd"},
}

// systemd is how relay.ListenError names the service manager.
const systemd = "systemd (process 1)"

// A tenant is who has an address that Kurir wants.
type tenant int

const (
	nobody   tenant = iota // or a stranger
	itself                 // a Kurir that is running
	systemds               // systemd, for a Kurir that it starts
)

// taken says who has an address, and what to do about it. What the system
// hides, the greeting of an SMTP server may tell.
func taken(ctx context.Context, e *relay.ListenError, w explain.Words) (finding, tenant) {
	_, port, _ := net.SplitHostPort(e.Addr)
	say := saying("listen.smtp", w, "addr", e.Addr, "port", port)
	process, _, _ := strings.Cut(e.Holder, " (")
	greeting := ""
	switch {
	case e.Holder == systemd:
		return say(fine, "listen.systemd"), systemds
	case process == "kurir":
		return say(fine, "listen.kurir", "holder", e.Holder), itself
	case e.Holder == "":
		var kurir bool
		if greeting, kurir = greetingOf(ctx, e.Addr); kurir {
			return say(fine, "listen.answers"), itself
		}
		e.Holder = greeting
	}
	for _, s := range mailServers {
		if process == s.process || strings.Contains(greeting, s.program) {
			return say(wrong, "listen.service", "program", s.program, "unit", s.unit, "holder", e.Holder), nobody
		}
	}
	switch {
	case greeting != "":
		return say(wrong, "listen.server", "greeting", greeting), nobody
	case e.Holder != "":
		return say(wrong, "listen.program", "holder", e.Holder), nobody
	}
	return say(doubt, "listen.unknown"), nobody
}

// What it takes to ask who listens.
const (
	askTime   = 5 * time.Second
	askOctets = 4 << 10

	// kurirHelp begins the answer to HELP of no other server.
	kurirHelp = "214 2.0.0 A relay for the apps of this host"
)

// greetingOf is how an SMTP server on this machine greets, and whether it is
// Kurir; "" if none does.
func greetingOf(ctx context.Context, addr string) (greeting string, kurir bool) {
	e := new(config.Listen).Endpoint(addr)
	if host, port, err := net.SplitHostPort(e.Address); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			e.Address = net.JoinHostPort("localhost", port)
		}
	}
	dialer := net.Dialer{Timeout: askTime}
	conn, err := dialer.DialContext(ctx, e.Network, e.Address)
	if err != nil {
		return "", false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(askTime)) // a connection that cannot have one fails to be read
	r := bufio.NewReader(io.LimitReader(conn, askOctets))
	line := func() string {
		for {
			text, err := r.ReadString('\n')
			if err != nil || len(text) < 4 || text[3] != '-' {
				return strings.TrimSpace(text)
			}
		}
	}
	greeting = line()
	if !strings.HasPrefix(greeting, "220 ") {
		return "", false // no SMTP server, or one that does not want to talk
	}
	fmt.Fprint(conn, "HELP\r\nQUIT\r\n")
	return greeting, strings.HasPrefix(line(), kurirHelp)
}
