package queue

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kurir/relay/dsn"
	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A Deliverer hands a message to a smart host; upstream.SmartHost is one. Its
// error is an *explain.Failure for the whole message, explain.Refusals when
// each recipient was refused, or trouble on our side.
type Deliverer interface {
	Deliver(ctx context.Context, m *envelope.Message) (*explain.Receipt, error)
}

// Mode is what happens before the app gets its 250.
type Mode string

// The delivery modes.
const (
	Through Mode = "through" // delivered while the app waits, spooled if that takes long
	Spooled Mode = "queue"   // spooled first, delivered later
	Direct  Mode = "direct"  // delivered or refused, never spooled
)

// A Route is one smart host and who sends over it.
type Route struct {
	Name      string // for the log
	Deliverer Deliverer
	Slots     int // deliveries under way at once

	// At most Messages are begun in each Per; 0 is no limit.
	Messages int
	Per      time.Duration

	// Senders are the addresses and domains that use the route; none means all.
	Senders []string
}

// Settings of a queue can change while it runs.
type Settings struct {
	Mode Mode
	Wait time.Duration // how long an app waits for a delivery

	// A message is tried again after RetryMin, then twice as long each time,
	// up to RetryMax, until it is GiveUpAfter old.
	RetryMin, RetryMax, GiveUpAfter time.Duration

	KeepFailed time.Duration // how long failed messages are kept

	Routes []Route // the first whose Senders match is used, else the last

	Notify     dsn.Policy    // who gets notifications
	NotifyFrom envelope.Path // in their header; "" is MAILER-DAEMON at Hostname
	Hostname   string        // our name in them

	Language explain.Language // of explanations in answers and records; "" = English
}

// A Spool keeps messages: what the queue needs of *spool.Spool, which is one.
// The contracts are told there.
type Spool interface {
	Draft(env envelope.Envelope, client string) (*spool.Draft, error) // put, with Draft.Commit
	Space(size int64) error
	Waiting() []spool.Entry
	Load(id spool.ID) (*spool.Stored, error)
	Message(id spool.ID) (*envelope.Message, *spool.Stored, error)
	Sending(id spool.ID, attempt int) error
	Done(id spool.ID) error
	Defer(st *spool.Stored) error
	Fail(st *spool.Stored) error
	Failed() iter.Seq2[spool.ID, error]
	FailedMessage(id spool.ID) (*envelope.Message, *spool.Stored, error)
	Notified(id spool.ID) error
	Revive(id spool.ID) (*spool.Stored, error)
	RemoveFailed(id spool.ID) error
	Expire(keep time.Duration) (removed int, err error)
	Sync() error
}

// Options of a queue.
type Options struct {
	Settings Settings
	Spool    Spool
	Log      *maillog.Log
}

// A Queue delivers what is submitted to it. Run must run while it is used.
type Queue struct {
	spool    Spool
	log      *maillog.Log
	settings atomic.Pointer[Settings]

	began     time.Time  // by the monotonic clock
	uncertain []spool.ID // on their way when the relay died

	limit  dsn.Limit
	owing  map[spool.ID]notice // notifications that could not be kept yet
	looked bool                // for those of an earlier life

	operating sync.Mutex // held while a person changes a message; before mu

	mu       sync.Mutex
	lanes    []*lane
	underway map[spool.ID]uint64 // stored messages that are being delivered, each with its take
	takes    uint64
	running  bool            // what waits may be delivered
	stopping bool            // and no passage begins any more
	deliver  context.Context // of all deliveries; outlives Run's by the grace
	cancel   context.CancelFunc
	working  sync.WaitGroup
	wake     chan struct{} // a due time came nearer

	full      bool                 // the log heard that a message found no room
	fullSince time.Time            // when it did
	told      map[string]time.Time // when the log last heard of lasting trouble
}

// flushEvery is how long the mark of a delivered message may wait for its
// flush when no new message brings one.
const flushEvery = 5 * time.Second

// tryingTime is how long a relay tries, after its start, before it gives up what
// is old.
const tryingTime = time.Hour

// grace is how long deliveries under way may take after Run was told to stop.
const grace = 20 * time.Second

// New makes a queue and takes up what the spool holds.
func New(o Options) *Queue {
	q := &Queue{
		spool: o.Spool, log: o.Log, began: time.Now(),
		underway: map[spool.ID]uint64{}, wake: make(chan struct{}, 1), told: map[string]time.Time{}, owing: map[spool.ID]notice{},
	}
	q.deliver, q.cancel = context.WithCancel(context.Background())
	q.Configure(o.Settings)
	latest := q.began.Add(o.Settings.RetryMax) // by a clock that was not ahead
	for _, e := range q.spool.Waiting() {
		if e.Due.After(latest) {
			e.Due = latest
		}
		if e.Uncertain { // or a relay that dies again and again sends it each time
			e.Due = time.Now().Add(backoff(o.Settings.RetryMin, o.Settings.RetryMax, 1))
			q.uncertain = append(q.uncertain, e.ID)
		}
		q.laneOfLocked(e.From).waiting.push(&item{
			id: e.ID, from: e.From, size: e.Size, due: e.Due, received: e.Received, attempts: e.Attempts,
		})
	}
	return q
}

// set are the settings as they are now.
func (q *Queue) set() *Settings { return q.settings.Load() }

// Configure changes the settings. What waits goes to the new routes, which
// count as well until they have failed; what is under way ends on the old. How
// much a route of the same name bears, and has had, is not forgotten.
func (q *Queue) Configure(s Settings) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.lanes
	q.lanes = nil
	for _, r := range s.Routes {
		l := newLane(r)
		if i := slices.IndexFunc(before, func(old *lane) bool { return old.Name == l.Name }); i >= 0 {
			l.remember(&before[i].throttle)
			l.inherit(before[i])
		}
		q.lanes = append(q.lanes, l)
	}
	q.settings.Store(&s)
	for _, l := range before {
		l.retired = true
		for i := range l.waiting.all() {
			q.laneOfLocked(i.from).waiting.push(i)
		}
		l.waiting = backlog{}
	}
	q.nudge()
}

// laneOfLocked is the lane of the first route that serves a reverse-path.
func (q *Queue) laneOfLocked(from envelope.Path) *lane {
	for _, l := range q.lanes {
		if l.serves(from) {
			return l
		}
	}
	return q.lanes[len(q.lanes)-1]
}

// serves tells whether Senders name the address or its domain.
func (r *Route) serves(from envelope.Path) bool {
	for _, s := range r.Senders {
		if from.Is(s) || !strings.Contains(s, "@") && from.Is("@"+s) {
			return true
		}
	}
	return len(r.Senders) == 0
}

// Run delivers what waits until ctx ends. It returns when no delivery is
// under way any more, at most a grace later.
func (q *Queue) Run(ctx context.Context) {
	q.tellUncertain()
	q.mu.Lock()
	q.running = true
	q.mu.Unlock()
	housekeeping := time.NewTicker(time.Hour)
	defer housekeeping.Stop()
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			q.stop()
			return
		case <-housekeeping.C:
			q.expireFailed()
			continue
		case <-flush.C:
			q.notifyOwed()
			if err := q.spool.Sync(); err != nil {
				q.tellTrouble("flush the spool", err)
			}
			continue
		case <-q.wake:
		case <-timer.C:
		}
		timer.Reset(q.pump())
	}
}

// tellUncertain tells of the messages that may arrive twice, before any of
// them is sent again.
func (q *Queue) tellUncertain() {
	for _, id := range q.uncertain {
		if st, err := q.spool.Load(id); err == nil {
			q.log.Uncertain(mailOf(st))
		}
	}
	q.uncertain = nil
}

// stop lets deliveries under way come to their end, within the grace.
func (q *Queue) stop() {
	q.mu.Lock()
	q.running, q.stopping = false, true
	q.mu.Unlock()
	expired := time.AfterFunc(grace, q.cancel)
	q.working.Wait()
	expired.Stop()
	q.cancel()
}

// pump starts what is due and has a slot, and tells when to look again.
func (q *Queue) pump() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	next := time.Hour
	for _, l := range q.lanes {
		q.startLocked(l, now)
		if at, ok := l.nextTime(); ok {
			next = min(next, max(at.Sub(now), 0))
		}
	}
	return next
}

// startLocked delivers what is due, each in a slot of its own.
func (q *Queue) startLocked(l *lane, now time.Time) {
	for i := q.nextLocked(l, now); i != nil; i = q.nextLocked(l, now) {
		q.working.Add(1)
		go q.work(l, i)
	}
}

// nextLocked takes the message that a free slot should deliver now, if any.
func (q *Queue) nextLocked(l *lane, now time.Time) *item {
	if !q.running {
		return nil
	}
	i := l.take(now)
	if i != nil {
		q.takes++
		q.underway[i.id] = q.takes
	}
	return i
}

// list notes that a stored message is under way, and numbers that.
func (q *Queue) list(id spool.ID) (take uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.takes++
	q.underway[id] = q.takes
	return q.takes
}

// unlist ends what list noted, unless the message is back in the queue or
// taken again.
func (q *Queue) unlist(id spool.ID, take uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.underway[id] == take {
		delete(q.underway, id)
	}
}

// work delivers one message after the other as long as the lane has any.
func (q *Queue) work(l *lane, i *item) {
	defer q.working.Done()
	for i != nil {
		id := i.id
		q.mu.Lock()
		take := q.underway[id]
		q.mu.Unlock()
		q.deliverStored(l, i)
		q.unlist(id, take)
		q.mu.Lock()
		l.release()
		i = q.nextLocked(l, time.Now())
		q.nudgeFor(l)
		q.mu.Unlock()
	}
}

// nudgeFor makes Run look again if the lane, or one that has replaced it, will
// have something for it.
func (q *Queue) nudgeFor(l *lane) {
	if _, later := l.nextTime(); later || l.retired {
		q.nudge()
	}
}

// nudge makes Run look again.
func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// push queues an item and sees to it that it is delivered when due.
func (q *Queue) push(i *item) {
	q.mu.Lock()
	l := q.laneOfLocked(i.from)
	delete(q.underway, i.id)
	if h := l.senders[senderDomain(i.from)]; h != nil && i.due.Before(h.probe) {
		i.due = h.probe
	}
	l.waiting.push(i)
	q.startLocked(l, time.Now())
	q.nudgeFor(l)
	q.mu.Unlock()
}

// backoff is low doubled for each attempt beyond the first, at most high,
// and up to a fifth more or less, so that retries do not march in step.
func backoff(low, high time.Duration, attempts int) time.Duration {
	d := low
	for ; attempts > 1 && d < high; attempts-- {
		d *= 2
	}
	d = min(d, high)
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}

func (q *Queue) expireFailed() {
	if removed, err := q.spool.Expire(q.set().KeepFailed); err != nil || removed > 0 {
		q.log.FailedExpired(removed, err)
	}
}
