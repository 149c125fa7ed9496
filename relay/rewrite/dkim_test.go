package rewrite_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"kurir/relay/rewrite"
)

// A signature of the app's own must be as good behind us as it was before,
// unless a person has asked for another sender. Who names a field twice in h=,
// or names one that is missing, forbids anybody to add it (RFC 6376, section
// 5.4.2), and so no field is added then that a receiver would want.
func TestSigned(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const (
		content = "From: App <app@example.org>\nSubject: s\nBcc: c@d\n\nbody\n"
		dated   = "Date: Sun, 22 Nov 2026 22:07:00 +0700\nMessage-ID: <a@b>\n" + content
	)
	for _, c := range []struct {
		name   string
		in     string
		fields []string
		rules  rewrite.Rules
		gone   string   // of in
		added  []string // below Received
		valid  bool
	}{
		{"nothing to add", dated, []string{"From", "Date"}, rewrite.Rules{}, "Bcc: c@d\n", nil, true},
		{"fields that it does not name", content, []string{"From", "Subject"}, rewrite.Rules{}, "Bcc: c@d\n", []string{date, id}, true},
		{"Date", content, []string{"From", "Date"}, rewrite.Rules{}, "Bcc: c@d\n", []string{id}, true},
		{"all of them, and Bcc", content, []string{"From", "From", "Date", "MESSAGE-ID", "bcc"}, rewrite.Rules{}, "", nil, true},
		{"Resent-Bcc only", "Resent-Bcc: e@f\n" + dated, []string{"From", "Resent-Bcc"}, rewrite.Rules{}, "Bcc: c@d\n", nil, true},
		{"an allowed sender", dated, []string{"From", "Sender", "Reply-To"}, shopFor("example.org"), "Bcc: c@d\n", nil, true},
		{"a foreign sender", dated, []string{"From", "Reply-To"}, shop(rewrite.Unauthorized), "", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var signed strings.Builder
			err := dkim.Sign(&signed, strings.NewReader(strings.ReplaceAll(c.in, "\n", "\r\n")), &dkim.SignOptions{
				Domain: "example.org", Selector: "s", Signer: private, HeaderKeys: c.fields,
				HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationSimple,
			})
			if err != nil {
				t.Fatal(err)
			}
			p := compile(t, c.rules)
			for _, n := range []int{0, 1, 7} {
				out := through(t, p, "app@example.org", signed.String(), n)
				seen, err := dkim.VerifyWithOptions(strings.NewReader(out), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) {
					return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}, nil
				}})
				if err != nil || len(seen) != 1 || (seen[0].Err == nil) != c.valid {
					t.Fatalf("%v %+v:\n%s", err, seen, out)
				}
				if !c.valid {
					continue
				}
				want := ours + strings.Join(c.added, "") + strings.Replace(signed.String(), strings.ReplaceAll(c.gone, "\n", "\r\n"), "", 1)
				if out != want {
					t.Errorf("in parts of %d:\n got %q\nwant %q", n, out, want)
				}
			}
		})
	}
}

func shopFor(domain string) rewrite.Rules {
	r := shop(rewrite.Unauthorized)
	r.Allowed = append(r.Allowed, domain)
	return r
}

// A From that a signature keeps anybody from adding is not added, and broken
// signatures cost no message.
func TestSignedFrom(t *testing.T) {
	for _, c := range []struct{ in, added string }{
		{"DKIM-Signature: v=1; h=a :\n from\n\t: b; b=x\n" + complete + "\nx\n", ""},
		{"DKIM-Signature: H=from\nDKIM-Signature: h\n" + complete + "\nx\n", from},
		{"dkim-signature:\n" + complete + "\nx\n", from},
		{"X: y\nDKIM-Signature: v=1; h=From; b=x\n" + complete + "From:\n\nx\n", ""},
	} {
		in := strings.ReplaceAll(c.in, "\n", "\r\n")
		if got := through(t, nil, "app@example.org", in, 3); got != ours+c.added+in {
			t.Errorf("%q", got)
		}
	}
}
