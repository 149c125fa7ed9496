package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/relay/control/metrics"
	"kurir/relay/history"
	"kurir/relay/listener"
	"kurir/relay/maillog"
	"kurir/relay/notice"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream"
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

	// Reload, if set, is what the control socket asks to read the configuration
	// again and to call Relay.Reload with it.
	Reload func(ctx context.Context) (needRestart []string, err error)

	// Maildir is where the sandbox keeps its mail; it is only told in the log.
	Maildir string
}

// ErrEnded is what Run returns when it was called before, or after Shutdown.
var ErrEnded = errors.New("relay: it has ended")

// A Relay takes mail and delivers it. It runs once: New, Run, and Shutdown
// from elsewhere, or just the end of Run's context.
type Relay struct {
	o        Options
	spool    *spool.Spool
	recovery spool.Recovery
	scratch  string // a directory that goes with us; "" if there is none
	queue    *queue.Queue
	notifier *notice.Notifier
	history  *history.Writer // nil if there is none
	server   *listener.Server
	ports    []listener.Port
	door     net.Listener // the control socket; nil if there is none
	page     statusPage
	meter    *metrics.Meter
	ways     control.Ways
	drop     string // the directory where sendmail leaves mail; "" if there is none

	mu      sync.Mutex
	config  *config.Config // as it is now; o.Config is how it began
	hosts   *smartHosts    // of that configuration
	running sync.WaitGroup // all smart hosts, those of earlier configurations too

	taking   atomic.Bool        // mail from apps
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
	r := &Relay{o: o, config: o.Config, ended: make(chan struct{})}
	r.stopping, r.stop = context.WithCancel(context.Background())
	r.meter = metrics.New(metrics.Options{Version: o.Version})
	r.o.Log = o.Log.Metering(r.meter)
	r.keepHistory()
	r.newNotifier()
	if err := r.open(); err != nil {
		r.stop()
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *Relay) open() error {
	c := r.o.Config
	r.ports = passedPorts(c.Listen, r.o.Listeners)
	settings, err := listenerSettings(c)
	if err != nil {
		return err
	}
	noDrop := r.makeDrop()
	if r.hosts, err = r.smartHosts(c); err != nil {
		return err
	}
	if len(r.ports) == 0 {
		if r.ports, err = listen(c.Listen, r.o.Log); err != nil {
			return err
		}
	}
	if err := r.openSpool(); err != nil {
		return err
	}
	if noDrop != nil && r.scratch == "" {
		r.o.Log.Warning("spool.drop", noDrop.Error())
	}
	if err := r.openDoor(); err != nil {
		return err
	}
	r.openPage()
	r.queue = queue.New(queue.Options{Settings: queueSettings(c, r.hosts.routes), Spool: r.spool, Log: r.o.Log})
	r.meter.Watch(metrics.State{Routes: r.queue.Routes, Usage: r.spool.Usage, Ready: r.ready, Ends: r.ends})
	r.server, err = listener.New(listener.Options{
		Hostname:       ownName(c.Hostname),
		Spool:          r.queue,
		Submit:         r.submit,
		MaxMessageSize: r.maxMessageSize,
		Settings:       settings,
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
	for _, p := range r.ports {
		_ = p.Close()
	}
	for _, l := range []net.Listener{r.door, r.page.listener} {
		if l != nil {
			_ = l.Close()
		}
	}
	if r.spool != nil {
		err = r.spool.Close()
	}
	if r.history != nil {
		err = errors.Join(err, r.history.Close())
	}
	if r.scratch != "" {
		err = errors.Join(err, os.RemoveAll(r.scratch))
	}
	return err
}

// ownName is how we call ourselves towards apps: hostname, else the machine's
// name.
func ownName(configured string) string {
	name, _ := os.Hostname()
	return cmp.Or(configured, name, "localhost")
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

// Addrs are the addresses that take mail.
func (r *Relay) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(r.ports))
	for i, p := range r.ports {
		addrs[i] = p.Addr()
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
	r.mu.Lock()
	r.runHosts()
	r.mu.Unlock()
	stopNotifier := background(r.notifier.Run)
	stopQueue := background(r.queue.Run)
	stopDoor := r.runDoor()
	stopTelling := background(r.tellEnds)
	stopPickup := r.runPickup()
	r.taking.Store(true) // the listeners are open
	r.tellStart()

	serving := make(chan error, len(r.ports))
	for _, p := range r.ports {
		go func() { serving <- r.server.Serve(p) }()
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
	r.taking.Store(false)
	r.stop() // no Reload from here
	r.o.Log.Stopping(why)
	stopPickup()
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if e := r.server.Shutdown(drain); e != nil && !errors.Is(e, context.DeadlineExceeded) {
		err = errors.Join(err, e)
	}
	for range r.ports {
		if e := <-serving; !errors.Is(e, listener.ErrServerClosed) && err == nil {
			err = e
		}
	}
	stopTelling()
	stopDoor()
	stopQueue()
	_, hosts := r.present() // which stay: from r.stop on, no Reload replaces them
	hosts.cancel()
	r.running.Wait()
	stopNotifier() // last, as the others tell it
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

// background runs something until stop, which waits for its end.
func background(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	return func() { cancel(); running.Wait() }
}

// present is the configuration as it is now, with its smart hosts.
func (r *Relay) present() (*config.Config, *smartHosts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config, r.hosts
}

// submit hands a message to the queue, and counts how long the app waits.
func (r *Relay) submit(ctx context.Context, d *spool.Draft) queue.Answer {
	began := time.Now()
	a := r.queue.Submit(ctx, d)
	r.meter.Answered(a, time.Since(began))
	return a
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
	if provider, end := PasswordEnds(c); !end.IsZero() && r.o.Sandbox == nil {
		log.Warning("upstream.password", fmt.Sprintf("%s switches the login by password off at the end of %s unless an administrator objects; set [upstream.oauth2] before that, see docs/microsoft365.md", provider, end.Format("January 2006")))
	}
	if r.recovery.Ephemeral != "" && c.Delivery.Mode != string(queue.Direct) && r.o.Sandbox == nil {
		log.Warning(c.Spool.Dir, fmt.Sprintf("the spool is on %s, which does not outlive a restart of the machine or container; put it on a disk or volume, or use delivery.mode = \"direct\"", r.recovery.Ephemeral))
	}
	if !spool.FlushesNames && c.Delivery.Mode != string(queue.Direct) && r.o.Sandbox == nil {
		log.Warning(c.Spool.Dir, "this system cannot flush the names of files: a power cut can take mail that was accepted in the moments before it; have a UPS, or use delivery.mode = \"direct\"")
	}
	s := maillog.Started{
		Version: r.o.Version, StateDir: c.StateDir, Maildir: r.o.Maildir, Mode: c.Delivery.Mode,
		HTTP: r.page.url(),
	}
	for _, a := range r.Addrs() {
		s.SMTP = append(s.SMTP, a.String())
	}
	_, hosts := r.present()
	for _, h := range hosts.all {
		s.Routes = append(s.Routes, h.Name())
	}
	log.Started(s)
}
