// Package explain says why mail failed, what that means and what to do.
//
// It is pure: it looks at what was seen (a reply, an error, the stage, the
// candidate, facts) and asks nobody. Whatever is shown to people or decided
// about mail because of a failure comes from here, once:
//
//   - Explain finds the one Cause of a Failure; Whole finds the one that
//     speaks for all candidates of a route.
//   - Failure.Verdict says what becomes of the mail, Scope what the failure is
//     about, Elsewhere whether another candidate may do better.
//   - Failure.Explanation is the words for log, reply and page, in a Language;
//     Failure.Details is all of it as people read it.
//
// Reading order: cause.go (the names), failure.go and reply.go (the values),
// explain.go (from what was seen to the cause), catalogue.go (from the cause
// to policy; its data is catalogue.toml), words.go (from the cause and what is
// known to words; its data are catalogue.en.toml and catalogue.id.toml),
// language.go (other packages' words, and what is fit to be shown), rules.go
// (from a server's words to the cause; its data is rules.toml, and phrases.go
// makes that fast), and text.go (the same for what people paste). A new text is
// a new rule in the data, a new cause a row in each file; no code.
package explain

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"kurir/upstream/envelope"
)

// Explain finds the cause of f from what it holds and returns it. A cause
// that is already set is kept.
func Explain(f Failure) *Failure {
	if f.Cause == "" {
		f.Cause = f.find()
	}
	return &f
}

func (f *Failure) find() Cause {
	switch {
	case f.Fact(FactInjected) != "":
		return TLSNotOffered
	case f.aboutToken():
		return f.causeOfToken()
	case f.Reply != nil:
		cause := causeOf(f.Stage, f.Reply.Code, f.Reply.Enhanced, f.Provider, f.said())
		if cause == AuthRejected && f.byToken() {
			return AuthToken
		}
		return cause
	case f.Err != nil:
		return f.causeOfError()
	}
	return Unknown
}

// said is the server's reply without the addresses of the transaction, which it
// may repeat and a stranger may have chosen: "daily quota exceeded"@example.org
// is the address of somebody and no refusal.
func (f *Failure) said() string {
	text := f.Reply.Text()
	for _, p := range []envelope.Path{f.Recipient, f.Sender} {
		if p == "" {
			continue
		}
		bare := strings.NewReplacer(`"`, "", `\`, "").Replace(string(p))
		each := regexp.MustCompile("(?i)" + regexp.QuoteMeta(string(p)) + "|" + regexp.QuoteMeta(bare))
		text = each.ReplaceAllLiteralString(text, "a@b")
	}
	return text
}

// byToken tells whether it was tried to sign in with an OAuth2 token, which
// servers refuse in the words for a wrong password.
func (f *Failure) byToken() bool {
	m := f.Fact(FactAuthMechanism)
	return m == "XOAUTH2" || m == "OAUTHBEARER"
}

// causeOfError tells errors apart by their types. Where a type says nothing,
// the stage does: each has one thing that can be missing in a server's offer.
func (f *Failure) causeOfError() Cause {
	if c := causeOnTheWay(f.Err); c != "" {
		return c
	}
	switch f.Stage {
	case StageGreeting, StageEHLO:
		return ProtocolWrongPort
	case StageSTARTTLS:
		return TLSNotOffered
	case StageTLS:
		return TLSVersion
	case StageAuth:
		return AuthMechanism
	}
	return Unknown
}

// causeOnTheWay is why a server could not be reached, or not over TLS; "" if
// that is not it.
func causeOnTheWay(err error) Cause {
	c := cmp.Or(certificateCause(err), networkCause(err))
	if alert, ok := errors.AsType[tls.AlertError](err); c == "" && ok {
		return alertCause(alert)
	}
	return c
}

// aboutToken tells that no OAuth2 token could be got, so that the smart host
// has not heard of us yet.
func (f *Failure) aboutToken() bool {
	return slices.ContainsFunc(f.Facts, func(x Fact) bool { return x.Name == FactTokenEndpoint })
}

// causeOfToken says why: the token endpoint refused us, or could not be asked.
func (f *Failure) causeOfToken() Cause {
	if c := causeOnTheWay(f.Err); c != "" && f.Fact(FactTokenError) == "" {
		return c
	}
	if q, ok := f.question(); ok {
		if r := q.answer(); r != nil {
			return r.Cause
		}
	}
	return AuthToken
}

func certificateCause(err error) Cause {
	var (
		record    tls.RecordHeaderError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		roots     x509.SystemRootsError
		failed    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &record):
		return ProtocolWrongPort
	case errors.As(err, &host):
		return TLSCertificateName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return TLSCertificateExpired
	case errors.As(err, &authority), errors.As(err, &roots), errors.As(err, &invalid), errors.As(err, &failed):
		return TLSCertificateUntrusted
	}
	return ""
}

// alertCause reads the alert that a server ended the handshake with (RFC 8446,
// section 6.2).
func alertCause(alert tls.AlertError) Cause {
	const (
		badCertificate      = 42
		unsupported         = 43
		certificateRequired = 116
	)
	switch alert {
	case certificateRequired, badCertificate, unsupported:
		return AuthRequired // it wants a certificate of ours
	}
	return TLSVersion
}

func networkCause(err error) Cause {
	var (
		dns     *net.DNSError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return DNSNotFound
	case errors.As(err, &dns):
		return DNSFailure
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectRefused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETDOWN):
		return ConnectUnreachable
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return ConnectTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return ConnectClosed
	}
	return ""
}

// Whole gives one failure that speaks for all candidates of a route, in the
// order in which they were tried: one that got through TLS before one that did
// not, and of those the one whose cause tells most.
func Whole(candidates []*Failure) *Failure {
	if len(candidates) == 1 {
		return candidates[0]
	}
	best := candidates[0]
	for _, c := range candidates[1:] {
		switch {
		case c.secured() && !best.secured(),
			c.secured() == best.secured() && row(c.Cause).Depth > row(best.Cause).Depth:
			best = c
		}
	}
	whole := *best
	whole.Candidates = candidates
	return &whole
}

// secured tells that the session had come through TLS and the EHLO behind it:
// there is a mail server, and the way to it is open.
func (f *Failure) secured() bool {
	return slices.Index(Stages(), f.Stage) > slices.Index(Stages(), StageTLS)
}

// everywhere tells that all candidates failed in the same way.
func (f *Failure) everywhere() bool {
	for _, c := range f.Candidates {
		if c.Cause != f.Cause || c.secured() != f.secured() {
			return false
		}
	}
	return len(f.Candidates) > 1
}

// onePort tells that no candidate had another port than the first.
func (f *Failure) onePort() bool {
	return f.Candidate.Port != 0 && !slices.ContainsFunc(f.Candidates, func(c *Failure) bool { return c.Candidate.Port != f.Candidates[0].Candidate.Port })
}

// Elsewhere tells whether another candidate may do better. Once a server has
// answered to AUTH, MAIL, RCPT or the content, it is the same account and the
// same message everywhere, and trying on would only bring a lockout nearer.
func (f *Failure) Elsewhere() bool {
	if f.Stage == StageAuth {
		return f.Reply == nil && !f.aboutToken()
	}
	return f.BeforeMail()
}
