package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kurir/upstream/explain"
)

// timeouts are how long each step may take. Those behind the greeting follow
// RFC 5321, section 4.5.3.2; dial and greeting are short, because a blocked
// port stays silent and the next candidate waits.
var timeouts = struct {
	dial, greeting, ehlo, tls, auth, mail, rcpt, data, block, dot, rset, quit time.Duration
}{
	dial:     10 * time.Second,
	greeting: 30 * time.Second,
	ehlo:     time.Minute, // also STARTTLS
	tls:      30 * time.Second,
	auth:     time.Minute, // some providers look the account up far away
	mail:     5 * time.Minute,
	rcpt:     5 * time.Minute,
	data:     2 * time.Minute,
	block:    3 * time.Minute,
	dot:      10 * time.Minute,
	rset:     10 * time.Second, // a new connection is quick
	quit:     2 * time.Second,
}

// restLimit is how long a kept session may rest before it is asked whether it
// is still there, so that no content is sent into a connection that the
// server has closed meanwhile.
const restLimit = time.Second

// A session is one connection to a smart host, signed in and ready for
// transactions, or on its way there. It belongs to one goroutine at a time.
type session struct {
	o          *Options
	candidate  explain.Candidate
	provider   string
	wire       *wire
	extensions map[string]string // EHLO keywords in upper case, with their parameters
	facts      []explain.Fact

	stage    explain.Stage
	progress *progress // for whoever grows tired of waiting

	transactions int
	unclean      bool           // a transaction was refused midway: RSET comes before the next
	broken       bool           // nothing more can be said here
	farewell     *explain.Reply // a 421: the answer to all that was said and not answered yet
	rested       time.Time
}

// open walks one candidate up to the EHLO behind TLS and sees that signing in
// would be possible. ctx ends the attempt wherever it is.
func open(ctx context.Context, o *Options, c explain.Candidate, progress *progress) (*session, *explain.Failure) {
	s := newSession(o, c, progress)
	if f := s.open(ctx); f != nil {
		return nil, f
	}
	return s, nil
}

func newSession(o *Options, c explain.Candidate, progress *progress) *session {
	return &session{o: o, candidate: c, provider: o.provider.Name, progress: progress}
}

func (s *session) open(ctx context.Context) *explain.Failure {
	conn, f := s.dial(ctx)
	if f != nil {
		return f
	}
	s.wire = newWire(conn, s.o.transcript(s.candidate))
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	f = s.handshake(ctx, conn)
	if !stop() && f == nil {
		f = s.failure(nil, context.Cause(ctx))
	}
	if f != nil {
		_ = conn.Close()
	}
	return f
}

func (s *session) at(stage explain.Stage) {
	s.stage = stage
	s.progress.at(stage)
}

func (s *session) fact(name, value string) {
	for i := range s.facts {
		if s.facts[i].Name == name {
			s.facts[i].Value = value
			return
		}
	}
	s.facts = append(s.facts, explain.Fact{Name: name, Value: value})
}

// describe says what went wrong at the present stage; failure explains it too.
func (s *session) describe(r *explain.Reply, err error) explain.Failure {
	var said []string
	if s.wire != nil {
		said = s.wire.script.end()
	}
	return explain.Failure{
		Transcript: said,
		Stage:      s.stage, Candidate: s.candidate, Provider: s.provider,
		Reply: r, Err: err, Facts: append(slices.Clone(s.facts), s.known(r)...),
	}
}

func (s *session) failure(r *explain.Reply, err error) *explain.Failure {
	return explain.Explain(s.describe(r, err))
}

// answer flushes what was said and reads the reply to it.
func (s *session) answer(timeout time.Duration) (*explain.Reply, error) {
	if s.farewell != nil {
		return s.farewell, nil
	}
	if err := s.wire.flush(); err != nil {
		return s.lastWords(err)
	}
	r, err := s.wire.reply(timeout)
	if err != nil {
		s.broken = true
		return nil, err
	}
	if r.Code == 421 { // RFC 5321, section 3.8: the server closes now
		s.broken, s.farewell = true, r
	}
	return r, nil
}

// lastWords reads the reply that a server may have sent before it stopped
// listening, which tells more than the failed write.
func (s *session) lastWords(cause error) (*explain.Reply, error) {
	s.broken = true
	if r, err := s.wire.reply(timeouts.quit); err == nil && r.Class() >= 4 {
		return r, nil
	}
	return nil, cause
}

func (s *session) dial(ctx context.Context) (net.Conn, *explain.Failure) {
	s.at(explain.StageDNS)
	ctx, cancel := context.WithTimeout(ctx, timeouts.dial)
	defer cancel()
	dialer := net.Dialer{
		KeepAlive: time.Minute,
		Resolver:  s.o.resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			s.progress.dialling()
			return nil
		},
	}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.candidate.Host, strconv.Itoa(s.candidate.Port)))
	if err != nil {
		if _, ok := errors.AsType[*net.DNSError](err); ok {
			s.at(explain.StageDNS)
		} else {
			s.at(explain.StageConnect)
		}
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
			s.candidate.Addr = addressOf(op.Addr)
		}
		return nil, s.failure(nil, err)
	}
	s.candidate.Addr = addressOf(conn.RemoteAddr())
	return conn, nil
}

func addressOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	return host
}

// handshake is all from the TCP connection to the EHLO behind TLS.
func (s *session) handshake(ctx context.Context, conn net.Conn) *explain.Failure {
	if s.candidate.TLS == explain.Implicit {
		if f := s.startTLS(ctx, conn); f != nil {
			return f
		}
	}
	s.at(explain.StageGreeting)
	if r, err := s.wire.reply(timeouts.greeting); err != nil || r.Class() != 2 {
		return s.failure(r, err)
	}
	if f := s.hello(); f != nil {
		return f
	}
	if s.candidate.TLS != explain.Implicit { // there is no third way, whatever a caller writes
		if f := s.upgrade(ctx, conn); f != nil {
			return f
		}
	}
	return s.canAuthenticate()
}

// hello says EHLO and keeps what the server offers.
func (s *session) hello() *explain.Failure {
	s.at(explain.StageEHLO)
	s.wire.send("EHLO " + s.helloName())
	r, err := s.answer(timeouts.ehlo)
	if err != nil || r.Class() != 2 {
		return s.failure(r, err)
	}
	s.extensions = make(map[string]string, len(r.Lines))
	for _, line := range r.Lines[1:] {
		keyword, parameters, _ := strings.Cut(strings.TrimSpace(line), " ")
		keyword = strings.ToUpper(keyword)
		// "AUTH=PLAIN LOGIN" is how it was written before RFC 2554.
		if first, found := strings.CutPrefix(keyword, "AUTH="); found {
			keyword, parameters = "AUTH", first+" "+parameters
		}
		if old, repeated := s.extensions[keyword]; repeated && keyword == "AUTH" {
			parameters = old + " " + parameters
		}
		s.extensions[keyword] = parameters
	}
	return nil
}

// helloName is the configured name, else our address as a literal (RFC 5321,
// section 4.1.3): some providers refuse a bare host name.
func (s *session) helloName() string {
	if s.o.Hostname != "" {
		return s.o.Hostname
	}
	address := addressOf(s.wire.conn.LocalAddr())
	address, _, _ = strings.Cut(address, "%")
	if strings.Contains(address, ":") {
		return "[IPv6:" + address + "]"
	}
	return "[" + address + "]"
}

// upgrade is STARTTLS (RFC 3207) and the EHLO behind it.
func (s *session) upgrade(ctx context.Context, conn net.Conn) *explain.Failure {
	s.at(explain.StageSTARTTLS)
	if _, offered := s.extensions["STARTTLS"]; !offered {
		f := s.failure(nil, errNoSTARTTLS)
		s.leave()
		return f
	}
	s.wire.send("STARTTLS")
	r, err := s.answer(timeouts.ehlo)
	if err != nil || r.Code != 220 {
		return s.failure(r, err)
	}
	// Whoever can put words behind the reply wants them to be taken for
	// words said inside TLS.
	if s.wire.unread() > 0 {
		s.fact(explain.FactInjected, s.wire.injected())
		return s.failure(r, errInjected)
	}
	if f := s.startTLS(ctx, conn); f != nil {
		return f
	}
	return s.hello()
}

var (
	errNoSTARTTLS = errors.New("the server does not offer STARTTLS")
	errInjected   = errors.New("something was sent unencrypted behind the reply to STARTTLS")
	errNoAuth     = errors.New("the server offers no way to sign in that can be used")
)

// startTLS verifies the certificate against the host name, always.
func (s *session) startTLS(ctx context.Context, conn net.Conn) *explain.Failure {
	s.at(explain.StageTLS)
	config := s.o.tls.Clone()
	config.ServerName = strings.TrimSuffix(s.candidate.Host, ".")
	client := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, timeouts.tls)
	defer cancel()
	if err := client.HandshakeContext(ctx); err != nil {
		s.certificateFacts(err)
		return s.failure(nil, err)
	}
	s.wire.attach(client)
	return nil
}

// certificateFacts keeps what a certificate that was not accepted says.
func (s *session) certificateFacts(err error) {
	var failed *tls.CertificateVerificationError
	if !errors.As(err, &failed) || len(failed.UnverifiedCertificates) == 0 {
		return
	}
	leaf := failed.UnverifiedCertificates[0]
	s.fact(explain.FactCertNames, strings.Join(CertificateNames(leaf), " "))
	s.fact(explain.FactCertIssuer, explain.Cut(leaf.Issuer.String(), 200))
	s.fact(explain.FactCertNotBefore, leaf.NotBefore.UTC().Format(time.RFC3339))
	s.fact(explain.FactCertNotAfter, leaf.NotAfter.UTC().Format(time.RFC3339))
}

// CertificateNames are names that a certificate is good for, at most ten: those
// that are shared have hundreds, of which the first few tell whose it is.
func CertificateNames(c *x509.Certificate) []string {
	var names []string
	for _, n := range c.DNSNames {
		names = append(names, explain.Cut(n, 100))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = append(names, explain.Cut(c.Subject.CommonName, 100))
	}
	return names[:min(len(names), 10)]
}

// canAuthenticate sees that one of our mechanisms is offered. If not, another
// candidate may do better: some hosts offer AUTH on one port only.
func (s *session) canAuthenticate() *explain.Failure {
	if !s.o.signsIn() || s.mechanism() != nil {
		return nil
	}
	s.at(explain.StageAuth)
	s.fact(explain.FactAuthOffered, strings.Join(offered(s.extensions), " "))
	s.fact(explain.FactAuthWanted, names(s.o.wanted()))
	f := s.failure(nil, fmt.Errorf("%w: offered %q", errNoAuth, offered(s.extensions)))
	s.leave()
	return f
}

// leave ends the session politely, waiting for the farewell for a moment.
func (s *session) leave() {
	if !s.broken {
		s.wire.send("QUIT")
		_, _ = s.answer(timeouts.quit)
	}
	_ = s.wire.conn.Close()
}

// awake tells whether a session that rested can still be used. When ctx ends
// meanwhile, it cannot.
func (s *session) awake(ctx context.Context) bool {
	if s.wire.unread() > 0 || pending(s.wire.conn) { // the end of the stream, or a reply that nobody asked for
		s.broken = true
		return false
	}
	if !s.unclean && time.Since(s.rested) < restLimit {
		return true
	}
	stop := context.AfterFunc(ctx, func() { _ = s.wire.conn.Close() })
	s.wire.send("RSET")
	r, err := s.answer(timeouts.rset)
	s.broken = s.broken || !stop()
	s.unclean = err != nil || r.Class() != 2
	return !s.broken && !s.unclean && s.wire.unread() == 0
}

// announcedSize is the SIZE of the EHLO reply (RFC 1870); 0 if there is none.
func (s *session) announcedSize() int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s.extensions["SIZE"]), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// recipientLimit is RCPTMAX of the LIMITS extension (RFC 9422); 0 if unknown.
func (s *session) recipientLimit() int {
	for _, l := range strings.Fields(s.extensions["LIMITS"]) {
		if value, found := strings.CutPrefix(strings.ToUpper(l), "RCPTMAX="); found {
			if n, err := strconv.Atoi(value); err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}

func (s *session) offers(extension string) bool {
	_, ok := s.extensions[extension]
	return ok
}
