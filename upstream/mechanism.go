package upstream

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"

	"kurir/upstream/explain"
)

// A credential is what a mechanism signs in with: a password, an access token
// or nothing but the client's certificate.
type credential int

const (
	password credential = iota
	accessToken
	certificate
)

// A mechanism is a way to sign in (RFC 4422).
type mechanism struct {
	name   string
	with   credential
	bound  bool // to the TLS channel: it needs one that can be
	client func(s *session, user, secret string) (sasl.Client, error)
}

// mechanisms are those that we know, for each kind of credential the best
// first. All run inside TLS, so PLAIN gives nothing away that CRAM-MD5 would
// keep, and the server need not store the password in the clear for it. SCRAM
// keeps the password from the server as well.
var mechanisms = []mechanism{
	{"XOAUTH2", accessToken, false, func(_ *session, user, token string) (sasl.Client, error) {
		return &tokenClient{first: "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"}, nil
	}},
	{"OAUTHBEARER", accessToken, false, func(s *session, user, token string) (sasl.Client, error) { // RFC 7628
		first := fmt.Sprintf("n,a=%s,\x01host=%s\x01port=%d\x01auth=Bearer %s\x01\x01", scramName(user), s.candidate.Host, s.candidate.Port, token)
		return &tokenClient{first: first, regret: "\x01"}, nil
	}},
	{"SCRAM-SHA-256-PLUS", password, true, boundScram(scram.SHA256)},
	{"SCRAM-SHA-256", password, false, plainScram(scram.SHA256)},
	{sasl.Plain, password, false, func(_ *session, user, secret string) (sasl.Client, error) {
		return sasl.NewPlainClient("", user, secret), nil
	}},
	{sasl.Login, password, false, func(_ *session, user, secret string) (sasl.Client, error) {
		return &loginClient{answers: []string{user, secret}}, nil
	}},
	{"SCRAM-SHA-1-PLUS", password, true, boundScram(scram.SHA1)},
	{"SCRAM-SHA-1", password, false, plainScram(scram.SHA1)},
	{"CRAM-MD5", password, false, func(_ *session, user, secret string) (sasl.Client, error) {
		return &cramClient{user: user, password: secret}, nil
	}},
	{sasl.External, certificate, false, func(_ *session, user, _ string) (sasl.Client, error) {
		return sasl.NewExternalClient(user), nil
	}},
}

// Mechanisms are the names of the AUTH mechanisms that Options.Auth may pin.
func Mechanisms() []string {
	names := make([]string, len(mechanisms))
	for i, m := range mechanisms {
		names[i] = m.name
	}
	return names
}

// credential is what the options sign in with. A password is an access token
// where a mechanism that wants one is pinned.
func (o *Options) credential() credential {
	for _, m := range mechanisms {
		if strings.EqualFold(o.Auth, m.name) {
			return m.with
		}
	}
	switch {
	case o.Token != nil:
		return accessToken
	case o.Password == "" && len(o.ClientCertificates) > 0:
		return certificate
	}
	return password
}

// signsIn tells whether there is anything to sign in with.
func (o *Options) signsIn() bool {
	return o.Username != "" || o.credential() == certificate && o.Auth != ""
}

// wanted are the mechanisms that the configuration allows, the best first.
func (o *Options) wanted() []mechanism {
	with := o.credential()
	return slices.DeleteFunc(slices.Clone(mechanisms), func(m mechanism) bool {
		return m.with != with || o.Auth != "" && !strings.EqualFold(o.Auth, m.name)
	})
}

// offered are the mechanisms of an EHLO reply, in upper case.
func offered(extensions map[string]string) []string {
	return strings.Fields(strings.ToUpper(extensions["AUTH"]))
}

// mechanism is the best wanted one that the server offers, nil if there is
// none.
func (s *session) mechanism() *mechanism {
	offers := offered(s.extensions)
	for _, m := range s.o.wanted() {
		if !slices.Contains(offers, m.name) {
			continue
		}
		if _, err := s.binding(); m.bound && err != nil {
			continue
		}
		return &m
	}
	return nil
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

// tokenClient says one thing. A further question is the server's way to tell
// why it refuses, and after an answer that says nothing it does so.
type tokenClient struct{ first, regret string }

func (t *tokenClient) Start() (string, []byte, error) { return "", []byte(t.first), nil }

func (t *tokenClient) Next([]byte) ([]byte, error) { return []byte(t.regret), nil }

// scramClient is SCRAM (RFC 5802, RFC 7677), bound to the TLS channel (RFC
// 9266) where a mechanism ends in -PLUS.
type scramClient struct{ conversation *scram.ClientConversation }

func (c *scramClient) Start() (string, []byte, error) {
	first, err := c.conversation.Step("")
	return "", []byte(first), err
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	answer, err := c.conversation.Step(string(challenge))
	return []byte(answer), err
}

// proved tells whether the server has shown that it knows the password too.
func (c *scramClient) proved() bool { return c.conversation.Valid() }

// A prover is a client that wants to know whether the server is the right one.
type prover interface{ proved() bool }

// scramName writes a name so that it cannot end the field that it stands in.
func scramName(s string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s)
}

func plainScram(hash scram.HashGeneratorFcn) func(*session, string, string) (sasl.Client, error) {
	return func(s *session, user, secret string) (sasl.Client, error) {
		client, err := hash.NewClient(user, secret, "")
		if err != nil {
			return nil, err
		}
		conversation := client.NewConversation()
		// What was taken away from the offer would show: we could have bound it.
		if _, err := s.binding(); err == nil && !strings.Contains(strings.Join(offered(s.extensions), " "), "-PLUS") {
			conversation = client.NewConversationAdvertisingChannelBinding()
		}
		return &scramClient{conversation}, nil
	}
}

func boundScram(hash scram.HashGeneratorFcn) func(*session, string, string) (sasl.Client, error) {
	return func(s *session, user, secret string) (sasl.Client, error) {
		client, err := hash.NewClient(user, secret, "")
		if err != nil {
			return nil, err
		}
		binding, err := s.binding()
		if err != nil {
			return nil, err
		}
		return &scramClient{client.NewConversationWithChannelBinding(binding)}, nil
	}
}

var errUnbound = errors.New("the TLS channel cannot be bound to")

// binding is what SCRAM is bound to: the keys of TLS 1.3 or, before it, the
// first handshake.
func (s *session) binding() (scram.ChannelBinding, error) {
	conn, ok := s.wire.conn.(*tls.Conn)
	if !ok {
		return scram.ChannelBinding{}, errUnbound
	}
	state := conn.ConnectionState()
	switch {
	case state.Version >= tls.VersionTLS13:
		return scram.NewTLSExporterBinding(&state)
	case len(state.TLSUnique) > 0:
		return scram.NewTLSUniqueBinding(state.TLSUnique), nil
	}
	return scram.ChannelBinding{}, errUnbound
}

// names are those of mechanisms, for a person.
func names(all []mechanism) string {
	var list []string
	for _, m := range all {
		list = append(list, m.name)
	}
	return strings.Join(list, " ")
}

// authFacts are what an explanation of a failed login needs to know.
func (s *session) authFacts(m *mechanism) {
	s.fact(explain.FactAuthOffered, strings.Join(offered(s.extensions), " "))
	s.fact(explain.FactAuthMechanism, m.name)
}
