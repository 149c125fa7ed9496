package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kurir/relay/config"
	"kurir/relay/listener"
	"kurir/relay/maillog"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream"
	"kurir/upstream/explain"
)

// Options of a relay.
type Options struct {
	Config *config.Config
	Log    *maillog.Log

	// Version is told in the log.
	Version string

	// Listeners are used instead of Config.Listen.SMTP, such as those that a
	// service manager opened. They belong to the relay, which closes them.
	Listeners []net.Listener

	// Sandbox, if set, is the smart host instead of Config.Upstreams.
	Sandbox *upstream.Options

	// Maildir is where the sandbox keeps its mail; it is only told in the log.
	Maildir string
}

// ErrEnded is what Run returns when it was called before, or after Shutdown.
var ErrEnded = errors.New("relay: it has ended")

// A Relay takes mail and delivers it. It runs once: New, Run, and Shutdown
// from elsewhere, or just the end of Run's context.
type Relay struct {
	o         Options
	hosts     []*upstream.SmartHost
	spool     *spool.Spool
	recovery  spool.Recovery
	scratch   string // a directory that goes with us; "" if there is none
	queue     *queue.Queue
	server    *listener.Server
	listeners []net.Listener

	begun    atomic.Bool        // by Run, or by a Shutdown that came before
	stop     context.CancelFunc // ends Run
	stopping context.Context
	ended    chan struct{}
}

// How long the sessions of apps may take to finish what they are sending.
const drainTime = 30 * time.Second

// defaultMessageSize holds until a provider has said what it takes.
const defaultMessageSize = 50_000_000

// New opens spool and listeners. Errors are those of the disk, a
// *spool.LockedError when another Kurir has the spool, a *ListenError when an
// address cannot be had. On an error nothing stays open.
func New(o Options) (*Relay, error) {
	r := &Relay{o: o, ended: make(chan struct{})}
	r.stopping, r.stop = context.WithCancel(context.Background())
	if err := r.open(); err != nil {
		r.stop()
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *Relay) open() error {
	c := r.o.Config
	r.listeners = r.o.Listeners
	routes, err := r.routes()
	if err != nil {
		return err
	}
	if len(r.listeners) == 0 {
		if r.listeners, err = listen(c.Listen.SMTP, r.o.Log); err != nil {
			return err
		}
	}
	if err := r.openSpool(); err != nil {
		return err
	}
	r.queue = queue.New(queue.Options{
		Mode:        queue.Mode(c.Delivery.Mode),
		Wait:        time.Duration(c.Delivery.Wait),
		RetryMin:    time.Duration(c.Delivery.RetryMin),
		RetryMax:    time.Duration(c.Delivery.RetryMax),
		GiveUpAfter: time.Duration(c.Delivery.GiveUpAfter),
		KeepFailed:  time.Duration(c.Delivery.KeepFailed),
		Routes:      routes,
		Spool:       r.spool,
		Log:         r.o.Log,
		Language:    explain.Language(c.Log.Language),
	})
	r.server, err = listener.New(listener.Options{
		Hostname:       ownName(c.Hostname),
		Spool:          r.queue,
		Submit:         r.queue.Submit,
		MaxMessageSize: r.maxMessageSize,
		MaxRecipients:  c.Listen.MaxRecipients,
		MaxConnections: c.Listen.MaxConnections,
		IdleTimeout:    time.Duration(c.Listen.IdleTimeout),
		Allow:          c.Listen.Allow,
		Log:            r.o.Log,
	})
	return err
}

// openSpool opens the spool. Mode direct keeps nothing, so that there a
// directory for large messages on their way is enough, where the configured
// one cannot be written.
func (r *Relay) openSpool() (err error) {
	c := r.o.Config
	o := spool.Options{Dir: c.Spool.Dir, MaxSize: int64(c.Spool.MaxSize)}
	r.spool, r.recovery, err = spool.Open(o)
	if !errors.Is(err, os.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		return err
	}
	if c.Delivery.Mode != string(queue.Direct) {
		return fmt.Errorf("%w: set state_dir or spool.dir to a directory that this user may write", err)
	}
	if r.scratch, err = os.MkdirTemp("", "kurir-"); err != nil {
		return fmt.Errorf("mode direct needs a directory for large messages on their way; mount a tmpfs at %s: %w", os.TempDir(), err)
	}
	o.Dir = r.scratch
	r.spool, r.recovery, err = spool.Open(o)
	return err
}

// close closes what open has opened.
func (r *Relay) close() (err error) {
	for _, l := range r.listeners {
		_ = l.Close()
	}
	if r.spool != nil {
		err = r.spool.Close()
	}
	if r.scratch != "" {
		err = errors.Join(err, os.RemoveAll(r.scratch))
	}
	return err
}

// routes makes a smart host of each upstream.
func (r *Relay) routes() ([]queue.Route, error) {
	var all []upstream.Options
	senders := make([][]string, 1)
	if r.o.Sandbox != nil {
		all = append(all, *r.o.Sandbox)
	} else {
		senders = senders[:0]
		for _, u := range r.o.Config.Upstreams {
			o, err := upstreamOptions(u)
			if err != nil {
				return nil, err
			}
			all, senders = append(all, o), append(senders, u.Senders)
		}
	}
	var routes []queue.Route
	for i, o := range all {
		o.Hostname = helloName(r.o.Config.Hostname)
		o.StateFile = r.stateFile(fmt.Sprintf("route-%d.json", i))
		name := o.Name()
		o.Selected = func(way explain.Candidate, left []*explain.Failure) { r.o.Log.Selected(name, way, left) }
		if r.o.Log.Debug() {
			o.Transcript = func(l upstream.Line) { r.o.Log.Transcript(l.Session, l.Candidate, l.Sent, l.Text) }
		}
		host, err := upstream.New(o)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", name, err)
		}
		r.hosts = append(r.hosts, host)
		routes = append(routes, queue.Route{
			Name: name, Deliverer: host, Slots: host.Connections(), Senders: senders[i],
		})
	}
	return routes, nil
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

func upstreamOptions(u config.Upstream) (upstream.Options, error) {
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
	if u.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(u.ClientCert, u.ClientKey)
		if err != nil {
			return o, fmt.Errorf("read upstream.client_cert: %w", err)
		}
		o.ClientCertificates = []tls.Certificate{pair}
	}
	return o, nil
}

// ownName is how we call ourselves towards apps: hostname, else the machine's
// name.
func ownName(configured string) string {
	if configured != "" {
		return configured
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// helloName is how we call ourselves towards providers, some of which refuse
// a machine's name without a dot; "" means the address literal.
func helloName(configured string) string {
	name := ownName(configured)
	if configured == "" && !strings.Contains(name, ".") {
		return ""
	}
	return name
}

// maxMessageSize is the limit for apps: the configured one, else the largest
// that one of the providers takes.
func (r *Relay) maxMessageSize() int64 {
	if n := r.o.Config.Listen.MaxMessageSize; n > 0 {
		return int64(n)
	}
	var largest int64
	for _, h := range r.hosts {
		largest = max(largest, h.MaxMessageSize())
	}
	if largest == 0 {
		return defaultMessageSize
	}
	return largest
}

// Addrs are the addresses that take mail.
func (r *Relay) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(r.listeners))
	for i, l := range r.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Run takes and delivers mail until ctx ends or Shutdown is called; then it
// lets apps finish what they are sending, ends the deliveries under way, and
// returns nil. Another error means that a listener or the spool broke.
func (r *Relay) Run(ctx context.Context) error {
	if r.begun.Swap(true) {
		return ErrEnded
	}
	defer close(r.ended)
	defer r.stop()
	r.tellRecovery()
	stopHosts := r.runHosts()
	stopQueue := r.runQueue()
	r.tellStart()

	serving := make(chan error, len(r.listeners))
	for _, l := range r.listeners {
		go func() { serving <- r.server.Serve(l) }()
	}
	var err error
	why := "it was asked to"
	select {
	case <-ctx.Done():
	case <-r.stopping.Done():
	case err = <-serving:
		serving <- err
		why = fmt.Sprintf("a listener broke: %v", err)
	}
	r.o.Log.Stopping(why)
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if e := r.server.Shutdown(drain); e != nil && !errors.Is(e, context.DeadlineExceeded) {
		err = errors.Join(err, e)
	}
	for range r.listeners {
		if e := <-serving; !errors.Is(e, listener.ErrServerClosed) && err == nil {
			err = e
		}
	}
	stopQueue()
	stopHosts()
	return errors.Join(err, r.close())
}

// Shutdown makes Run end and waits for it, at most until ctx ends. Before Run
// it closes what New has opened.
func (r *Relay) Shutdown(ctx context.Context) error {
	r.stop()
	if !r.begun.Swap(true) {
		defer close(r.ended)
		return r.close()
	}
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// runHosts runs the smart hosts; the result stops them and waits.
func (r *Relay) runHosts() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, h := range r.hosts {
		running.Go(func() { h.Run(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

func (r *Relay) runQueue() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.queue.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

// tellRecovery logs what was found in the spool, before anything of it is sent
// again.
func (r *Relay) tellRecovery() {
	if v := r.recovery; v.Messages > 0 || v.TornBytes > 0 || len(v.Damaged) > 0 {
		r.o.Log.SpoolRecovered(v.Messages, v.TornBytes, v.Damaged, v.Elapsed)
	}
}

// tellStart logs what is running now.
func (r *Relay) tellStart() {
	log, c := r.o.Log, r.o.Config
	for _, w := range c.Warnings {
		log.Warning(w.File, w.String())
	}
	if r.recovery.Ephemeral != "" && c.Delivery.Mode != string(queue.Direct) && r.o.Sandbox == nil {
		log.Warning(c.Spool.Dir, fmt.Sprintf("the spool is on %s, which does not outlive a restart of the machine or container; put it on a disk or volume, or use delivery.mode = \"direct\"", r.recovery.Ephemeral))
	}
	s := maillog.Started{
		Version: r.o.Version, StateDir: c.StateDir, Maildir: r.o.Maildir, Mode: c.Delivery.Mode,
	}
	for _, a := range r.Addrs() {
		s.SMTP = append(s.SMTP, a.String())
	}
	for _, h := range r.hosts {
		s.Routes = append(s.Routes, h.Name())
	}
	log.Started(s)
}
