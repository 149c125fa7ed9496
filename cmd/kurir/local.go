package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/spool"
	"kurir/upstream/check"
)

// A mark says what a finding on this machine means.
type mark string

const (
	fine  mark = "ok"
	doubt mark = "warning"
	wrong mark = "wrong" // no mail would get as far as the provider
)

// A finding is one thing that was looked at on this machine.
type finding struct {
	What   string `json:"what"` // the key of the configuration, or "clock"
	Result mark   `json:"result"`
	Text   string `json:"text"`
}

// lookAround looks at everything that is not the provider's.
func lookAround(c *config.Config, reports []*check.Report) []finding {
	var found []finding
	for _, w := range c.Warnings {
		found = append(found, finding{"config", doubt, w.String()})
	}
	running := false
	for _, addr := range c.Listen.SMTP {
		f, ours := address(addr)
		found, running = append(found, f), running || ours
	}
	return append(found, whoMayConnect(c.Listen), spoolDir(c, running), clock(reports))
}

// address looks whether Kurir can listen there, or does already.
func address(addr string) (f finding, ours bool) {
	f = finding{"listen.smtp", fine, addr + " is free"}
	err := relay.TryListen(addr)
	if err == nil {
		return f, false
	}
	f.Result, f.Text = wrong, strings.TrimPrefix(err.Error(), "listen.smtp: ")
	var taken *relay.ListenError
	errors.As(err, &taken)
	switch {
	case taken.Taken() && strings.HasPrefix(taken.Holder, "kurir "):
		return finding{"listen.smtp", fine, fmt.Sprintf("%s is held by %s: Kurir is running", addr, taken.Holder)}, true
	case taken.Taken() && taken.Holder == "":
		// Who holds it can be hidden, as a service is from other users.
		f.Result, f.Text = doubt, f.Text+". If it is Kurir itself that is running, all is well"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM),
		errors.Is(err, syscall.EAFNOSUPPORT), strings.HasPrefix(addr, "["):
		f.Result = doubt // the service may have rights that we lack, and without IPv6 the others do
	}
	return f, false
}

// whoMayConnect says listen.allow in words.
func whoMayConnect(l config.Listen) finding {
	f := finding{What: "listen.allow", Result: fine}
	reachable := false
	for _, addr := range l.SMTP {
		host, _, _ := net.SplitHostPort(addr)
		ip, err := netip.ParseAddr(host)
		reachable = reachable || (err != nil || !ip.Unmap().IsLoopback()) && host != "localhost"
	}
	var words []string
	beyond := false
	for _, a := range l.Allow {
		word, local := allowed(a)
		words, beyond = append(words, word), beyond || !local
	}
	f.Text = "who may hand in mail: " + strings.Join(words, ", ")
	switch {
	case !reachable:
		f.Text += "; only this machine can reach the addresses"
	case beyond:
		f.Text += "; that is beyond this machine, so nobody else should be in those networks"
	default:
		f.Text += "; other machines reach the port, and are refused"
	}
	return f
}

// allowed says one entry in words, and whether it is for this machine only.
func allowed(entry string) (words string, local bool) {
	switch entry {
	case "loopback":
		return "programs on this machine", true
	case "private":
		return "every private network (10.x, 172.16–31.x, 192.168.x and their like)", false
	case "subnet":
		return "the networks that this machine is in", false
	}
	if ip, err := netip.ParseAddr(entry); err == nil {
		return entry, ip.Unmap().IsLoopback()
	}
	p, err := netip.ParsePrefix(entry)
	if err == nil && p.Bits() == 0 {
		return entry + " (the whole world)", false
	}
	return entry, err == nil && p.Addr().IsLoopback()
}

// spoolDir looks whether mail could be kept, for how long, and who could do it.
func spoolDir(c *config.Config, running bool) finding {
	dir, direct := c.Spool.Dir, c.Delivery.Mode == "direct"
	ephemeral, err := spool.Probe(dir)
	switch {
	case err == nil && ephemeral != "" && !direct:
		return finding{"spool.dir", doubt, fmt.Sprintf("%s is on %s, which does not outlive a restart of the machine or container; put it on a disk or volume, or use delivery.mode = \"direct\"", dir, ephemeral)}
	case err == nil:
		return finding{"spool.dir", fine, dir + " can be written"}
	case running && errors.Is(err, os.ErrPermission):
		return finding{"spool.dir", fine, dir + " belongs to the Kurir that is running"}
	case direct && (errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS)):
		return finding{"spool.dir", fine, fmt.Sprintf("%s cannot be written; delivery.mode = \"direct\" uses %s then", dir, os.TempDir())}
	}
	return finding{"spool.dir", wrong, fmt.Sprintf("%s cannot be written: %v. Set state_dir or spool.dir to a directory that this user may write, or check as the user that Kurir runs as", dir, err)}
}

// clock compares our time with the dates of the certificates, the only other
// clock that was seen.
func clock(reports []*check.Report) finding {
	now := time.Now()
	f := finding{"clock", fine, "it is " + now.UTC().Format("2006-01-02 15:04") + " UTC here"}
	for _, r := range reports {
		if r.ClockSuspect {
			f.Result = doubt
			f.Text += ", when no certificate of " + r.Host + " is valid: the clock may be wrong"
			return f
		}
		for _, c := range r.Candidates {
			if c.Certificate != nil && now.After(c.Certificate.NotBefore) && now.Before(c.Certificate.NotAfter) {
				f.Text = "it is " + now.UTC().Format("2006-01-02 15:04") + " UTC here, which fits the certificates"
			}
		}
	}
	return f
}
