package sandbox

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdg-go/scram"

	"kurir/upstream/explain"
)

// errCancelled is the client's "*" (RFC 4954, section 4), errBase64 a
// response that cannot be read.
var (
	errCancelled = errors.New("the client cancelled AUTH")
	errBase64    = errors.New("a response is not base64")
)

// auth does AUTH (RFC 4954). The behaviour of the stage comes where a
// provider judges: when it has seen the credentials.
func (s *session) auth(args string) error {
	name, initial, _ := strings.Cut(args, " ")
	name = strings.ToUpper(name)
	b := s.port.current()
	switch {
	case s.secure == nil:
		return s.reply("538 5.7.11 Encryption required for the requested authentication mechanism")
	case s.authed || s.trans != nil:
		return s.reply("503 5.5.1 Not now")
	case !s.offers("AUTH"):
		return s.reply("502 5.5.1 AUTH is not offered")
	case !slices.Contains(b.mechanisms(), name):
		return s.reply("504 5.5.4 Unrecognized authentication type")
	}
	ok, err := s.exchange(name, initial)
	switch {
	case errors.Is(err, errCancelled):
		return s.reply("501 5.7.0 Authentication cancelled")
	case errors.Is(err, errBase64):
		return s.reply("501 5.5.2 Cannot decode the response")
	case err != nil:
		return err
	}
	act := s.at(explain.StageAuth)
	switch {
	case act.prevents():
		return s.say(act, "")
	case !ok:
		return s.reply("535 5.7.8 Authentication credentials invalid")
	}
	s.authed = true
	s.srv.count(func(st *Stats) { st.Auths++ })
	return s.say(act, "235 2.7.0 Authentication successful")
}

// exchange tells whether the credentials are right.
func (s *session) exchange(mechanism, initial string) (bool, error) {
	user, password := s.srv.opts.Username, s.srv.opts.Password
	switch mechanism {
	case "PLAIN": // RFC 4616
		response, err := s.respond(initial, "")
		parts := strings.Split(response, "\x00")
		return len(parts) == 3 && (parts[0] == "" || parts[0] == user) && parts[1] == user && parts[2] == password, err
	case "LOGIN":
		u, err := s.respond(initial, "Username:")
		if err != nil {
			return false, err
		}
		p, err := s.respond("", "Password:")
		return u == user && p == password, err
	case "CRAM-MD5": // RFC 2195
		challenge := "<" + rand.Text() + "@" + s.srv.opts.Hostname + ">"
		response, err := s.respond("", challenge)
		mac := hmac.New(md5.New, []byte(password))
		mac.Write([]byte(challenge))
		return response == user+" "+hex.EncodeToString(mac.Sum(nil)), err
	case "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS": // RFC 5802
		return s.scram(mechanism, initial)
	case "EXTERNAL": // RFC 4422, appendix A
		authority, err := s.respond(initial, "")
		conn, ok := s.conn.(*tls.Conn)
		return ok && len(conn.ConnectionState().PeerCertificates) > 0 && (authority == "" || authority == user), err
	case "OAUTHBEARER": // RFC 7628
		response, err := s.respond(initial, "")
		if err != nil || strings.HasPrefix(response, "n,a="+user+",\x01host=") && strings.HasSuffix(response, "\x01auth=Bearer "+password+"\x01\x01") {
			return err == nil, err
		}
		if regret, err := s.respond("", `{"status":"invalid_token","scope":"https://mail.sandbox.test/"}`); err != nil || regret != "\x01" {
			return false, errors.Join(err, errCancelled)
		}
		return false, nil
	case "XOAUTH2":
		response, err := s.respond(initial, "")
		if err != nil || response == fmt.Sprintf("user=%s\x01auth=Bearer %s\x01\x01", user, password) {
			return err == nil, err
		}
		_, err = s.respond("", `{"status":"401","schemes":"bearer","scope":"https://mail.sandbox.test/"}`)
		return false, err
	}
	return false, nil
}

// scram is SCRAM, bound to the TLS channel where the name ends in -PLUS.
func (s *session) scram(mechanism, initial string) (bool, error) {
	name, bound := strings.CutSuffix(mechanism, "-PLUS")
	hash := scram.HashGeneratorFcn(scram.SHA1)
	if name == "SCRAM-SHA-256" {
		hash = scram.SHA256
	}
	factors := scram.KeyFactors{Salt: "salt of the sandbox", Iters: 4096}
	server, err := hash.NewServer(func(user string) (scram.StoredCredentials, error) {
		client, err := hash.NewClient(user, s.srv.opts.Password, "")
		if err != nil || user != s.srv.opts.Username {
			return scram.StoredCredentials{}, errors.Join(err, errors.New("nobody of that name"))
		}
		return client.GetStoredCredentialsWithError(factors)
	})
	if err != nil {
		return false, err
	}
	conversation := server.NewConversation()
	if conn, ok := s.conn.(*tls.Conn); bound && ok {
		state := conn.ConnectionState()
		binding, err := scram.NewTLSExporterBinding(&state)
		if err != nil {
			return false, err
		}
		conversation = server.NewConversationWithChannelBindingRequired(binding)
	}
	response, err := s.respond(initial, "")
	for err == nil && !conversation.Done() {
		var challenge string
		if challenge, err = conversation.Step(response); err != nil {
			return false, nil // which is the client's doing
		}
		response, err = s.respond("", challenge)
	}
	return err == nil && conversation.Valid(), err
}

// respond takes the initial response, or asks for one.
func (s *session) respond(initial, challenge string) (string, error) {
	if initial == "=" {
		return "", nil
	}
	if initial == "" {
		if err := s.reply("334 " + base64.StdEncoding.EncodeToString([]byte(challenge))); err != nil {
			return "", err
		}
		var err error
		if initial, err = s.readLine(); err != nil {
			return "", err
		}
		if initial == "*" {
			return "", errCancelled
		}
	}
	response, err := base64.StdEncoding.DecodeString(initial)
	if err != nil {
		return "", errBase64
	}
	return string(response), nil
}
