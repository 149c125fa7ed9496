package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// Options say which smart host to deliver to, and how.
type Options struct {
	// Provider names a known provider (package provider), whose host is used
	// when Host is empty. "" = found by Host.
	Provider string

	Host string          // as in the provider's manual; its certificate must carry this name
	Port int             // 0 = found by itself
	TLS  explain.TLSMode // "" = found by itself

	// Candidates, if set, are the ways in to use instead of those that follow
	// from Host, Port and TLS.
	Candidates []explain.Candidate

	Username, Password string // both empty: no AUTH, for a provider that knows our address
	Auth               string // one of Mechanisms, "" = the best that is offered

	// Token gives what to sign in with instead of Password.
	Token TokenSource

	Hostname string // our EHLO name; "" = the address literal of the connection

	// FallbackAfter is how long a candidate may take to become ready before
	// the next is tried beside it; 0 = 2 s.
	FallbackAfter time.Duration

	// Connections and MessagesPerConnection bound what we ask of the
	// provider; 0 = 4 and 100, or less where it is known to allow less.
	Connections, MessagesPerConnection int

	RootCAs            *x509.CertPool // nil = the system's
	ClientCertificates []tls.Certificate

	// Facts are what the caller knows of each failure, such as
	// explain.FactKept.
	Facts []explain.Fact

	// StateFile remembers across restarts which candidate worked; "" = nowhere.
	StateFile string

	// Selected is told when a candidate becomes the way in, and what made
	// the ones before it fail. It must not block.
	Selected func(way explain.Candidate, left []*explain.Failure)

	// Transcript, if set, is told every line, without credentials and content.
	Transcript func(Line)

	tls      *tls.Config
	resolver *net.Resolver // nil = the system's
	provider *provider.Provider
	sessions *atomic.Uint64
}

// Defaults where neither the user nor the provider says otherwise.
const (
	defaultFallbackAfter = 2 * time.Second
	defaultConnections   = 4
	defaultMessages      = 100
	defaultIdle          = 30 * time.Second
	defaultRecipients    = 100 // RFC 5321, section 4.5.3.1.8

	// maxRecipients keeps a pipelined envelope and its replies within the
	// buffers of both sides, so that neither waits for the other (RFC 2920,
	// section 3.1).
	maxRecipients = 500
)

// A SmartHost delivers mail to one provider. Its methods may be called from
// any goroutine. Run must run while it is used.
type SmartHost struct {
	o     Options
	route *route
	pool  *pool
	size  atomic.Int64 // what was announced, and
	heard atomic.Int64 // when, in seconds of Unix time
}

// New makes a smart host of its options, asking nothing of the network.
func New(o Options) (*SmartHost, error) {
	if err := o.findProvider(); err != nil {
		return nil, err
	}
	o.Password = cleanPassword(o.Password, o.provider)
	o.FallbackAfter = cmp.Or(o.FallbackAfter, defaultFallbackAfter)
	o.Connections = cmp.Or(o.Connections, within(defaultConnections, o.provider.Connections))
	o.MessagesPerConnection = cmp.Or(o.MessagesPerConnection, within(defaultMessages, o.provider.MessagesPerConnection))
	o.sessions = new(atomic.Uint64)
	o.tls = &tls.Config{
		MinVersion:         tls.VersionTLS12, // RFC 8996
		RootCAs:            o.RootCAs,
		Certificates:       o.ClientCertificates,
		ClientSessionCache: tls.NewLRUClientSessionCache(4 * o.Connections),
	}
	if len(o.Candidates) == 0 {
		o.Candidates = candidates(o.Host, o.Port, o.TLS, o.provider)
	}
	if len(o.Candidates) == 0 {
		return nil, errors.New("the smart host has no candidate with this port and TLS mode")
	}
	for _, c := range o.Candidates {
		if c.TLS != explain.STARTTLS && c.TLS != explain.Implicit {
			return nil, fmt.Errorf("candidate %s has no TLS mode", c.HostPort())
		}
	}
	if !slices.Contains(append(Mechanisms(), ""), strings.ToUpper(o.Auth)) {
		return nil, fmt.Errorf("AUTH mechanism %q is not known: use one of %s", o.Auth, strings.Join(Mechanisms(), ", "))
	}
	h := &SmartHost{o: o}
	h.route = newRoute(&h.o)
	h.pool = newPool(&h.o, h.route)
	h.size.Store(cmp.Or(h.route.remembered().Size, o.provider.Size))
	h.heard.Store(time.Now().Unix())
	return h, nil
}

// findProvider looks up what is known of the provider, by name or by host.
func (o *Options) findProvider() error {
	if o.Provider == "" {
		o.provider = provider.ByHost(o.Host)
	} else if o.provider = provider.ByName(o.Provider); o.provider == nil {
		return fmt.Errorf("provider %q is not known: give upstream.host instead", o.Provider)
	}
	if o.provider == nil {
		o.provider = &provider.Provider{}
	}
	if o.Host == "" && len(o.provider.Hosts) > 0 && !strings.Contains(o.provider.Hosts[0], "*") {
		o.Host = o.provider.Hosts[0]
	}
	if o.Host == "" && len(o.Candidates) == 0 {
		return errors.New("it has no host")
	}
	return nil
}

// Name is how the smart host is called in logs.
func (o *Options) Name() string { return cmp.Or(o.Host, o.Provider) }

// PasswordEnds tells of a provider that is going to switch the login off that
// the options use: what it is called and when. The time is zero if none is.
func (o Options) PasswordEnds() (provider string, end time.Time) {
	if o.findProvider() != nil || o.Username == "" || o.credential() != password {
		return "", time.Time{}
	}
	return o.provider.Title, o.provider.PasswordEnds
}

// within is n, or the limit where one is known and lower.
func within(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

func (o *Options) transcript(c explain.Candidate) *transcript {
	return &transcript{to: o.Transcript, session: o.sessions.Add(1), candidate: c}
}

// Run looks every hour whether the preferred way in works again, and closes
// kept sessions when ctx ends. It returns when all of them are gone.
func (h *SmartHost) Run(ctx context.Context) {
	h.route.run(ctx)
	h.pool.retire()
	h.route.leaving.Wait()
}

// Connections is how many deliveries can be under way at once.
func (h *SmartHost) Connections() int { return h.o.Connections }

// MaxMessageSize is the largest message in octets that the provider has said
// it takes; 0 = not known, or not confirmed for a day. A larger message has to
// be let in then, or nothing would ever ask the provider again.
func (h *SmartHost) MaxMessageSize() int64 {
	if time.Since(time.Unix(h.heard.Load(), 0)) > 24*time.Hour {
		return 0
	}
	return h.size.Load()
}

// Name is how the smart host is called in logs.
func (h *SmartHost) Name() string { return h.o.Name() }

// Deliver hands m to the provider. On nil the provider has taken it for all
// recipients but those in Receipt.Refused. An error is an *explain.Failure for
// the whole message, explain.Refusals when each recipient was refused, or
// trouble on our side: the content could not be read, or BeforeDot declined.
// When ctx ends, the delivery is broken off wherever it is.
func (h *SmartHost) Deliver(ctx context.Context, m *envelope.Message) (*explain.Receipt, error) {
	var (
		total   *explain.Receipt
		refused explain.Refusals
		rest    = m.To
	)
	if len(rest) == 0 {
		return nil, errors.New("the message has no recipients")
	}
	for len(rest) > 0 {
		if ctx.Err() != nil {
			return h.sum(total, refused, rest, context.Cause(ctx))
		}
		s, err := h.session(ctx)
		if err != nil {
			return h.sum(total, refused, rest, err)
		}
		n := min(len(rest), s.recipientsAtOnce())
		receipt, err := s.deliver(ctx, m, rest[:n])
		h.pool.put(s)
		var all explain.Refusals
		switch {
		case errors.Is(err, errStale):
			continue
		case errors.As(err, &all):
			refused = append(refused, all...)
		case err != nil:
			return h.sum(total, refused, rest, err)
		default:
			total = receipt
			refused = append(refused, receipt.Refused...)
		}
		rest = rest[n:]
	}
	return h.sum(total, refused, nil, nil)
}

// leastSize is what every server takes (RFC 5321, section 4.5.3.1.7); less than
// that is not learned, as no message would ever be let in again.
const leastSize = 64_000

// session gives a session that is ready for a transaction.
func (h *SmartHost) session(ctx context.Context) (*session, error) {
	s, err := h.pool.get(ctx)
	if err != nil {
		return nil, err
	}
	if size := s.announcedSize(); size >= leastSize {
		h.heard.Store(time.Now().Unix())
		if h.size.Swap(size) != size {
			h.route.rememberSize(size)
		}
	}
	return s, nil
}

// recipientsAtOnce is how many recipients one transaction may have.
func (s *session) recipientsAtOnce() int {
	return min(cmp.Or(s.recipientLimit(), s.o.provider.Recipients, defaultRecipients), maxRecipients)
}

// sum makes one outcome of the transactions of a message: total is what was
// accepted, refused who was not, and err ended it before rest had their turn.
func (h *SmartHost) sum(total *explain.Receipt, refused explain.Refusals, rest []envelope.Recipient, err error) (*explain.Receipt, error) {
	if total == nil && len(refused) == 0 {
		return nil, err
	}
	var f *explain.Failure
	if err != nil {
		if !errors.As(err, &f) {
			f = explain.Explain(explain.Failure{Cause: explain.Unknown, Err: err})
		}
		for _, r := range rest {
			refused = append(refused, f.For(r.To))
		}
	}
	if total == nil {
		return nil, refused
	}
	total.Refused = refused
	return total, nil
}
