// Package notice calls the operator: it gathers what maillog tells of held,
// failed and overdue mail, and gives it to a webhook or a command.
//
// It promises never to be in the way. Tell does not block and what it keeps
// is bounded; a webhook that hangs or a command that fails costs nobody
// anything but its own notice, which is then part of the next one. It promises
// not to be a nuisance either: the first notice goes out some seconds after
// something happened, the next after Settings.Every at the earliest, and what
// has the same cause is one event with a count. And it gives no secret away:
// the URL of a webhook is in no error, and a command gets none of our
// environment variables.
//
// A notice is a JSON object; its "text" is the whole in a few lines for
// people, which chats that take a "text" show as it is. What happened when
// nobody was there to be told, such as at a crash, is in the log.
//
// Read Notifier and Run here, then gather.go (what is kept until the next
// notice), words.go (what a notice says), webhook.go and command.go (how it is
// given).
package notice

import (
	"context"
	"net/http"
	"sync"
	"time"

	"kurir/relay/maillog"
	"kurir/relay/queue"
	"kurir/upstream/explain"
)

// Options of a notifier.
type Options struct {
	Settings

	Host    string // our own name
	Version string // of Kurir

	// Routes tells how the routes are doing; it is asked once a minute.
	Routes func() []queue.RouteState

	Log *maillog.Log
}

// Settings can change while a notifier runs.
type Settings struct {
	Webhook  string           // a URL, which is a secret; "" means none
	Command  string           // for /bin/sh -c; "" means none
	Every    time.Duration    // the shortest time between two notices
	Language explain.Language // "" means English
}

func (s Settings) wanted() bool { return s.Webhook != "" || s.Command != "" }

const (
	// gatherTime is how long the first event of a notice waits for others:
	// what goes wrong seldom does so alone.
	gatherTime = 5 * time.Second

	// lookEvery is the time between two looks at the queue, and tooOld the age
	// that is told of.
	lookEvery = time.Minute
	tooOld    = time.Hour

	// parting is how long the last notice may take when Run ends.
	parting = 2 * time.Second
)

// A Notifier gathers notices and sends them. Its methods may be called from
// any goroutine.
type Notifier struct {
	o    Options
	log  *maillog.Log // which tells us as well
	web  http.RoundTripper
	news chan struct{} // holds one when the time of the next notice may have changed

	mu       sync.Mutex
	settings Settings
	gathered batch
	last     time.Time       // when the last notice was sent, or tried
	told     map[string]bool // the routes in trouble that were told of

	overdue map[string]bool // the routes whose age was told of; only Run looks
}

// New makes a notifier, which gathers from now on and sends once it runs. Its
// Tell belongs into maillog.Log.Telling.
func New(o Options) *Notifier {
	n := &Notifier{o: o, web: newTransport(), news: make(chan struct{}, 1), settings: o.Settings, told: map[string]bool{}, overdue: map[string]bool{}}
	n.log = o.Log.Telling(n.Tell)
	return n
}

// Configure goes on with other settings. What a webhook or command did not
// take is given to the new one at once.
func (n *Notifier) Configure(s Settings) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.Webhook != n.settings.Webhook || s.Command != n.settings.Command {
		n.last = time.Time{}
	}
	n.settings = s
	n.nudge()
}

// Tell gathers an event for the next notice. It never blocks.
func (n *Notifier) Tell(m maillog.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.settings.wanted() {
		return
	}
	switch {
	case m.Event == eventRecovered && !n.told[m.Route]:
		return // of a short trouble that nobody was called for
	case m.Event == eventRecovered:
		delete(n.told, m.Route)
	case m.Route != "" && m.Failure != nil:
		n.told[m.Route] = true
	}
	if n.gathered.empty() {
		n.nudge()
	}
	n.gathered.add(newEvent(m, n.settings.Language))
}

func (n *Notifier) nudge() {
	select {
	case n.news <- struct{}{}:
	default:
	}
}

// Run sends notices until ctx ends. Then it has two seconds to send the last
// one, and returns when nothing of it runs any more.
func (n *Notifier) Run(ctx context.Context) {
	late, cancel := later(ctx, parting)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for ctx.Err() == nil {
		var due <-chan time.Time
		if wait, ok := n.next(); ok {
			due = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-n.news:
		case <-look.C:
			n.look()
		case <-due:
			n.send(ctx, late)
		}
	}
	n.send(ctx, late)
}

// later is a context that ends some time after ctx does.
func later(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return late, func() { stop(); cancel() }
}

// next tells how long it is until the next notice, if there is anything to
// tell.
func (n *Notifier) next() (wait time.Duration, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gathered.empty() {
		return 0, false
	}
	return max(time.Until(n.gathered.first.Add(gatherTime)), time.Until(n.last.Add(n.settings.Every))), true
}

// look tells of routes whose oldest message is too old. That of a held route
// was told otherwise, and does not count for as long as what was held is
// still being worked off.
func (n *Notifier) look() {
	for _, r := range n.o.Routes() {
		age := time.Since(r.Oldest)
		switch old := !r.Oldest.IsZero() && age > tooOld; {
		case !old:
			delete(n.overdue, r.Name)
		case r.Condition == "held":
			n.overdue[r.Name] = true
		case !n.overdue[r.Name]:
			n.overdue[r.Name] = true
			n.log.QueueAge(r.Name, r.Trouble, age, r.Waiting)
		}
	}
}

// send gives what was gathered to whoever is to get it. What nobody took is
// kept for the next notice, unless it was refused for good. Once ctx has ended
// there is one try, which ends with late.
func (n *Notifier) send(ctx, late context.Context) {
	n.mu.Lock()
	b, s := n.gathered, n.settings
	n.gathered = batch{}
	if b.empty() || !s.wanted() {
		n.mu.Unlock()
		return
	}
	n.last = time.Now()
	n.mu.Unlock()

	body := n.o.body(&b, s.Language)
	var toWebhook, toCommand error
	var giving sync.WaitGroup
	if s.Webhook != "" {
		giving.Go(func() { toWebhook = n.post(ctx, late, s.Webhook, body) })
	}
	if s.Command != "" {
		giving.Go(func() { toCommand = run(late, s.Command, body) })
	}
	giving.Wait()

	var by []string
	if s.Webhook != "" && toWebhook == nil {
		by = append(by, "webhook")
	}
	if s.Command != "" && toCommand == nil {
		by = append(by, "command")
	}
	again := len(by) == 0 && ctx.Err() == nil && !(isRefusal(toWebhook) && toCommand == nil)
	if toWebhook != nil {
		n.log.NoticeFailed("webhook", toWebhook, again)
	}
	if toCommand != nil {
		n.log.NoticeFailed("command", toCommand, again)
	}
	if again {
		n.takeBack(b)
	}
	if len(by) > 0 {
		n.log.NoticeSent(by, len(b.events), b.omitted)
	}
}

// takeBack puts what could not be sent before what has happened since.
func (n *Notifier) takeBack(b batch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.gathered.events {
		b.add(e)
	}
	b.omitted += n.gathered.omitted
	n.gathered = b
}
