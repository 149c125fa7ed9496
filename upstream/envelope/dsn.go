package envelope

import (
	"fmt"
	"slices"
	"strings"
)

// The parameters of delivery status notifications are written into commands as
// they are, so that nothing else may get into an Envelope: these functions tell
// whether a text is one, in capitals where SMTP has keywords.

// IsReturn tells whether s is a value of RET (RFC 3461, section 4.3).
func IsReturn(s string) bool { return s == "FULL" || s == "HDRS" }

// IsID tells whether s is a value of ENVID (RFC 3461, section 4.4).
func IsID(s string) bool { return isXtext(s) && len(s) <= 100 }

// IsNotify tells whether s is a value of NOTIFY (RFC 3461, section 4.1).
func IsNotify(s string) bool {
	if s == "NEVER" {
		return true
	}
	words := strings.Split(s, ",")
	for i, w := range words {
		if w != "SUCCESS" && w != "FAILURE" && w != "DELAY" || slices.Contains(words[:i], w) {
			return false
		}
	}
	return true
}

// IsOriginal tells whether s is a value of ORCPT (RFC 3461, section 4.2).
func IsOriginal(s string) bool {
	kind, address, _ := strings.Cut(s, ";")
	return isXtext(kind) && isXtext(address) && len(s) <= 500
}

func isXtext(s string) bool {
	_, ok := decode(s)
	return ok && s != ""
}

// EncodeXtext writes s as xtext.
func EncodeXtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// DecodeXtext reads xtext; where s is none, it gives s as it came.
func DecodeXtext(s string) string {
	if text, ok := decode(s); ok {
		return text
	}
	return s
}

// decode reads xtext (RFC 3461, section 4): visible ASCII, and "+" with two hex
// digits for the rest.
func decode(s string) (text string, ok bool) {
	const hex = "0123456789ABCDEF" // there are no small ones
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := strings.IndexByte(hex, s[i+1]), strings.IndexByte(hex, s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		} else if c <= ' ' || c >= 0x7f || c == '=' {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
