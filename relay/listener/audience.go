package listener

import (
	"net/netip"
	"slices"
)

// An Audience is who an allow-list lets in, beyond this host.
type Audience struct {
	World   bool       // large parts of the Internet
	Gateway netip.Addr // the default gateway, if it may come: the zero Addr if not
}

// widest are the shortest prefixes that one organisation may have of IPv4 and
// IPv6.
const (
	widest4 = 8
	widest6 = 16
)

// AudienceOf looks at Settings.Allow on this host as it is now. The gateway
// matters in a container: what a userland proxy passes on from outside comes
// from there.
func AudienceOf(words []string) (Audience, error) {
	list, err := parseAllow(words)
	if err != nil {
		return Audience{}, err
	}
	var a Audience
	for _, p := range list.nets {
		wide := widest4
		if p.Addr().Is6() {
			wide = widest6
		}
		if p.Bits() < wide && !slices.Contains(privateNets, p) {
			a.World = true
		}
	}
	for gateway := range defaultGateways() {
		if list.allows(gateway) {
			a.Gateway = gateway
		}
	}
	return a, nil
}
