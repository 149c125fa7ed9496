package upstreamtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/upstream/explain"
	"kurir/upstream/sandbox"
)

// patience is how long a dialogue waits for the client's next line; only a
// test that hangs anyway meets it.
const patience = 30 * time.Second

// grace is what is left of it when Close is called: what a client has said
// by then may still be on its way.
const grace = time.Second

// A Server plays the dialogues of one script on loopback.
type Server struct {
	t         testing.TB
	script    *Script
	authority *sandbox.Authority
	certs     map[sandbox.Certificate]tls.Certificate
	ports     []*port
	ended     context.Context // since Close
	end       context.CancelFunc
	wg        sync.WaitGroup
	closing   sync.Once
}

// A port is a way in, listening. Its accept loop alone uses next.
type port struct {
	*way
	addr     *net.TCPAddr
	listener net.Listener // nil if connections are refused
	next     int          // dialogue of the next connection
	played   map[*dialogue]bool
}

// Serve plays the script until Close, at the latest until the test ends.
// What the client does otherwise than scripted is an error of the test that
// names the script's line.
func (s *Script) Serve(t testing.TB) *Server {
	t.Helper()
	authority, err := sandbox.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{t: t, script: s, authority: authority, certs: map[sandbox.Certificate]tls.Certificate{}}
	for _, kind := range []sandbox.Certificate{sandbox.Good, sandbox.Expired, sandbox.WrongName, sandbox.Untrusted} {
		if srv.certs[kind], err = authority.Issue(kind); err != nil {
			t.Fatal(err)
		}
	}
	srv.ended, srv.end = context.WithCancel(context.Background())
	t.Cleanup(srv.Close)
	for _, w := range s.ways {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := &port{way: w, addr: l.Addr().(*net.TCPAddr), played: map[*dialogue]bool{}}
		srv.ports = append(srv.ports, p)
		if !w.dialogues[0].open() {
			l.Close()
			continue
		}
		p.listener = l
		srv.wg.Go(func() { srv.accept(p) })
	}
	return srv
}

// Candidates are the ways in, in the order of the script.
func (s *Server) Candidates() []explain.Candidate {
	var c []explain.Candidate
	for _, p := range s.ports {
		host := p.dialogues[0].host
		if host == "" {
			host = p.addr.IP.String()
		}
		c = append(c, explain.Candidate{Host: host, Port: p.addr.Port, TLS: p.mode})
	}
	return c
}

// Pool holds the authority that signed the good certificate, which is for
// localhost and 127.0.0.1.
func (s *Server) Pool() *x509.CertPool { return s.authority.Pool() }

// Public is text with the ports of the script in place of the real ones, and
// words in place of today and the days of the expired certificate, so that it is the
// same in every run.
func (s *Server) Public(text string) string {
	for _, p := range s.ports {
		for _, before := range []string{":", "port "} {
			text = strings.ReplaceAll(text, before+strconv.Itoa(p.addr.Port), before+strconv.Itoa(p.way.port))
		}
	}
	expired, now := s.certs[sandbox.Expired].Leaf, time.Now()
	return strings.NewReplacer( // west of Greenwich it may still be yesterday: what the clock says goes first
		now.Format(time.DateOnly), "(today)",
		now.UTC().Format(time.DateOnly), "(today)",
		expired.NotBefore.UTC().Format(time.DateOnly), "(three months ago)",
		expired.NotAfter.UTC().Format(time.DateOnly), "(yesterday)",
	).Replace(text)
}

// Close ends the playing and waits until all of it is over. A dialogue that
// was not played, or not to its end, is an error of the test.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.end()
		for _, p := range s.ports {
			if p.listener != nil {
				p.listener.Close()
			}
		}
		s.wg.Wait()
		for _, p := range s.ports {
			for _, d := range p.dialogues {
				if !p.played[d] && !d.optional && d.open() {
					s.errorf(d.line, "nobody came for this dialogue")
				}
			}
		}
	})
}

func (s *Server) errorf(line int, format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s:%d: "+format, append([]any{s.script.path, line}, args...)...)
}

// accept gives each connection its dialogue.
func (s *Server) accept(p *port) {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // Close, the one reason that loopback has
		}
		if p.next == len(p.dialogues) {
			s.errorf(p.dialogues[p.next-1].line, "a connection more than the script has")
			conn.Close()
			continue
		}
		d := p.dialogues[p.next]
		p.played[d] = true
		if !d.repeat {
			p.next++
		}
		s.wg.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(s.ended, func() { conn.SetReadDeadline(time.Now().Add(grace)) })
			defer stop()
			newPlayer(s, d, conn).play()
		})
	}
}
