package listener

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// How much of the same is told, and how many things are told apart: a flood
// must neither fill the log nor the memory.
const (
	quietFor       = time.Minute
	refusalsTold   = 60 // of one client, in quietFor
	maxRemembered  = 1024
	manyClients    = "many clients"
	refusalsReason = "messages refused"
)

// A quietLog stands before the Log and keeps what repeats itself away from it.
type quietLog struct {
	log Log

	mu   sync.Mutex
	seen map[event]*repeats
}

type event struct{ client, reason string }

type repeats struct {
	since  time.Time
	told   int
	untold int
	fix    string
}

// count notes that e happened and returns whether it is to be told now, as
// only the first few of a minute are, and how many were not told before it.
func (j *quietLog) count(e event, fix string, few int) (told int, untold int) {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen[e] == nil && len(j.seen) >= maxRemembered {
		j.forget(now)
		if len(j.seen) >= maxRemembered {
			e.client = manyClients
		}
	}
	r := j.seen[e]
	if r == nil {
		r = &repeats{since: now}
		j.seen[e] = r
	}
	if now.Sub(r.since) >= quietFor {
		untold = r.untold
		*r = repeats{since: now}
	}
	r.fix = fix
	if r.told == few {
		r.untold++
		return 0, 0
	}
	r.told++
	return r.told, untold
}

// forget makes room: what is older than a minute goes, the rest of it told.
func (j *quietLog) forget(now time.Time) {
	for e, r := range j.seen {
		if now.Sub(r.since) >= quietFor {
			j.tellRest(e, r)
			delete(j.seen, e)
		}
	}
}

func (j *quietLog) tellRest(e event, r *repeats) {
	if r.untold > 0 {
		j.log.ClientRejected(e.client, withCount(e.reason, r.untold), r.fix)
	}
}

// rejected tells that a client was turned away.
func (j *quietLog) rejected(client, reason, fix string) {
	if told, untold := j.count(event{client, reason}, fix, 1); told > 0 {
		j.log.ClientRejected(client, withCount(reason, untold), fix)
	}
}

// refused tells that the listener refused a transaction or a part of it.
func (j *quietLog) refused(client string, env envelope.Envelope, r *refusal, x explain.Explanation) {
	told, untold := j.count(event{client, refusalsReason}, x.Fix, refusalsTold)
	if untold > 0 {
		j.log.ClientRejected(client, withCount(refusalsReason, untold), x.Fix)
	}
	if told > 0 {
		j.log.MessageRefused(client, env, &r.failure, r.code, r.enhanced)
	}
}

// lost tells that a client went away inside a message.
func (j *quietLog) lost(client string, err error) { j.log.ClientLost(client, err) }

// flush tells what has not been told yet, at the end.
func (j *quietLog) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for e, r := range j.seen {
		j.tellRest(e, r)
	}
	clear(j.seen)
}

func withCount(reason string, untold int) string {
	if untold == 0 {
		return reason
	}
	return fmt.Sprintf("%s (and %d times before, not logged)", reason, untold)
}

// errorLog takes what go-smtp logs: panics, and trouble with accepting.
type errorLog struct{ *quietLog }

const maxTrouble = 4096 // a stack is long

func (l errorLog) Printf(format string, v ...any) {
	// The texts name ports, durations and addresses of memory, so the format
	// is what tells one kind of trouble from another.
	told, untold := l.count(event{reason: format}, "", 1)
	if told == 0 {
		return
	}
	text := fmt.Sprintf(format, v...)
	if len(text) > maxTrouble {
		text = text[:maxTrouble]
	}
	fix := "This is a defect of Kurir: please report it with this line."
	if strings.HasPrefix(format, "accept error") {
		fix = "If the program runs out of files, raise its limit (LimitNOFILE)."
	}
	l.log.ClientRejected("", withCount(text, untold), fix)
}

func (l errorLog) Println(v ...any) { l.Printf("%s", fmt.Sprintln(v...)) }
