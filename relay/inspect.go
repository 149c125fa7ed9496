package relay

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"kurir/relay/config"
	"kurir/relay/listener"
	"kurir/upstream"
	"kurir/upstream/explain"
)

// UpstreamOptions are the smart hosts of a configuration as a relay of it
// would use them, for those who want to look at them without one. What was
// learned is neither used nor kept. Errors are those of reading certificates.
func UpstreamOptions(c *config.Config) ([]upstream.Options, error) { return allUpstreamOptions(c, nil) }

// PasswordEnds tells of the first smart host of a configuration whose provider
// is going to switch the login off that it uses: what the provider is called
// and when. The time is zero if there is none.
func PasswordEnds(c *config.Config) (provider string, end time.Time) {
	all, err := UpstreamOptions(c)
	if err != nil { // whoever uses them will hear of it
		return "", time.Time{}
	}
	for _, o := range all {
		if provider, end = o.PasswordEnds(); !end.IsZero() {
			return provider, end
		}
	}
	return "", time.Time{}
}

// TryListen opens an address of Config.Listen.SMTP and closes it again. Its
// error is a *ListenError.
func TryListen(addr string) error {
	ports, err := listen(config.Listen{SMTP: []string{addr}}, nil)
	for _, p := range ports {
		_ = p.Close()
	}
	return err
}

// An Exposure is what the listener looks like from outside of this host.
type Exposure struct {
	Addresses []netip.Addr // of this host, where clients from elsewhere reach it
	Public    bool         // one of them is on the Internet
	Audience  listener.Audience
}

// ExposureOf looks at a listener's configuration on this host as it is now.
func ExposureOf(c config.Listen) (Exposure, error) {
	var e Exposure
	var err error
	if e.Audience, err = listener.AudienceOf(c.Allow); err != nil {
		return e, err
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return e, err
	}
	for _, entry := range c.SMTP {
		endpoint := c.Endpoint(entry)
		if endpoint.Network != "tcp" {
			continue
		}
		host, _, _ := net.SplitHostPort(endpoint.Address)
		addr, _ := netip.ParseAddr(host) // a name can only be localhost
		switch {
		case host == "" || addr.IsUnspecified():
			for _, a := range own {
				if p, err := netip.ParsePrefix(a.String()); err == nil {
					e.add(p.Addr())
				}
			}
		case addr.IsValid():
			e.add(addr)
		}
	}
	return e, nil
}

func (e *Exposure) add(a netip.Addr) {
	a = a.Unmap()
	if a.IsLoopback() || a.IsLinkLocalUnicast() || slices.Contains(e.Addresses, a) {
		return
	}
	e.Addresses = append(e.Addresses, a)
	e.Public = e.Public || a.IsGlobalUnicast() && !a.IsPrivate()
}

// State tells in one line how the relay is doing. It does not return while the
// relay hangs.
func (r *Relay) State() string {
	waiting, _ := r.spool.Usage()
	text := "mail flows"
	for _, route := range r.queue.Routes() {
		if route.Trouble != nil {
			x := route.Trouble.ExplanationIn(explain.Language(r.o.Config.Log.Language))
			text = fmt.Sprintf("%s is %s: %s", route.Name, route.Condition, x.Title)
			break
		}
	}
	return fmt.Sprintf("%s; %d waiting", explain.Printable(text), waiting)
}
