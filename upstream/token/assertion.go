package token

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"time"
)

var (
	errNoServiceAccount = errors.New("is not the JSON key of a service account, as the Google Cloud console gives it")
	errNoKey            = errors.New("has no RSA key in it that can be read")
)

// How long what we sign is good. Clocks that are a little wrong must not
// matter, so it begins a little early.
const (
	assertionLife = 10 * time.Minute
	clockSlack    = time.Minute
)

func rsaKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errNoKey
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errNoKey
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errNoKey
	}
	return key, nil
}

// assertion says that the service account wants to be subject (RFC 7523,
// section 3).
func (a *serviceAccount) assertion(audience, scope, subject string) (string, error) {
	now := time.Now()
	return sign(a.key, map[string]any{"kid": a.KeyID}, map[string]any{
		"iss": a.Email, "sub": subject, "scope": scope, "aud": audience,
		"iat": now.Add(-clockSlack).Unix(), "exp": now.Add(assertionLife).Unix(),
	})
}

// clientAssertion says that we are the application that the certificate was
// registered for. The header names it by its SHA-1 digest (RFC 7515, section
// 4.1.7), which is no more than a name here.
func clientAssertion(c *tls.Certificate, clientID, audience string) (string, error) {
	now, digest := time.Now(), sha1.Sum(c.Certificate[0])
	key, ok := c.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return "", errNoKey
	}
	return sign(key, map[string]any{"x5t": base64.RawURLEncoding.EncodeToString(digest[:])}, map[string]any{
		"iss": clientID, "sub": clientID, "aud": audience, "jti": rand.Text(),
		"nbf": now.Add(-clockSlack).Unix(), "iat": now.Add(-clockSlack).Unix(), "exp": now.Add(assertionLife).Unix(),
	})
}

// sign makes a JWT with RS256 (RFC 7519; RFC 7518, section 3.3).
func sign(key *rsa.PrivateKey, header, claims map[string]any) (string, error) {
	header["alg"], header["typ"] = "RS256", "JWT"
	text := ""
	for i, part := range []map[string]any{header, claims} {
		encoded, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		if i > 0 {
			text += "."
		}
		text += base64.RawURLEncoding.EncodeToString(encoded)
	}
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
