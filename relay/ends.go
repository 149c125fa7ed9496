package relay

import (
	"context"
	"fmt"
	"time"

	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/upstream"
)

// ends are the certificates and tokens in use whose end is known.
func (r *Relay) ends() []control.End {
	c, hosts := r.present()
	ends := certificateEnds(c)
	for _, t := range hosts.tokens {
		if got, end := t.source.Life(); !end.IsZero() {
			ends = append(ends, control.End{What: "upstream.oauth2", Account: t.account, Since: got, Until: end})
		}
	}
	return ends
}

// certificateEnds reads the certificates of a configuration. One that cannot
// be read has kept the relay from starting, or will be told of at a reload.
func certificateEnds(c *config.Config) []control.End {
	var ends []control.End
	add := func(key, cert, certKey string) {
		pairs, _ := certificates(key, cert, certKey)
		for _, pair := range pairs {
			ends = append(ends, control.End{What: key, Since: pair.Leaf.NotBefore, Until: pair.Leaf.NotAfter})
		}
	}
	add("listen.tls_cert", c.Listen.TLSCert, c.Listen.TLSKey)
	for _, u := range c.Upstreams {
		add("upstream.client_cert", u.ClientCert, u.ClientKey)
		add("upstream.oauth2.client_cert", u.OAuth2.ClientCert, u.OAuth2.ClientKey)
	}
	return ends
}

// tellEnds warns, each day until ctx ends, of certificates that end soon.
func (r *Relay) tellEnds(ctx context.Context) {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		c, _ := r.present()
		for _, e := range certificateEnds(c) {
			if left := time.Until(e.Until); left < upstream.RenewalTime {
				r.o.Log.Warning(e.What, fmt.Sprintf("the certificate ends on %s: renew it and reload Kurir", e.Until.UTC().Format("2 January 2006 at 15:04 UTC")))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-day.C:
		}
	}
}
