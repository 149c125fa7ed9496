package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"kurir/relay/queue"
	"kurir/relay/rewrite"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// ErrServerClosed is the planned end of Serve.
var ErrServerClosed = errors.New("listener: server closed")

// A Spool is where messages go while they come in; *spool.Spool is one.
type Spool interface {
	// Draft begins a message; an error that wraps spool.ErrFull is told to
	// the client as such.
	Draft(env envelope.Envelope, client string) (*spool.Draft, error)

	// Space tells whether a message of size octets would find room.
	Space(size int64) error

	// NoRoom is told the error of a draft that could not be written.
	NoRoom(err error)
}

// A Log is told what the listener does not let pass. Its methods are called
// from many goroutines. Strings may hold what a client said.
type Log interface {
	// ClientRejected tells of a connection that was refused, or a session
	// closed, by policy. It is called once a minute at most for the same
	// client and reason; how often it happened meanwhile stands in reason.
	ClientRejected(client, reason, fix string)

	// MessageRefused tells of a transaction or one of its commands that the
	// listener itself has refused. What Submit refuses is not told here.
	MessageRefused(client string, env envelope.Envelope, f *explain.Failure, code int, enhanced explain.EnhancedCode)

	// ClientLost tells of a client that went away inside a message: of
	// interest only to who debugs that client.
	ClientLost(client string, err error)
}

// Settings of a Server can change while it runs. All but AnyLogin, TLS, Rewrite
// and Language must be set.
type Settings struct {
	MaxRecipients  int // of one message
	MaxConnections int // at once; one client's share is half of it, unless it is on this host

	// IdleTimeout is how long a client may take for a command, and how long
	// it may send nothing at all inside a message.
	IdleTimeout time.Duration

	// Allow says who may connect: CIDRs, addresses, and the words "loopback",
	// "private" (RFC 1918, RFC 4193, link-local) and "subnet" (the networks of
	// this host's interfaces, without the default gateway: behind a userland
	// proxy all foreign traffic comes from there). Unix sockets are open to
	// whom the file system lets in.
	Allow []string

	// AnyLogin offers AUTH, for apps that insist on signing in: whatever they
	// say is right.
	AnyLogin bool

	// TLS has the certificate for STARTTLS, which is offered then, and for
	// ports with ImplicitTLS; nil is none.
	TLS *tls.Config

	// Language is that of refusals, in replies and in the log; "" = English.
	Language explain.Language

	// Rewrite says which senders and recipients are replaced; nil replaces
	// none. A message is under the policy of the moment when its data begins.
	Rewrite *rewrite.Policy
}

// Options is what a Server needs. All fields must be set.
type Options struct {
	Hostname string // in the greeting, in Received, and what <postmaster> is completed with
	Spool    Spool

	// Submit takes a complete draft over and closes it, whatever it answers.
	// It returns soon after ctx ends, which does not happen before Shutdown
	// has run out of time: a client that goes away does not end it.
	Submit func(ctx context.Context, d *spool.Draft) queue.Answer

	// MaxMessageSize is the largest content taken, in octets; 0 is no limit.
	// It is asked anew for each message.
	MaxMessageSize func() int64

	Settings

	Log Log
}

// A Server takes mail from apps on any number of listeners.
type Server struct {
	opts     Options // without Settings
	settings atomic.Pointer[Settings]
	smtp     *smtp.Server
	gate     *gate
	log      *quietLog
	headers  rewrite.Reserve
	cancel   context.CancelFunc
	ctx      context.Context // of every Submit

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	gone      chan struct{} // closed when closing and the last conn is gone
}

// New returns a Server, or what is wrong with o.Allow.
func New(o Options) (*Server, error) {
	s := &Server{
		opts:      o,
		log:       &quietLog{log: o.Log, seen: make(map[event]*repeats)},
		gate:      newGate(),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
		gone:      make(chan struct{}),
	}
	if err := s.Configure(o.Settings); err != nil {
		return nil, err
	}
	s.opts.Settings = Settings{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.smtp.Domain = o.Hostname
	s.smtp.ErrorLog = errorLog{s.log}
	s.smtp.MaxLineLength = 0 // it counts content too; conn has the limit on commands
	return s, nil
}

// Configure changes the settings, for the sessions that are open too, or says
// what is wrong with n.Allow. Who was let in may stay.
func (s *Server) Configure(n Settings) error {
	allow, err := parseAllow(n.Allow)
	if err != nil {
		return err
	}
	s.settings.Store(&n)
	s.gate.configure(allow, n.MaxConnections)
	return nil
}

// set are the settings as they are now.
func (s *Server) set() *Settings { return s.settings.Load() }

// A Port is a listener, and what is special about its clients.
type Port struct {
	net.Listener

	// ImplicitTLS: they begin with a TLS handshake (RFC 8314, section 3.3).
	ImplicitTLS bool

	// LegacyLineEnds: LF alone ends a line too, so that LF "." LF ends a
	// message. Who can write into the content of such a client's mail can
	// forge mail; it is for devices that cannot do otherwise.
	LegacyLineEnds bool
}

// Serve takes connections from a port until Shutdown, and then returns
// ErrServerClosed; any other error is the listener's. It closes the listener.
func (s *Server) Serve(p Port) error {
	l := p.Listener
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer l.Close()

	d := newDoorman(p, s)
	var room sync.WaitGroup
	room.Go(d.room.stand)
	room.Go(func() { _ = s.smtp.Serve(d.room) }) // until nobody is in it any more
	err := s.smtp.Serve(d)
	close(d.room.arrivals)
	room.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	if s.closing {
		return ErrServerClosed
	}
	return err
}

// Shutdown closes the listeners and tells every client that is not sending a
// message to come again later (421). Messages under way are finished. When ctx
// ends first, what is left is cut, Submit's context ends, and ctx's error is
// returned. No session is left when it returns.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.drain()
	}
	if first && len(s.conns) == 0 {
		close(s.gone)
	}
	s.mu.Unlock()
	defer s.log.flush()
	defer s.cancel()

	select {
	case <-s.gone:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for c := range s.conns {
		c.Conn.Close() // under the session
	}
	s.mu.Unlock()
	<-s.gone
	return ctx.Err()
}

// enter registers a connection and tells false when the server is closing.
func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; !ok {
		return
	}
	delete(s.conns, c)
	if s.closing && len(s.conns) == 0 {
		close(s.gone)
	}
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	conn, ok := c.Conn().(*conn)
	if !ok {
		return nil, fmt.Errorf("connection of type %T", c.Conn())
	}
	return &session{server: s, conn: conn}, nil
}
