package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// A Certificate is what is right or wrong with the certificate shown.
type Certificate string

// The kinds of certificate that an Authority issues.
const (
	Good      Certificate = ""           // for localhost, 127.0.0.1 and ::1
	Expired   Certificate = "expired"    // since yesterday
	WrongName Certificate = "wrong-name" // for smtp.elsewhere.test only
	Untrusted Certificate = "untrusted"  // self-signed
)

// An Authority is a certificate authority that lives in memory only; nothing
// trusts it but the programs that are handed its PEM or Pool.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewAuthority makes an authority with a key of its own.
func NewAuthority() (*Authority, error) {
	now := time.Now()
	cert, key, err := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "Kurir sandbox authority"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil)
	if err != nil {
		return nil, err
	}
	return &Authority{key: key, cert: cert}, nil
}

// Issue makes a server certificate of that kind.
func (a *Authority) Issue(kind Certificate) (tls.Certificate, error) {
	now := time.Now()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   now.Add(-time.Hour),
		NotAfter:    now.AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	issuer := a
	switch kind {
	case Good:
	case Expired:
		template.NotBefore, template.NotAfter = now.AddDate(0, -3, 0), now.AddDate(0, 0, -1)
	case WrongName:
		template.Subject.CommonName = "smtp.elsewhere.test"
		template.DNSNames, template.IPAddresses = []string{"smtp.elsewhere.test"}, nil
	case Untrusted:
		issuer = nil
	default:
		return tls.Certificate{}, fmt.Errorf("sandbox: no certificate is called %q", kind)
	}
	cert, key, err := sign(template, issuer)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// PEM is the authority's certificate, as a ca_file holds it.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pool holds the authority's certificate alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// sign makes a key for the template and has the issuer sign it; without one
// the certificate signs itself.
func sign(template *x509.Certificate, issuer *Authority) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: making a key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, fmt.Errorf("sandbox: making a serial number: %w", err)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: signing a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: reading a certificate back: %w", err)
	}
	return cert, key, nil
}
