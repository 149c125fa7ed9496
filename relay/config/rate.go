package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is how many messages may go out in a time. Its zero value is no
// limit. As text it is "30/m", with s, m, h or d for a second, minute, hour or
// day.
type Rate struct {
	Messages int
	Per      time.Duration
}

var ratePeriods = []struct {
	name string
	per  time.Duration
}{
	{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", day},
	{"sec", time.Second}, {"second", time.Second}, {"min", time.Minute}, {"minute", time.Minute},
	{"hour", time.Hour}, {"day", day},
}

var errNotRate = errors.New("is not a rate")

// String returns what parseRate takes; "" without a limit.
func (r Rate) String() string {
	for _, p := range ratePeriods {
		if r.Per == p.per {
			return fmt.Sprintf("%d/%s", r.Messages, p.name)
		}
	}
	return ""
}

// MarshalText returns String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func parseRate(text string) (Rate, error) {
	if strings.TrimSpace(text) == "" {
		return Rate{}, nil
	}
	number, period, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 1 || n > 1e9 {
		return Rate{}, errNotRate
	}
	for _, p := range ratePeriods {
		if strings.EqualFold(strings.TrimSpace(period), p.name) {
			return Rate{n, p.per}, nil
		}
	}
	return Rate{}, errNotRate
}
