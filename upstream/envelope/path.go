package envelope

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Path is a mailbox without its angle brackets, local part quoted where it
// needs to be, so that it can be written into a command as it is. "" is the
// null reverse-path.
type Path string

// Lengths of RFC 5321, section 4.5.3.1.
const (
	maxLocalPart = 64
	maxDomain    = 255
)

var (
	errNoDomain = errors.New("it has no @domain")
	errControl  = errors.New("it has a control character")
	errBracket  = errors.New("it has an angle bracket inside")
)

// ParsePath reads a mailbox as people and programs write it: with or without
// angle brackets, local part quoted or not (go-smtp hands quoted ones over
// without their quotes). "" and "<>" are the null path.
// The result is safe to write into an SMTP command: no control characters,
// no unquoted blank or bracket. An error says what is wrong with the address.
func ParsePath(s string) (Path, error) {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '<' && s[len(s)-1] == '>' {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	if s == "" {
		return "", nil
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("address %q: it is not valid UTF-8", s)
	}
	for _, r := range s {
		switch {
		case Obeyed(r):
			return "", fmt.Errorf("address %q: %w", s, errControl)
		case r == '<', r == '>': // lawful in quotes, and misread by too many
			return "", fmt.Errorf("address %q: %w", s, errBracket)
		}
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", fmt.Errorf("address %q: %w", s, errNoDomain)
	}
	local, err := canonicalLocal(s[:at])
	if err != nil {
		return "", fmt.Errorf("address %q: %w", s, err)
	}
	domain := s[at+1:]
	if err := checkDomain(domain); err != nil {
		return "", fmt.Errorf("address %q: %w", s, err)
	}
	return Path(local + "@" + domain), nil
}

// Obeyed tells whether a terminal or a reader's screen obeys a character
// instead of showing it: controls, ends of lines, directions of writing.
func Obeyed(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// canonicalLocal takes a local part, quoted or bare, and gives it back as a
// dot-string where that says the same, else as a quoted string.
func canonicalLocal(local string) (string, error) {
	if local == "" {
		return "", errors.New("it has nothing before the @")
	}
	plain := local
	if local[0] == '"' {
		var err error
		if plain, err = unquote(local); err != nil {
			return "", err
		}
	}
	if len(plain) > maxLocalPart*4 { // tags and VERP pass 64 in practice; nothing sane passes this
		return "", fmt.Errorf("its local part is longer than %d octets", maxLocalPart*4)
	}
	if isDotString(plain) {
		return plain, nil
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(plain); i++ {
		if plain[i] == '"' || plain[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(plain[i])
	}
	b.WriteByte('"')
	return b.String(), nil
}

func unquote(s string) (string, error) {
	bad := errors.New("its quoted local part does not end where it should")
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", bad
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		c := s[i]
		switch c {
		case '"':
			return "", bad
		case '\\':
			if i++; i == len(s)-1 {
				return "", bad
			}
			c = s[i]
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// isDotString is looser than RFC 5321: dots may lead, trail or repeat, as
// some mailboxes in Japan have them and every server takes them.
func isDotString(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func checkDomain(d string) error {
	switch {
	case d == "":
		return errNoDomain
	case len(d) > maxDomain:
		return fmt.Errorf("its domain is longer than %d octets", maxDomain)
	case d[0] == '[':
		if d[len(d)-1] != ']' || strings.ContainsAny(d[1:len(d)-1], "[]<> \\\"@") {
			return errors.New("its address literal is not of the form [192.0.2.1]")
		}
		return nil
	case strings.ContainsAny(d, "()<>[]:;\\,\" %!"):
		return errors.New("its domain has a character that no domain has")
	case d[0] == '.' || strings.Contains(d, ".."):
		return errors.New("its domain has an empty label")
	}
	return nil
}

// LocalPart is what stands before the last @, quoted where it needs to be.
func (p Path) LocalPart() string {
	if at := strings.LastIndexByte(string(p), '@'); at >= 0 {
		return string(p[:at])
	}
	return string(p)
}

// Domain is what stands behind the last @; "" for the null path.
func (p Path) Domain() string {
	if at := strings.LastIndexByte(string(p), '@'); at >= 0 {
		return string(p[at+1:])
	}
	return ""
}

// IsASCII tells whether the path can be sent without SMTPUTF8 (RFC 6531).
func (p Path) IsASCII() bool {
	for i := 0; i < len(p); i++ {
		if p[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Is tells whether an address, or "@" and a domain, names the path. The case of
// letters does not count, as no provider lets it.
func (p Path) Is(name string) bool {
	if domain, ok := strings.CutPrefix(name, "@"); ok {
		return p != "" && strings.EqualFold(p.Domain(), domain)
	}
	return strings.EqualFold(string(p), name)
}

// String gives the path in angle brackets, as commands carry it.
func (p Path) String() string { return "<" + string(p) + ">" }
