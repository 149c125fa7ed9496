package listener

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the words of the configuration stand for decides who can send mail in
// our name (P8).
func TestAllows(t *testing.T) {
	for _, c := range []struct {
		words   []string
		in, out []string
	}{
		{nil, nil, []string{"127.0.0.1", "::1", "10.0.0.1"}},
		{[]string{"loopback"}, []string{"127.0.0.1", "127.9.9.9", "::1"}, []string{"10.0.0.1", "fe80::1", "128.0.0.1"}},
		{[]string{"private"}, []string{"10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.1.1", "fd00::1", "fe80::1"},
			[]string{"127.0.0.1", "172.32.0.1", "100.64.0.1", "8.8.8.8", "2001:db8::1", "::1"}},
		{[]string{"192.0.2.7", "2001:db8::/32"}, []string{"192.0.2.7", "2001:db8:1::1"}, []string{"192.0.2.8", "2001:db9::1"}},
		{[]string{"10.0.0.9/8"}, []string{"10.200.0.1"}, []string{"11.0.0.1"}},
		{[]string{"::ffff:192.0.2.7", "fe80::1%eth0"}, []string{"192.0.2.7", "fe80::1"}, nil},
	} {
		l, err := parseAllow(c.words)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range c.in {
			if !l.allows(netip.MustParseAddr(a)) {
				t.Errorf("%q does not let %s in", c.words, a)
			}
		}
		for _, a := range c.out {
			if l.allows(netip.MustParseAddr(a)) {
				t.Errorf("%q lets %s in", c.words, a)
			}
		}
	}
}

// Behind a userland proxy the whole world comes from the gateway's address,
// so it is no part of "subnet"; who means it can list it.
func TestSubnetWithoutGateway(t *testing.T) {
	gateway, peer := netip.MustParseAddr("172.17.0.1"), netip.MustParseAddr("172.17.0.3")
	l, err := parseAllow([]string{allowSubnet})
	if err != nil {
		t.Fatal(err)
	}
	l.subnet.read = time.Now()
	l.subnet.nets = []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}
	l.subnet.gateways = map[netip.Addr]bool{gateway: true}
	if !l.allows(peer) || l.allows(gateway) || l.allows(netip.MustParseAddr("172.18.0.3")) {
		t.Error("the wrong ones are let in")
	}
	g := newGate()
	g.configure(l, 1)
	r := g.stranger(gateway)
	if x := r.failure.Explanation(); !strings.Contains(x.Meaning, `the default gateway, which "subnet" in listen.allow leaves out`) {
		t.Errorf("%q", x)
	}
	if l.nets = []netip.Prefix{netip.PrefixFrom(gateway, 32)}; !l.allows(gateway) {
		t.Error("listed, and still not let in")
	}
}

// This host's own interfaces are read without trouble, loopback left out.
func TestInterfaceNets(t *testing.T) {
	if slices.ContainsFunc(interfaceNets(), func(p netip.Prefix) bool { return p.Addr().IsLoopback() }) {
		t.Error("loopback is no subnet")
	}
	for g := range defaultGateways() {
		if g.IsLoopback() {
			t.Errorf("gateway %v", g)
		}
	}
}
