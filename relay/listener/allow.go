package listener

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// The words of Options.Allow.
const (
	allowLoopback = "loopback"
	allowPrivate  = "private"
	allowSubnet   = "subnet"
)

// privateNets is what the word "private" stands for.
var privateNets = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
}

// An allowList says who may connect.
type allowList struct {
	words    []string // as configured, for the refusal
	loopback bool
	nets     []netip.Prefix
	subnet   *subnet // nil unless configured
}

func parseAllow(words []string) (*allowList, error) {
	a := &allowList{words: words}
	for _, w := range words {
		switch w {
		case allowLoopback:
			a.loopback = true
		case allowPrivate:
			a.nets = append(a.nets, privateNets...)
		case allowSubnet:
			a.subnet = &subnet{}
		default:
			p, err := parsePrefix(w)
			if err != nil {
				return nil, fmt.Errorf("allow: %q is no address, no network such as 10.0.0.0/8, and none of %q, %q, %q",
					w, allowLoopback, allowPrivate, allowSubnet)
			}
			a.nets = append(a.nets, p)
		}
	}
	return a, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err == nil && p.Addr().Is4In6() {
			err = fmt.Errorf("network %q: write it in IPv4", s)
		}
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// allows tells whether a client of address a may connect; a must be unmapped
// and without zone.
func (l *allowList) allows(a netip.Addr) bool {
	if l.loopback && a.IsLoopback() {
		return true
	}
	return within(l.nets, a) || l.subnet != nil && l.subnet.contains(a)
}

// advice is the line of the configuration that would let a in.
func (l *allowList) advice(a netip.Addr) string {
	missing := a.String()
	if a.IsLoopback() {
		missing = allowLoopback
	}
	return `listen.allow = ["` + strings.Join(append(slices.Clone(l.words), missing), `", "`) + `"]`
}

// A subnet is the networks that this host's interfaces are in. They may come
// up later than we do, so they are read again when somebody knocks in vain.
type subnet struct {
	mu       sync.Mutex
	read     time.Time
	nets     []netip.Prefix
	gateways map[netip.Addr]bool
}

const rereadInterfaces = 10 * time.Second

func (s *subnet) contains(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !within(s.nets, a) && (s.read.IsZero() || now.Sub(s.read) >= rereadInterfaces) {
		s.read = now
		s.nets, s.gateways = interfaceNets(), defaultGateways()
	}
	return within(s.nets, a) && !s.gateways[a]
}

// isGateway tells whether a was kept out because it is the default gateway.
func (s *subnet) isGateway(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gateways[a]
}

func within(nets []netip.Prefix, a netip.Addr) bool {
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// interfaceNets is the networks of all interfaces but loopback; what cannot
// be read lets nobody in.
func interfaceNets() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var nets []netip.Prefix
	for _, addr := range addrs {
		if n, ok := addr.(*net.IPNet); ok {
			a, _ := netip.AddrFromSlice(n.IP)
			bits, _ := n.Mask.Size()
			if p := netip.PrefixFrom(a.Unmap(), bits); p.IsValid() && !a.IsLoopback() {
				nets = append(nets, p.Masked())
			}
		}
	}
	return nets
}

// defaultGateways reads the kernel's routing tables; where there are none (no
// Linux), no gateway is known.
func defaultGateways() map[netip.Addr]bool {
	found := make(map[netip.Addr]bool)
	if f, err := os.Open("/proc/self/net/route"); err == nil {
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// Iface Destination Gateway Flags …, numbers in hex as the CPU lays them out
			w := strings.Fields(lines.Text())
			if len(w) < 8 || w[1] != "00000000" || w[7] != "00000000" {
				continue
			}
			if b, err := hex.DecodeString(w[2]); err == nil && len(b) == 4 {
				var ip [4]byte
				binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(b))
				found[netip.AddrFrom4(ip)] = true
			}
		}
		f.Close()
	}
	if f, err := os.Open("/proc/self/net/ipv6_route"); err == nil {
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// destination length source length next-hop …
			w := strings.Fields(lines.Text())
			if len(w) < 5 || w[1] != "00" {
				continue
			}
			if b, err := hex.DecodeString(w[4]); err == nil && len(b) == 16 {
				found[netip.AddrFrom16([16]byte(b))] = true
			}
		}
		f.Close()
	}
	return found
}
