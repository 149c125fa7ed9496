package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Size is a number of bytes, never negative when it was parsed. As text it
// has a decimal unit (kB, MB, GB, TB) or a binary one (KiB, MiB, GiB, TiB), in
// letters of either case: "25MB", "1.5 GiB". Without a unit it is bytes.
type Size int64

// Biggest first, so that String finds the shortest exact form; binary before
// decimal of the same rank only matters for 0.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12},
	{"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6},
	{"KiB", 1 << 10}, {"kB", 1e3},
	{"B", 1},
}

var (
	errNotSize     = errors.New("is not a size")
	errSizeRange   = errors.New("is too large")
	errNegative    = errors.New("is negative")
	errNotDuration = errors.New("is not a duration")
	errNoUnit      = errors.New("has no unit")
)

// String returns the size in the largest unit that is exact, so that
// parseSize gives the same size again.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0"
}

// MarshalText returns String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// parseSize cuts a fraction of a byte off.
func parseSize(text string) (Size, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-") {
		return 0, errNegative
	}
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	number, unit := text, "B"
	if end >= 0 {
		number, unit = text[:end], strings.TrimSpace(text[end:])
	}
	factor := int64(0)
	for _, u := range sizeUnits {
		if strings.EqualFold(unit, u.name) {
			factor = u.bytes
		}
	}
	whole, fraction, dotted := strings.Cut(number, ".")
	if factor == 0 || whole == "" || dotted && (fraction == "" || len(fraction) > 6) {
		return 0, errNotSize
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if errors.Is(err, strconv.ErrRange) || err == nil && n > math.MaxInt64/factor {
		return 0, errSizeRange
	}
	if err != nil {
		return 0, errNotSize
	}
	total := n * factor
	if dotted {
		part, err := strconv.ParseInt(fraction, 10, 64)
		if err != nil {
			return 0, errNotSize
		}
		part *= factor // below 10^6 times 2^40: no overflow
		for range fraction {
			part /= 10
		}
		if part > math.MaxInt64-total {
			return 0, errSizeRange
		}
		total += part
	}
	return Size(total), nil
}

// A Duration is a time.Duration whose text also knows days of 24 hours: "10s",
// "1h30m", "5d", "1d12h".
type Duration time.Duration

// String returns the duration as UnmarshalText reads it, without units that
// are zero: "1m", not "1m0s".
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	days := d / Duration(day)
	rest := time.Duration(d % Duration(day))
	text := ""
	if days != 0 {
		text = strconv.FormatInt(int64(days), 10) + "d"
		rest = max(rest, -rest)
	}
	if rest == 0 {
		return text
	}
	return text + strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(rest.String())
}

// MarshalText returns String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q %w", text, err)
	}
	*d = v
	return nil
}

func parseDuration(text string) (Duration, error) {
	text = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), " ", ""))
	if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" && !strings.HasPrefix(text, "-") {
		return 0, errNoUnit
	}
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	var total time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || time.Duration(n) > math.MaxInt64/day {
			return 0, errNotDuration
		}
		total, text = time.Duration(n)*day, cmp.Or(rest, "0")
	}
	clock, err := time.ParseDuration(text)
	if err != nil || clock < 0 || clock > math.MaxInt64-total {
		return 0, errNotDuration
	}
	if negative {
		total, clock = -total, -clock
	}
	return Duration(total + clock), nil
}
