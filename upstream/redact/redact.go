// Package redact takes secrets out of what others say: a server, a token
// endpoint or a program may repeat what it was given. It is the one place that
// knows in which forms a secret comes back, and what stands in its place. Read
// Forms, then Redactor.
package redact

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Mark stands in the place of a secret.
const Mark = "[redacted]"

// least is the shortest text, in octets, that is looked for: to take out a
// shorter one would spoil what is said more than it hides.
const least = 4

// Forms are the texts that give a secret away, the longest first: the secret,
// and what it is in base64 (as AUTH has it), in a URL or form, and within the
// quotes of Go and TOML, and of JSON with and without its care for HTML.
func Forms(secret string) []string {
	forms := []string{
		secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		url.QueryEscape(secret), url.PathEscape(secret),
	}
	asJSON, _ := json.Marshal(secret) // a string can always be
	var asItIs strings.Builder
	plain := json.NewEncoder(&asItIs)
	plain.SetEscapeHTML(false)
	_ = plain.Encode(secret)
	for _, quoted := range []string{strconv.Quote(secret), string(asJSON), strings.TrimSpace(asItIs.String())} {
		forms = append(forms, quoted[1:len(quoted)-1])
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	return slices.DeleteFunc(slices.Compact(forms), func(s string) bool { return len(s) < least || len(secret) < least })
}

// A Redactor takes out some secrets; nil takes out none.
type Redactor struct{ replacer *strings.Replacer }

// New makes a Redactor. Of secrets that contain others, the longer ones are to
// come first.
func New(secrets ...string) *Redactor {
	var pairs []string
	for _, secret := range secrets {
		for _, form := range Forms(secret) {
			pairs = append(pairs, form, Mark)
		}
	}
	return &Redactor{strings.NewReplacer(pairs...)}
}

// Redact is a text without the secrets.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	return r.replacer.Replace(text)
}
