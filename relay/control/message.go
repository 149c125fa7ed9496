package control

import (
	"slices"
	"strings"
	"time"

	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// The states of a message.
const (
	Waiting  = "waiting"
	Underway = "underway" // being delivered now
	Failed   = "failed"   // kept to be looked at, and tried again when a person says so
)

// A Message is one that waits or has failed, in a line.
type Message struct {
	ID       spool.ID        `json:"id"`
	State    string          `json:"state"`
	Route    string          `json:"route,omitempty"`
	From     envelope.Path   `json:"from"`
	To       []envelope.Path `json:"to"`
	Received time.Time       `json:"received"`
	Due      time.Time       `json:"due,omitzero"` // when it is tried next, if it waits
	Size     int64           `json:"size"`
	Attempts int             `json:"attempts"`
	Cause    string          `json:"cause,omitempty"` // why it is not delivered, of the last attempt or of its route
	Error    string          `json:"error,omitempty"` // why no more is known of it
}

// A Story is all that is known of a message but its content. A message that
// has failed for some recipients and waits for others has both parts.
type Story struct {
	Message
	Trouble *explain.Told `json:"trouble,omitempty"` // of its route
	Waiting *spool.Stored `json:"waiting,omitempty"`
	Failed  *spool.Stored `json:"failed,omitempty"`
}

// A Route is how one smart host is doing.
type Route struct {
	Name      string        `json:"name"`
	Condition string        `json:"condition"` // "open", "down" or "held"
	Way       *Way          `json:"way,omitempty"`
	Trouble   *explain.Told `json:"trouble,omitempty"`
	Since     time.Time     `json:"since,omitzero"`
	Probe     time.Time     `json:"probe,omitzero"` // when it is tried again
	Waiting   int           `json:"waiting"`
	Oldest    time.Time     `json:"oldest,omitzero"`
}

// A Status is how the relay is doing. Without a running one there are no
// routes.
type Status struct {
	Running bool      `json:"running"`
	Version string    `json:"version,omitempty"`
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	HTTP    string    `json:"http,omitempty"` // the status page, with the token; only the socket tells it
	Spool   string    `json:"spool"`
	Routes  []Route   `json:"routes"`
	Waiting int       `json:"waiting"`
	Oldest  time.Time `json:"oldest,omitzero"`
	Bytes   int64     `json:"bytes"` // of content that waits
	Failed  int       `json:"failed"`

	// Ends are the certificates and tokens in use whose end is known.
	Ends []End `json:"ends,omitempty"`
}

// An End is when something stops to be good.
type End struct {
	What    string    `json:"what"`              // the key of the configuration that it is of
	Account string    `json:"account,omitempty"` // of a token: whose it is
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
}

// A Filter chooses messages. Its zero value chooses all that wait.
type Filter struct {
	Failed  bool          `json:"failed,omitempty"`  // those that have failed, instead of those that wait
	Cause   string        `json:"cause,omitempty"`   // a cause, or the part before its dot
	Address string        `json:"address,omitempty"` // reverse-path or a recipient, or "@" and the domain of one
	Older   time.Duration `json:"older,omitempty"`   // received so long ago
}

func (f Filter) fits(m Message, now time.Time) bool {
	if f.Cause != "" && m.Cause != f.Cause && !strings.HasPrefix(m.Cause, f.Cause+".") {
		return false
	}
	if f.Older > 0 && (m.Received.IsZero() || now.Sub(m.Received) < f.Older) {
		return false // or nobody knows, where its record cannot be read
	}
	named := func(p envelope.Path) bool { return p.Is(f.Address) }
	return f.Address == "" || named(m.From) || slices.ContainsFunc(m.To, named)
}
