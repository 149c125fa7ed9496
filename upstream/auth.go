package upstream

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"kurir/upstream/explain"
)

// maxCommand is the longest command line with its CRLF (RFC 5321, section
// 4.5.3.1.4); an AUTH line with its initial response obeys it too (RFC 4954,
// section 4).
const maxCommand = 512

// mechanisms are what we can sign in with, the best first. All run inside
// TLS, so PLAIN gives nothing away that CRAM-MD5 would keep, and the server
// need not store the password in the clear for it.
var mechanisms = []struct {
	name   string
	client func(user, password string) sasl.Client
}{
	{sasl.Plain, func(u, p string) sasl.Client { return sasl.NewPlainClient("", u, p) }},
	{sasl.Login, func(u, p string) sasl.Client { return &loginClient{answers: []string{u, p}} }},
	{"CRAM-MD5", func(u, p string) sasl.Client { return &cramClient{user: u, password: p} }},
}

// Mechanisms are the names of the AUTH mechanisms that Options.Auth may pin.
func Mechanisms() []string {
	names := make([]string, len(mechanisms))
	for i, m := range mechanisms {
		names[i] = m.name
	}
	return names
}

// loginClient is AUTH LOGIN as servers really speak it: two prompts of any
// wording, the user name asked for first.
type loginClient struct{ answers []string }

func (l *loginClient) Start() (string, []byte, error) { return sasl.Login, nil, nil }

func (l *loginClient) Next([]byte) ([]byte, error) {
	if len(l.answers) == 0 {
		return nil, errors.New("the server asked a third question during AUTH LOGIN")
	}
	answer := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(answer), nil
}

// cramClient is AUTH CRAM-MD5 (RFC 2195).
type cramClient struct {
	user, password string
	answered       bool
}

func (c *cramClient) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (c *cramClient) Next(challenge []byte) ([]byte, error) {
	if c.answered {
		return nil, errors.New("the server asked a second question during AUTH CRAM-MD5")
	}
	c.answered = true
	mac := hmac.New(md5.New, []byte(c.password))
	mac.Write(challenge)
	return []byte(c.user + " " + hex.EncodeToString(mac.Sum(nil))), nil
}

// offered are the mechanisms of an EHLO reply, in upper case.
func offered(extensions map[string]string) []string {
	return strings.Fields(strings.ToUpper(extensions["AUTH"]))
}

// wanted are the mechanisms that the configuration allows, the best first.
func (o *Options) wanted() []string {
	if o.Auth != "" {
		return []string{strings.ToUpper(o.Auth)}
	}
	return Mechanisms()
}

// usableMechanism is the best wanted one that is offered, "" if there is none.
func usableMechanism(wanted, offered []string) string {
	for _, w := range wanted {
		if slices.Contains(offered, w) {
			return w
		}
	}
	return ""
}

// authenticate signs in (RFC 4954). Its failure is a reply to AUTH, after
// which no other candidate is tried: it is the same account everywhere.
func (s *session) authenticate(ctx context.Context) *explain.Failure {
	stop := context.AfterFunc(ctx, func() { _ = s.wire.conn.Close() })
	defer stop()
	s.at(explain.StageAuth)
	o := s.o
	s.wire.hidden = secrets(o.Username, o.Password)
	name := usableMechanism(o.wanted(), offered(s.extensions))
	var client sasl.Client
	for _, m := range mechanisms {
		if m.name == name {
			client = m.client(o.Username, o.Password)
		}
	}
	s.fact(explain.FactAuthOffered, strings.Join(offered(s.extensions), " "))
	s.fact(explain.FactAuthMechanism, name)

	_, initial, err := client.Start()
	if err != nil {
		return s.failure(nil, err)
	}
	command := "AUTH " + name
	encoded := base64.StdEncoding.EncodeToString(initial)
	pending := initial
	if initial != nil && len(command)+1+len(encoded)+2 <= maxCommand {
		s.wire.sendSecret(command+" "+encoded, command+" [credentials]")
		pending = nil
	} else {
		s.wire.send(command)
	}
	for {
		r, err := s.answer(timeouts.auth)
		if err != nil {
			return s.failure(nil, err)
		}
		switch {
		case r.Code == 235 || r.Class() == 2:
			return nil
		case r.Code != 334:
			return s.failure(r, nil)
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

// secrets are the forms in which a password is sent.
func secrets(username, password string) []string {
	forms := []string{
		base64.StdEncoding.EncodeToString([]byte("\x00" + username + "\x00" + password)),
		base64.StdEncoding.EncodeToString([]byte(password)),
		password,
	}
	return slices.DeleteFunc(forms, func(s string) bool { return len(s) < 4 })
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
