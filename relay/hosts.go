package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"kurir/relay/config"
	"kurir/relay/queue"
	"kurir/upstream"
	"kurir/upstream/explain"
	"kurir/upstream/token"
)

// smartHosts are those of one configuration.
type smartHosts struct {
	all    []*upstream.SmartHost
	routes []queue.Route
	tokens []account
	cancel context.CancelFunc // ends them
}

// An account signs in with tokens.
type account struct {
	account string
	source  *token.Source
}

// smartHosts makes a smart host of each upstream.
func (r *Relay) smartHosts(c *config.Config) (*smartHosts, error) {
	all, configured := []upstream.Options{}, c.Upstreams
	if r.o.Sandbox != nil {
		all, configured = append(all, *r.o.Sandbox), make([]config.Upstream, 1) // which has no limits
		all[0].Hostname = helloName(c.Hostname)
	} else {
		var err error
		if all, err = allUpstreamOptions(c, r.o.Log); err != nil {
			return nil, err
		}
	}
	hosts := &smartHosts{}
	for i, o := range all {
		o.StateFile = r.stateFile(fmt.Sprintf("route-%d.json", i))
		name := o.Name()
		o.Selected = func(way explain.Candidate, left []*explain.Failure) {
			r.ways.Note(name, way, left)
			r.o.Log.Selected(name, way, left)
		}
		if c.Delivery.Mode != string(queue.Direct) {
			o.Facts = []explain.Fact{{Name: explain.FactKept, Value: c.Delivery.GiveUpAfter.String()}}
		}
		if c.Log.Level == "debug" {
			o.Transcript = func(l upstream.Line) { r.o.Log.Transcript(l.Session, l.Message, l.Candidate, l.Sent, l.Text) }
		}
		if source, ok := o.Token.(*token.Source); ok {
			hosts.tokens = append(hosts.tokens, account{o.Username, source})
		}
		host, err := upstream.New(o)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", name, err)
		}
		hosts.all = append(hosts.all, host)
		hosts.routes = append(hosts.routes, queue.Route{
			Name: name, Deliverer: host, Slots: host.Connections(), Senders: configured[i].Senders,
			Messages: configured[i].Rate.Messages, Per: configured[i].Rate.Per,
		})
	}
	return hosts, nil
}

// stateFile is the path of a file that only saves time, so that a directory
// that cannot be made costs no more than that.
func (r *Relay) stateFile(name string) string {
	dir := r.o.Config.StateDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.o.Log.Warning("state_dir", fmt.Sprintf("what was learned is not kept over a restart: %v", err))
		return ""
	}
	return filepath.Join(dir, name)
}

// allUpstreamOptions are those of all upstreams; log may be nil.
func allUpstreamOptions(c *config.Config, log token.Log) ([]upstream.Options, error) {
	var all []upstream.Options
	for _, u := range c.Upstreams {
		o, err := upstreamOptions(u, c.StateDir, log)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", o.Name(), err)
		}
		o.Hostname = helloName(c.Hostname)
		all = append(all, o)
	}
	return all, nil
}

// upstreamOptions are those of one upstream. Its tokens are kept in stateDir;
// log may be nil.
func upstreamOptions(u config.Upstream, stateDir string, log token.Log) (upstream.Options, error) {
	o := upstream.Options{
		Provider: u.Provider, Host: u.Host, Port: u.Port,
		Username: u.Username, Password: u.Password.Reveal(), Auth: u.Auth,
		FallbackAfter: time.Duration(u.FallbackAfter),
		Connections:   u.Connections, MessagesPerConnection: u.MessagesPerConnection,
	}
	if u.TLS != "auto" {
		o.TLS = explain.TLSMode(u.TLS)
	}
	if u.CAFile != "" {
		pem, err := os.ReadFile(u.CAFile)
		if err != nil {
			return o, fmt.Errorf("read upstream.ca_file: %w", err)
		}
		o.RootCAs = x509.NewCertPool()
		o.RootCAs.AppendCertsFromPEM(pem)
	}
	var err error
	if o.ClientCertificates, err = certificates("upstream.client_cert", u.ClientCert, u.ClientKey); err != nil {
		return o, err
	}
	tokens, err := tokenSource(u, stateDir, log)
	if tokens != nil {
		o.Token = tokens
	}
	return o, err
}

// certificates are the one that a key of the configuration names, none if it is
// not set.
func certificates(key, cert, certKey string) ([]tls.Certificate, error) {
	if cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, certKey)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return []tls.Certificate{pair}, nil
}

// maxMessageSize is the limit for apps: the configured one, else the largest
// that one of the providers takes.
func (r *Relay) maxMessageSize() int64 {
	c, hosts := r.present()
	var largest int64
	for _, h := range hosts.all {
		largest = max(largest, h.MaxMessageSize())
	}
	return cmp.Or(int64(c.Listen.MaxMessageSize), largest, defaultMessageSize)
}

// runHosts runs the present smart hosts until they are replaced, or all are
// stopped. The caller holds mu.
func (r *Relay) runHosts() {
	if r.hosts.cancel != nil {
		return
	}
	var ctx context.Context
	ctx, r.hosts.cancel = context.WithCancel(context.Background())
	for _, h := range r.hosts.all {
		r.running.Go(func() { h.Run(ctx) })
	}
}
