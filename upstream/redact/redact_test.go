package redact_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"kurir/upstream/redact"
)

// However a secret comes back, nobody reads it (P7).
func TestRedact(t *testing.T) {
	const secret = `p&ss "w/rd`
	r := redact.New("\x00user\x00"+secret, secret)
	for _, said := range []string{
		`535 "` + secret + `" is wrong`,
		"501 AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00user\x00"+secret)),
		"501 " + base64.StdEncoding.EncodeToString([]byte(secret)),
		`client_secret=p%26ss+%22w%2Frd&x=1`, `/p&ss%20%22w%2Frd/`, `{"password":"p\u0026ss \"w/rd"}`,
	} {
		got := r.Redact(said)
		if !strings.Contains(got, redact.Mark) || strings.Contains(got, "w/rd") || strings.Contains(got, "w%2Frd") || len(got) > len(said)+len(redact.Mark) {
			t.Errorf("%q became %q", said, got)
		}
	}
	for _, harmless := range []*redact.Redactor{nil, redact.New(), redact.New("", "abc")} {
		if got := harmless.Redact("abc of " + secret); got != "abc of "+secret {
			t.Errorf("%q", got)
		}
	}
}
