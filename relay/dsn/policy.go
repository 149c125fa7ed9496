package dsn

import (
	"slices"
	"strings"

	"kurir/upstream/envelope"
)

// A Kind is what a notification tells of. Its value is that of the Action
// field (RFC 3464, section 2.3.3).
type Kind string

// The kinds. Relayed is for a recipient whose delivery succeeded as far as we
// can know: the next server does not take on the duty to report, which
// explain.Receipt tells with DSN false. Where it does, it is the one to tell.
const (
	Failed  Kind = "failed"
	Delayed Kind = "delayed"
	Relayed Kind = "relayed"
)

// A Policy is who is notified: Sender, Nobody, or else the address of a person
// who looks after it. The zero value is Nobody.
type Policy string

// The policies that are no address.
const (
	Sender Policy = "sender"
	Nobody Policy = "none"
)

// Notify says whom to notify of what happened to a recipient of mail with the
// reverse-path from; "" is nobody.
//
// No mail with the null reverse-path is ever told of, so that no notification
// leads to another (RFC 5321, section 6.1). The sender decides with NOTIFY what
// it hears of: by default of failures. A person hears of failures alone, and
// of all, as the choice of the app is not theirs.
func (p Policy) Notify(from envelope.Path, r envelope.Recipient, k Kind) envelope.Path {
	switch {
	case from == "" || p == Nobody:
	case p == Sender && wants(r.Notify, k):
		return from
	case p != Sender && k == Failed:
		return envelope.Path(p)
	}
	return ""
}

// wants tells whether NOTIFY (RFC 3461, section 4.1) asks to hear of k.
func wants(notify string, k Kind) bool {
	if notify == "" {
		return k == Failed
	}
	word := map[Kind]string{Failed: "FAILURE", Delayed: "DELAY", Relayed: "SUCCESS"}[k]
	words := strings.Split(strings.ToUpper(notify), ",")
	return slices.Contains(words, word) && !slices.Contains(words, "NEVER")
}
