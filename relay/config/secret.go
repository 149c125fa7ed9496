package config

import (
	"fmt"
	"io"

	"kurir/upstream/redact"
)

// A Secret is text that prints as "[redacted]" wherever it may end up, with
// every verb of fmt, in JSON, TOML and slog; no secret prints as nothing. Only
// Reveal gives the text. Keep it in exported fields: fmt calls no methods on
// unexported ones.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redact.Mark
}

// Format writes what String returns for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText is for all that encodes: JSON, TOML and slog come to it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
