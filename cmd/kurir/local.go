package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/spool"
	"kurir/upstream/check"
	"kurir/upstream/explain"
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
	What   string `json:"what"` // the key of the configuration, "config" or "clock"
	Result mark   `json:"result"`
	Text   string `json:"text"`
}

// saying makes findings about one thing, in words in which some names always mean
// the same.
func saying(what string, w explain.Words, always ...string) func(result mark, name string, pairs ...string) finding {
	return func(result mark, name string, pairs ...string) finding {
		return finding{what, result, w.Say(name, append(pairs, always...)...)}
	}
}

// lookAround looks at everything that is not the provider's.
func lookAround(ctx context.Context, c *config.Config, reports []*check.Report, w explain.Words) []finding {
	var found []finding
	for _, warning := range c.Warnings {
		if !strings.HasPrefix(warning.Key, "listen.") { // those are looked at below
			found = append(found, finding{"config", doubt, warning.String()})
		}
	}
	var who tenant
	for _, addr := range c.Listen.SMTP {
		f, t := listenOn(ctx, addr, w)
		found, who = append(found, f), max(who, t)
	}
	system := os.DirFS("/")
	if provider, end := relay.PasswordEnds(c); !end.IsZero() {
		found = append(found, finding{"upstream.password", doubt, w.Say("login.ends", "provider", provider, "date", end.Format(time.DateOnly))})
	}
	return append(found, outside(c.Listen, system, w), spoolDir(c, who, system, w), clock(reports, w))
}

// listenOn looks whether Kurir can listen there, or does already.
func listenOn(ctx context.Context, addr string, w explain.Words) (finding, tenant) {
	say := saying("listen.smtp", w, "addr", addr)
	err := relay.TryListen(addr)
	if err == nil {
		return say(fine, "listen.free"), nobody
	}
	result := wrong
	if strings.HasPrefix(addr, "[") {
		result = doubt // without IPv6, Kurir goes on with the other addresses
	}
	failed, _ := errors.AsType[*relay.ListenError](err) // as TryListen promises
	switch {
	case failed.Taken():
		return taken(ctx, failed, w)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return say(doubt, "listen.rights"), nobody // the service may have them
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return say(result, "listen.not_ours"), nobody
	}
	return say(result, "listen.other", "error", failed.Err.Error()), nobody
}

// outside says what the listener looks like from other machines.
func outside(l config.Listen, system fs.FS, w explain.Words) finding {
	e, err := relay.ExposureOf(l)
	if err != nil { // the interfaces cannot be read: the configuration was valid
		return finding{"listen.allow", doubt, err.Error()}
	}
	return whoMayConnect(l, e, system, w)
}

// whoMayConnect says listen.allow in words, and whom it lets in from outside.
func whoMayConnect(l config.Listen, e relay.Exposure, system fs.FS, w explain.Words) finding {
	var who []string
	beyond := false
	for _, entry := range l.Allow {
		p, _ := netip.ParsePrefix(entry)
		ip, _ := netip.ParseAddr(entry)
		local := entry == "loopback" || p.IsValid() && p.Addr().IsLoopback() || ip.IsValid() && ip.Unmap().IsLoopback()
		beyond = beyond || !local
		switch {
		case entry == "loopback", entry == "private", entry == "subnet":
			entry = w.Say("allow." + entry)
		case p.IsValid() && p.Bits() == 0:
			entry = w.Say("allow.world", "net", entry)
		}
		who = append(who, entry)
	}
	text := w.Say("allow.who", "who", strings.Join(who, ", "))
	if len(e.Addresses) > 0 {
		var at []string
		for _, a := range e.Addresses {
			at = append(at, a.String())
		}
		name := "allow.outside"
		if e.Public {
			name = "allow.internet"
		}
		text += "; " + w.Say(name, "addresses", strings.Join(at, ", "))
	}
	say := saying("listen.allow", w, "text", text, "gateway", e.Audience.Gateway.String())
	inside := inContainer(system)
	switch {
	case len(e.Addresses) == 0 && inside:
		return say(fine, "allow.container")
	case len(e.Addresses) == 0:
		return say(fine, "allow.local")
	case e.Audience.World:
		return say(doubt, "allow.open")
	case inside && e.Audience.Gateway.IsValid():
		return say(doubt, "allow.gateway")
	case beyond:
		return say(doubt, "allow.beyond")
	}
	return say(fine, "allow.refused")
}

// inContainer tells whether this is one, by the marks that Docker, Podman and
// Kubernetes leave.
func inContainer(system fs.FS) bool {
	for _, file := range []string{".dockerenv", "run/.containerenv", "var/run/secrets/kubernetes.io"} {
		if _, err := fs.Stat(system, file); err == nil {
			return true
		}
	}
	return false
}

// spoolDir looks whether mail could be kept, for how long, and who could do it.
// who has the addresses tells whose the spool should be.
func spoolDir(c *config.Config, who tenant, system fs.FS, w explain.Words) finding {
	dir, direct := c.Spool.Dir, c.Delivery.Mode == "direct"
	say := saying("spool.dir", w, "dir", dir)
	var locked *spool.LockedError
	used := spool.InUse(dir)
	switch held := errors.As(used, &locked); {
	case held && who == nobody:
		return say(doubt, "spool.elsewhere", "pid", strconv.Itoa(locked.PID))
	case used == nil && who == itself && !direct:
		return say(doubt, "spool.another")
	}
	ephemeral, err := spool.Probe(dir)
	_, noSystemd := fs.Stat(system, "run/systemd/system") // sd_booted(3)
	switch {
	case err == nil && ephemeral != "" && !direct:
		return say(doubt, "spool.ephemeral", "disk", ephemeral)
	case err == nil && os.Geteuid() == 0 && noSystemd == nil:
		return say(fine, "spool.root")
	case err == nil:
		return say(fine, "spool.fine")
	case who != nobody && errors.Is(err, os.ErrPermission):
		return say(fine, "spool.running")
	case direct && (errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS)):
		return say(fine, "spool.direct", "temp", os.TempDir())
	}
	return say(wrong, "spool.wrong", "error", err.Error())
}

// clock compares our time with the dates of the certificates, the only other
// clock that was seen.
func clock(reports []*check.Report, w explain.Words) finding {
	now := time.Now()
	say := saying("clock", w, "time", now.UTC().Format("2006-01-02 15:04"))
	f := say(fine, "clock.time")
	for _, r := range reports {
		if r.ClockSuspect {
			return say(doubt, "clock.suspect", "host", r.Host)
		}
		for _, c := range r.Candidates {
			if c.Certificate != nil && now.After(c.Certificate.NotBefore) && now.Before(c.Certificate.NotAfter) {
				f = say(fine, "clock.fits")
			}
		}
	}
	return f
}
