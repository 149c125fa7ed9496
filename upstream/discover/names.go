package discover

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"kurir/upstream/provider"
	"kurir/upstream/spelling"
)

// An AddressError is an email address that cannot be one.
type AddressError struct {
	Address string
	Problem string // to be read after the address
}

func (e *AddressError) Error() string { return fmt.Sprintf("%q %s", e.Address, e.Problem) }

// An UnknownProviderError is a name that no provider has.
type UnknownProviderError struct {
	Name    string
	Nearest []string // up to three names that may be meant, the nearest first
}

func (e *UnknownProviderError) Error() string {
	text := fmt.Sprintf("%q is not a provider that Kurir knows", e.Name)
	if len(e.Nearest) > 0 {
		text += "; did you mean " + strings.Join(e.Nearest, " or ") + "?"
	}
	return text
}

// domainOf returns the domain of an address, in lower case.
func domainOf(address string) (string, error) {
	at := strings.IndexByte(address, '@')
	if at < 1 {
		return "", &AddressError{address, "is not an email address; one is like you@example.com"}
	}
	if strings.Contains(address[at+1:], "@") {
		return "", &AddressError{address, "has more than one @"}
	}
	if strings.HasSuffix(address, ".") {
		return "", &AddressError{address, "ends in a dot"}
	}
	if !isUsername(address) || strings.ContainsAny(address, `<>",;`) {
		return "", &AddressError{address, "has characters in it that an email address has not"}
	}
	domain := address[at+1:]
	if strings.ContainsFunc(domain, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", &AddressError{address, `has a domain with letters that need the form that begins with "xn--"`}
	}
	host, ok := hostName(domain)
	if !ok {
		return "", &AddressError{address, "has no domain after its @"}
	}
	return host, nil
}

// isUsername tells whether a text may stand as a user name in a configuration:
// printable, without blanks, of a length that an address may have (RFC 5321,
// section 4.5.3.1.3).
func isUsername(s string) bool {
	return s != "" && len(s) <= 254 && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// hostName returns a full host name (RFC 1123, section 2.1) in lower case and
// without a final dot. It is not ok for anything else, IP addresses included.
func hostName(name string) (_ string, ok bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	labels := strings.Split(name, ".")
	if len(name) > 253 || len(labels) < 2 {
		return "", false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", false
		}
	}
	return name, strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// nearestProviders returns the names that a mistyped one may have meant.
func nearestProviders(name string) []string {
	type near struct {
		name     string
		distance int
	}
	name = strings.ToLower(name)
	var all []near
	for _, p := range provider.All() {
		for _, n := range append([]string{p.Name}, p.Aliases...) {
			d := spelling.Slips(name, n)
			if len(name) >= 4 && strings.HasPrefix(n, name) || strings.HasPrefix(name, n+".") {
				d = 1 // "fast", "sendgrid.net"
			}
			if d <= max(1, min(len(name), len(n))/3) {
				all = append(all, near{n, d})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return a.distance - b.distance })
	var names []string
	for _, n := range all[:min(len(all), 3)] {
		names = append(names, n.name)
	}
	return names
}

// similarDomain returns the provider's domain that is one slip of the fingers
// away from a domain; "" if there is none.
func similarDomain(domain string) string {
	for _, p := range provider.All() {
		for _, q := range p.Domains {
			if len(q.Name) > 6 && !strings.Contains(q.Name, "*") && spelling.Slips(domain, q.Name) == 1 {
				return q.Name
			}
		}
	}
	return ""
}
