package spool

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// An ID names a message from the moment its envelope begins until the last
// trace of it is gone: milliseconds since 1970 in the upper 42 bits, a counter
// that starts at random in the lower 22. IDs of one spool strictly increase.
type ID uint64

// idAlphabet sorts as its values do and leaves out the letters that people
// take for others (i, l, o, u), since IDs are read aloud from logs.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const (
	idLength      = 13
	idCounterBits = 22
)

// String is the ID as it stands in logs, replies and file names: 13 lower-case
// characters that sort by time.
func (id ID) String() string {
	var b [idLength]byte
	for i := idLength - 1; i >= 0; i-- {
		b[i] = idAlphabet[id&31]
		id >>= 5
	}
	return string(b[:])
}

// ParseID reads what String wrote, in either case.
func ParseID(s string) (ID, error) {
	if len(s) != idLength {
		return 0, fmt.Errorf("id %q: an id has %d characters", clip(s), idLength)
	}
	var id ID
	for i := range idLength {
		v := idDigit(s[i])
		if v < 0 || i == 0 && v > 15 {
			return 0, fmt.Errorf("id %q: no id has %q there", s, s[i:i+1])
		}
		id = id<<5 | ID(v)
	}
	if id == 0 {
		return 0, fmt.Errorf("id %q: no message has it", s)
	}
	return id, nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

func idDigit(c byte) int {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return strings.IndexByte(idAlphabet, c)
}

// MarshalText gives String, for JSON and logs.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// nextID gives an ID above last. A clock set back does not matter: the
// counter then runs on from last.
func nextID(last ID, now time.Time) ID {
	id := ID(now.UnixMilli())<<idCounterBits | ID(rand.Uint32()>>(32-idCounterBits+1))
	return max(id, last+1)
}
