package check

import (
	"crypto/x509"
	"testing"
	"time"
)

// A certificate that is not renewed two weeks before its end will stop all
// mail one night; one that has ended already is told as a failure instead.
func TestEndsSoon(t *testing.T) {
	const day = 24 * time.Hour
	for left, want := range map[time.Duration]bool{-day: false, day: true, 13 * day: true, 15 * day: false} {
		c := certificate(&x509.Certificate{NotAfter: time.Now().Add(left)})
		if c.EndsSoon != want {
			t.Errorf("%s left: ends soon is %v", left, c.EndsSoon)
		}
	}
}
