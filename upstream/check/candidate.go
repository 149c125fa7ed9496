package check

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"kurir/upstream"
	"kurir/upstream/explain"
)

// A Candidate is one way into the smart host, as it was walked.
type Candidate struct {
	explain.Candidate
	Result Result `json:"result"`
	Steps  []Step `json:"steps"`

	TLSVersion  string       `json:"tls_version,omitempty"`
	Certificate *Certificate `json:"certificate,omitempty"`

	Extensions []string `json:"extensions,omitempty"` // keywords of the EHLO reply behind TLS, sorted
	Size       int64    `json:"size,omitempty"`       // octets a message may have; 0 = not announced
	Auth       []string `json:"auth,omitempty"`       // mechanisms offered

	Trouble *explain.Told `json:"failure,omitempty"`
}

// A Result is what came of a candidate.
type Result string

// The results.
const (
	SignedIn Result = "signed in"
	Ready    Result = "ready" // without signing in, which was not needed or happened elsewhere
	Failed   Result = "failed"
)

// A Step is one stage of the walk and how long it took.
type Step struct {
	Stage     explain.Stage `json:"stage"`
	ElapsedMS float64       `json:"elapsed_ms"`
	Failed    bool          `json:"failed,omitempty"`
}

// A Certificate is what the server shows. Of one that was not accepted, only
// what the failure observed is known.
type Certificate struct {
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	EndsSoon  bool      `json:"ends_soon,omitempty"` // within upstream.RenewalTime
}

func candidate(w upstream.Walked, l explain.Language) Candidate {
	c := Candidate{Candidate: w.Candidate, Result: Ready}
	for _, s := range w.Steps {
		c.Steps = append(c.Steps, Step{Stage: s.Stage, ElapsedMS: milliseconds(s.Elapsed)})
	}
	switch {
	case w.Failure != nil:
		c.Result, c.Trouble = Failed, w.Failure.ToldIn(l)
		c.Steps[len(c.Steps)-1].Failed = true
		c.Certificate = certificateFromFacts(w.Failure)
	case w.SignedIn:
		c.Result = SignedIn
	}
	if w.TLS == nil {
		return c
	}
	c.TLSVersion = tls.VersionName(w.TLS.Version)
	if len(w.TLS.PeerCertificates) > 0 {
		c.Certificate = certificate(w.TLS.PeerCertificates[0])
	}
	c.Extensions = short(slices.Sorted(maps.Keys(w.Extensions)))
	c.Size, _ = strconv.ParseInt(strings.TrimSpace(w.Extensions["SIZE"]), 10, 64) // RFC 1870: without a number, none is announced
	c.Auth = short(strings.Fields(strings.ToUpper(w.Extensions["AUTH"])))
	return c
}

// What is told of a server, which may say anything. Honest ones offer about
// twenty keywords.
const (
	mostWords  = 40
	mostOctets = 200 // of one word or name
)

func short(words []string) []string {
	words = words[:min(len(words), mostWords)]
	for i, w := range words {
		words[i] = explain.Cut(w, mostOctets)
	}
	return words
}

func certificate(leaf *x509.Certificate) *Certificate {
	return dated(&Certificate{
		Names: upstream.CertificateNames(leaf), Issuer: explain.Cut(leaf.Issuer.String(), mostOctets),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
	})
}

// certificateFromFacts is nil where the failure is not about a certificate.
func certificateFromFacts(f *explain.Failure) *Certificate {
	until, err := time.Parse(time.RFC3339, f.Fact(explain.FactCertNotAfter))
	if err != nil {
		return nil
	}
	c := &Certificate{
		Names: strings.Fields(f.Fact(explain.FactCertNames)), Issuer: f.Fact(explain.FactCertIssuer),
		NotAfter: until,
	}
	c.NotBefore, _ = time.Parse(time.RFC3339, f.Fact(explain.FactCertNotBefore)) // written beside the other
	return dated(c)
}

func dated(c *Certificate) *Certificate {
	left := time.Until(c.NotAfter)
	c.EndsSoon = left > 0 && left < upstream.RenewalTime
	return c
}
