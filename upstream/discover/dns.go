package discover

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"sync"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// mostRecords is how many records of an answer are looked at.
const mostRecords = 10

// askMX sees whether a known provider receives the domain's mail.
func (o Options) askMX(ctx context.Context, f *Finding) bool {
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	records, err := o.Resolver.LookupMX(ctx, f.Domain)
	f.trouble(err)
	slices.SortStableFunc(records, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	for _, mx := range records[:min(len(records), mostRecords)] {
		host, ok := hostName(mx.Host)
		if !ok {
			continue // also "." (RFC 7505): it receives no mail, but may send some
		}
		if p, submission := provider.ByMX(host); p != nil {
			f.How, f.Source, f.Provider, f.Host, f.MX = ByMX, host, p, submission, ""
			return true
		}
		f.MX = cmp.Or(f.MX, host)
	}
	return false
}

// services are the SRV records for submission, the better first: with TLS
// from the first byte (RFC 8314, section 5.1), then with STARTTLS (RFC 6186,
// section 3.1).
var services = []struct {
	name string
	tls  explain.TLSMode
	port int // the usual one
}{
	{"submissions", explain.Implicit, 465},
	{"submission", explain.STARTTLS, 587},
}

// askSRV looks for the server that the domain itself names. A host with a
// usual port goes before one with an unusual port.
func (o Options) askSRV(ctx context.Context, f *Finding) bool {
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	answers := make([][]*net.SRV, len(services))
	errs := make([]error, len(services))
	var wg sync.WaitGroup
	for i, service := range services {
		wg.Go(func() {
			_, answers[i], errs[i] = o.Resolver.LookupSRV(ctx, service.name, "tcp", f.Domain)
		})
	}
	wg.Wait()
	for i, service := range services {
		f.trouble(errs[i])
		for _, srv := range answers[i][:min(len(answers[i]), mostRecords)] {
			host, ok := hostName(srv.Target)
			if !ok || srv.Port == 0 {
				continue // also ".": the service is decidedly not offered (RFC 2782)
			}
			usual := int(srv.Port) == service.port
			if f.How == BySRV && !usual {
				continue
			}
			f.How, f.Host, f.Source = BySRV, host, "_"+service.name+"._tcp."+f.Domain
			f.Candidate = provider.Candidate{}
			if usual {
				return true
			}
			f.Candidate = provider.Candidate{Port: int(srv.Port), TLS: service.tls}
		}
	}
	return f.How == BySRV
}

// trouble notes the first error that is not the answer "there is none".
func (f *Finding) trouble(err error) {
	var dns *net.DNSError
	if err == nil || f.Trouble != nil || errors.As(err, &dns) && dns.IsNotFound {
		return
	}
	f.Trouble = err
}
