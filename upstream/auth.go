package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"kurir/upstream/explain"
	"kurir/upstream/redact"
)

// A TokenSource gives OAuth2 access tokens to sign in with.
type TokenSource interface {
	// Token gives a token that is good for some minutes. An error is an
	// *explain.Failure at StageAuth.
	Token(ctx context.Context) (string, error)

	// Refused tells that the provider refused a token that should have been
	// good. The next Token gives another, if one may be asked for already.
	Refused(token string)
}

// maxCommand is the longest command line with its CRLF (RFC 5321, section
// 4.5.3.1.4); an AUTH line with its initial response obeys it too (RFC 4954,
// section 4).
const maxCommand = 512

// authenticate signs in (RFC 4954). After a reply to AUTH no other candidate is
// tried (Failure.Elsewhere): it is the same account everywhere. A token that was
// refused is replaced once.
func (s *session) authenticate(ctx context.Context) *explain.Failure {
	s.at(explain.StageAuth)
	m := s.mechanism()
	if s.o.credential() != accessToken || s.o.Token == nil {
		return s.signIn(ctx, m, s.o.Password)
	}
	var before string
	var failure *explain.Failure
	for range 2 {
		token, err := s.o.Token.Token(ctx)
		if err != nil {
			return s.withoutToken(err)
		}
		if token == before {
			break
		}
		if failure = s.signIn(ctx, m, token); failure == nil || failure.Reply == nil || failure.Reply.Code != 535 {
			break
		}
		s.o.Token.Refused(token)
		before = token
	}
	return failure
}

// withoutToken is the failure of a login that there is no token for.
func (s *session) withoutToken(err error) *explain.Failure {
	if failure, ok := errors.AsType[*explain.Failure](err); ok {
		failure.Provider = s.o.provider.Name
		failure.Facts = append(failure.Facts, s.o.Facts...)
		return failure
	}
	return s.failure(nil, err)
}

// signIn makes one attempt.
func (s *session) signIn(ctx context.Context, m *mechanism, secret string) *explain.Failure {
	stop := context.AfterFunc(ctx, func() { _ = s.wire.conn.Close() })
	defer stop()
	s.at(explain.StageAuth)
	s.wire.secrets = hiding(s.o.Username, secret)
	s.authFacts(m)
	client, err := m.client(s, s.o.Username, secret)
	if err != nil {
		return s.failure(nil, err)
	}
	_, initial, err := client.Start()
	if err != nil {
		return s.failure(nil, err)
	}
	command := "AUTH " + m.name
	encoded := base64.StdEncoding.EncodeToString(initial)
	if initial != nil && encoded == "" {
		encoded = "=" // RFC 4954, section 4
	}
	pending := initial
	if initial != nil && len(command)+1+len(encoded)+2 <= maxCommand {
		s.wire.sendSecret(command+" "+encoded, command+" [credentials]")
		pending = nil
	} else {
		s.wire.send(command)
	}
	for questions := 0; ; questions++ {
		r, err := s.answer(timeouts.auth)
		if err != nil {
			return s.failure(nil, err)
		}
		switch {
		case r.Class() == 2:
			if p, ok := client.(prover); ok && !p.proved() {
				return s.failure(nil, errUnproved)
			}
			return nil
		case r.Code != 334:
			return s.failure(r, nil)
		case questions == maxQuestions:
			return s.cancelAuth(errQuestions)
		}
		response := pending
		if pending = nil; response == nil {
			if response, err = client.Next(challenge(r)); err != nil {
				return s.cancelAuth(err)
			}
		}
		s.wire.sendSecret(base64.StdEncoding.EncodeToString(response), "[credentials]")
	}
}

// maxQuestions are more than any mechanism asks.
const maxQuestions = 10

var errQuestions = fmt.Errorf("the server has asked more than %d questions", maxQuestions)

var errUnproved = errors.New("the server has not proved that it knows the password (RFC 5802, section 5)")

// hiding takes out a password or token, as it is and as AUTH sends it.
func hiding(username, password string) *redact.Redactor {
	if password == "" {
		return nil
	}
	return redact.New("user="+username+"\x01auth=Bearer "+password+"\x01\x01", "\x00"+username+"\x00"+password, password)
}

// challenge decodes the words of a 334. Some servers say "Go ahead" there
// instead of base64; the mechanisms that do not read it do not mind.
func challenge(r *explain.Reply) []byte {
	text := strings.Join(r.Lines, "")
	if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil {
		return decoded
	}
	return []byte(text)
}

// cancelAuth ends an exchange that we cannot go on with (RFC 4954, section 4).
func (s *session) cancelAuth(cause error) *explain.Failure {
	s.wire.send("*")
	r, err := s.answer(timeouts.auth)
	if err != nil {
		return s.failure(nil, errors.Join(cause, err))
	}
	return s.failure(r, cause)
}
