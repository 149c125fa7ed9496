package sandbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// Options says what a Server is; the zero value is complete.
type Options struct {
	Maildir    string // keeps the mail in this Maildir, made if need be; "" = in memory
	Hostname   string // says who it is; "" = "sandbox.kurir.test"
	Username   string // the one account; "" = "sandbox"
	Password   string // and its password, or its OAuth2 token; "" = "sandbox"
	Size       int64  // octets a message may have; 0 = 50 MB
	Recipients int    // of one transaction; 0 = 100
}

// A Server is the provider: one STARTTLS port and one with implicit TLS, on
// loopback. Its methods can be called at any time, from any goroutine.
type Server struct {
	opts      Options
	authority *Authority
	tls       *tls.Config // its ticket keys are those of every handshake
	certs     map[Certificate]tls.Certificate
	mail      *mailbox
	ports     []*port

	mu    sync.Mutex
	stats Stats
	open  int                    // sessions
	grey  map[envelope.Path]bool // greylisted once already
}

// Stats counts since the start.
type Stats struct {
	Connections int // accepted
	Peak        int // most connections at one time
	Handshakes  int // TLS handshakes that succeeded
	Resumptions int // those of them that resumed a session
	Auths       int // AUTH commands that were accepted
	Messages    int // accepted
}

// New makes its authority and certificates and opens both ports; connections
// wait until Run, which also closes the ports again.
func New(opts Options) (*Server, error) {
	s := &Server{opts: opts, certs: map[Certificate]tls.Certificate{}, grey: map[envelope.Path]bool{}}
	s.opts.Hostname = cmp.Or(opts.Hostname, "sandbox.kurir.test")
	s.opts.Username = cmp.Or(opts.Username, "sandbox")
	s.opts.Password = cmp.Or(opts.Password, "sandbox")
	s.opts.Size = cmp.Or(opts.Size, 50_000_000)
	s.opts.Recipients = cmp.Or(opts.Recipients, 100)
	var err error
	if s.mail, err = openMailbox(s.opts.Maildir, s.opts.Hostname); err != nil {
		return nil, err
	}
	if s.authority, err = NewAuthority(); err != nil {
		return nil, err
	}
	for _, kind := range []Certificate{Good, Expired, WrongName, Untrusted} {
		if s.certs[kind], err = s.authority.Issue(kind); err != nil {
			return nil, err
		}
	}
	var ticketKey [32]byte
	if _, err := rand.Read(ticketKey[:]); err != nil {
		return nil, fmt.Errorf("sandbox: making a ticket key: %w", err)
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	s.tls.SetSessionTicketKeys([][32]byte{ticketKey})
	for _, mode := range []explain.TLSMode{explain.STARTTLS, explain.Implicit} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, p := range s.ports {
				p.listener.Close()
			}
			return nil, fmt.Errorf("sandbox: %w", err)
		}
		s.ports = append(s.ports, &port{
			mode: mode, addr: l.Addr().(*net.TCPAddr),
			listener: l, changed: make(chan struct{}),
		})
	}
	return s, nil
}

// Run serves until ctx is done, and returns when every session is gone. It
// can be called once. Its error is that of a port that cannot be served.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	failed := make(chan error, len(s.ports))
	for _, p := range s.ports {
		wg.Go(func() {
			if err := s.serve(ctx, p, &wg); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	<-ctx.Done()
	for _, p := range s.ports {
		p.end()
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (s *Server) serve(ctx context.Context, p *port, wg *sync.WaitGroup) error {
	for {
		l := p.wait(ctx)
		if l == nil {
			return nil
		}
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			continue // by Set or at the end: wait knows
		case err != nil:
			return fmt.Errorf("sandbox: %w", err)
		}
		s.count(func(st *Stats) {
			st.Connections++
			s.open++
			st.Peak = max(st.Peak, s.open)
		})
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			newSession(ctx, s, p, conn).run()
			stop()
			conn.Close()
			s.count(func(*Stats) { s.open-- })
		})
	}
}

// Set gives both ports a behaviour; sessions under way follow it from their
// next command. An error means that a closed port could not be opened again.
func (s *Server) Set(b Behaviour) error {
	return errors.Join(s.SetPort(explain.STARTTLS, b), s.SetPort(explain.Implicit, b))
}

// SetPort is Set for one of the ports.
func (s *Server) SetPort(mode explain.TLSMode, b Behaviour) error {
	for _, p := range s.ports {
		if p.mode == mode {
			return p.set(b)
		}
	}
	return fmt.Errorf("sandbox: no port is %q", mode)
}

// STARTTLS is the address of the STARTTLS port.
func (s *Server) STARTTLS() *net.TCPAddr { return s.ports[0].addr }

// Implicit is the address of the port with TLS from the first byte.
func (s *Server) Implicit() *net.TCPAddr { return s.ports[1].addr }

// Candidates are both ports as ways in, the STARTTLS port first.
func (s *Server) Candidates() []explain.Candidate {
	var c []explain.Candidate
	for _, p := range s.ports {
		c = append(c, explain.Candidate{Host: p.addr.IP.String(), Port: p.addr.Port, TLS: p.mode})
	}
	return c
}

// CA is the authority's certificate in PEM.
func (s *Server) CA() []byte { return s.authority.PEM() }

// Pool holds the authority's certificate.
func (s *Server) Pool() *x509.CertPool { return s.authority.Pool() }

// Messages returns what was accepted, oldest first; with a Maildir at most
// the last 1000.
func (s *Server) Messages() []Message { return s.mail.list() }

// Wait returns Messages once n of them have been accepted since the start,
// or the error of ctx.
func (s *Server) Wait(ctx context.Context, n int) ([]Message, error) { return s.mail.wait(ctx, n) }

// Stats returns the counters as they are now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Server) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}

// A port is one listening address and how it behaves at present.
type port struct {
	mode explain.TLSMode
	addr *net.TCPAddr

	mu        sync.Mutex
	behaviour Behaviour
	listener  net.Listener  // nil while the port is closed
	ended     bool          // it stays closed
	changed   chan struct{} // closed when listener changes
}

func (p *port) current() Behaviour {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behaviour
}

func (p *port) set(b Behaviour) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behaviour = b
	switch {
	case b.Closed && p.listener != nil:
		p.replace(nil)
	case !b.Closed && p.listener == nil && !p.ended:
		l, err := net.ListenTCP("tcp", p.addr)
		if err != nil {
			return fmt.Errorf("sandbox: opening the port again: %w", err)
		}
		p.replace(l)
	}
	return nil
}

func (p *port) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.replace(nil)
}

func (p *port) replace(l net.Listener) {
	if p.listener != nil {
		p.listener.Close()
	}
	p.listener = l
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait returns the listener once there is one, nil when ctx is done.
func (p *port) wait(ctx context.Context) net.Listener {
	for {
		p.mu.Lock()
		l, changed := p.listener, p.changed
		p.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		if l != nil {
			return l
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}
