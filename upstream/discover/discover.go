// Package discover finds the submission server that belongs to an email
// address or to a provider's name, so that nobody has to know about hosts and
// ports.
//
// It asks what is nearest first: the table of known providers, which needs no
// network; then what the domain says in DNS, with its MX (a known provider's)
// and SRV records (RFC 6186; RFC 8314, section 5.1); then the autoconfig file
// that hosting companies publish for mail programs, over verified TLS only.
// When nothing answers it guesses mail.DOMAIN, as cPanel names it, and says
// that this is a guess.
//
// Answers come from strangers. They are bounded in size and time, and a
// Finding has only host names that are host names, ports that are ports, and
// ways in that are encrypted. DNS answers are not authenticated, so a Finding
// tells when one leads out of the domain (RFC 6186, section 6).
//
// Read Finding first, then FromAddress; dns.go and autoconfig.go ask, names.go
// judges names.
package discover

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"kurir/upstream/provider"
)

// How says what a Finding rests on.
type How string

// The ways to find a server.
const (
	ByName       How = "name"       // the provider was named
	ByDomain     How = "domain"     // the domain is a known provider's
	ByMX         How = "mx"         // its mail is received by a known provider
	BySRV        How = "srv"        // its SRV records name the server
	ByAutoconfig How = "autoconfig" // its autoconfig file does
	ByGuess      How = "guess"      // nothing does
)

// A Finding is where to hand in mail, and how it was found.
type Finding struct {
	How    How
	Domain string // of the address, in lower case; "" if there was none
	Source string // what said so: a host, the name of an SRV record, a URL; "" if nothing did

	// Provider is what is known of the service, nil if it is not known.
	Provider *provider.Provider

	// Host is the submission server; "" if it is one of many, or carries a
	// name that only the customer knows.
	Host string

	// Candidate is the way in where it is an unusual one, which Kurir would
	// not find by itself. Port 0 means a usual one.
	Candidate provider.Candidate

	// Username is what to sign in with; "" if only the customer knows it.
	Username string

	// Foreign is set if DNS or the domain's website leads to Host, and Host is
	// neither in Domain nor a known provider's.
	Foreign bool

	// MX is the host that receives the domain's mail, if DNS was asked and it
	// is a stranger. On small hosting it often takes submissions as well.
	MX string

	// Similar is the domain of a known provider which Domain resembles enough
	// to be a mistyped form of it; "" if there is none. Somebody may have set
	// up a server for those who mistype it.
	Similar string

	// Trouble is what kept DNS from answering, nil if it did. It leaves the
	// Finding usable, but it may be worse than it could be.
	Trouble error
}

// A Resolver asks DNS; *net.Resolver is one. Records that do not exist are a
// *net.DNSError with IsNotFound.
type Resolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Options say whom FromAddress asks. The zero value asks the network.
type Options struct {
	Resolver  Resolver          // nil means net.DefaultResolver
	Transport http.RoundTripper // for autoconfig; nil means http.DefaultTransport
}

// step bounds each of the three questions to the network.
const step = 5 * time.Second

// FromProvider finds the server of a provider by its name or alias. The
// address may be ""; it becomes the user name where the provider wants that.
// The error is an *UnknownProviderError or an *AddressError.
func FromProvider(name, address string) (Finding, error) {
	f := Finding{How: ByName}
	if address != "" {
		domain, err := domainOf(address)
		if err != nil {
			return Finding{}, err
		}
		f.Domain = domain
	}
	p := provider.ByName(name)
	if p == nil {
		return Finding{}, &UnknownProviderError{Name: name, Nearest: nearestProviders(name)}
	}
	f.Provider = p
	switch {
	case len(p.Hosts) > 0:
		f.Host = p.Hosts[0]
		if q, host := provider.ByDomain(f.Domain); q == p {
			f.Host = host
		}
	case f.Domain != "":
		f.Host = "mail." + f.Domain
	}
	if strings.Contains(f.Host, "*") {
		f.Host = "" // by region: the customer knows which
	}
	f.Username = login(p, address)
	return f, nil
}

// FromAddress finds the server for an email address. It fails only with an
// *AddressError, or when ctx ends: what the network does not say is guessed.
// It takes 15 seconds at most.
func FromAddress(ctx context.Context, address string, o Options) (Finding, error) {
	domain, err := domainOf(address)
	if err != nil {
		return Finding{}, err
	}
	if p, host := provider.ByDomain(domain); p != nil {
		return Finding{How: ByDomain, Domain: domain, Provider: p, Host: host, Username: login(p, address)}, nil
	}
	f := Finding{Domain: domain, Username: address}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	found := o.askMX(ctx, &f) || o.askSRV(ctx, &f) || o.askAutoconfig(ctx, &f, address)
	if err := ctx.Err(); err != nil {
		return Finding{}, fmt.Errorf("look up %s: %w", domain, err)
	}
	if !found {
		f.How, f.Host = ByGuess, "mail."+domain
	}
	if f.Provider == nil {
		f.Provider = provider.ByHost(f.Host)
	}
	if f.Provider != nil {
		f.Candidate = provider.Candidate{} // its ways in are known
		if name := login(f.Provider, address); f.How != ByAutoconfig || name != address && name != "" {
			f.Username = name // the same for all customers, whatever autoconfig says
		}
	}
	if f.Provider == nil {
		f.Similar = similarDomain(domain)
	}
	f.Foreign = f.How != ByGuess && f.Provider == nil && f.Host != domain && !strings.HasSuffix(f.Host, "."+domain)
	return f, nil
}

// login is the user name that a provider wants from who has the address.
func login(p *provider.Provider, address string) string {
	if p.Login == "@" {
		return address
	}
	return p.Login
}
