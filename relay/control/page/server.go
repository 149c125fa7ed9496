package page

import (
	"embed"
	"errors"
	"io"
	"iter"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"kurir/relay/control"
	"kurir/relay/history"
	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// A Desk knows how the relay is doing; a *control.Desk does.
type Desk interface {
	Status() (control.Status, error)
	Show(id spool.ID) (*control.Story, error)
	List(f control.Filter) iter.Seq2[control.Message, error]
}

// History knows what happened to mail.
type History interface {
	Recent(n int) ([]history.Record, error)
	Find(q history.Query) iter.Seq2[history.Record, error]
	Story(id string) ([]history.Record, error)
	Hours(now time.Time, n int) ([]history.Hour, error)
}

// Options of a server. All but Language must be set.
type Options struct {
	Desk    Desk
	Queue   control.Queue
	History History
	Metrics http.Handler
	Ready   func() error // why no mail is taken; nil if it is
	Token   string       // of those who may see and change everything; see NewToken
	Log     *maillog.Log

	Language explain.Language // "" = English
}

// A Server answers browsers and probes.
type Server struct {
	o     Options
	keys  keys
	words words
	http  *http.Server

	mu     sync.Mutex
	status control.Status // of a moment ago
	asked  time.Time
}

// How long a request may take, how large its parts may be, and how many
// connections there are at once: local users may be hostile too.
const (
	requestTime    = 10 * time.Second
	answerTime     = 30 * time.Second
	requestOctets  = 16 << 10
	mostConnection = 64
)

//go:embed site
var site embed.FS

// New makes a server; Serve runs it.
func New(o Options) *Server {
	s := &Server{o: o, keys: newKeys(o.Token), words: wordsIn(o.Language)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.front)
	mux.HandleFunc("GET /message/{id}", s.trusted(s.about(s.message)))
	mux.HandleFunc("GET /search", s.trusted(s.search))
	mux.HandleFunc("POST /flush", s.acting(s.flush))
	mux.HandleFunc("POST /message/{id}/retry", s.act(o.Queue.Retry, o.Log.QueueRetry))
	mux.HandleFunc("POST /message/{id}/drop", s.act(o.Queue.Drop, o.Log.QueueDrop))
	for _, name := range []string{"page.css", "page.js"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, site, "site/"+name)
		})
	}
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /upstreamz", s.upstreams)
	mux.Handle("GET /metrics", o.Metrics)
	s.http = &http.Server{
		Handler: guarded(http.MaxBytesHandler(mux, requestOctets)), ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: answerTime,
		MaxHeaderBytes: requestOctets, ErrorLog: log.New(io.Discard, "", 0), // a caller that goes away is nobody's trouble
	}
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.http.Handler.ServeHTTP(w, r) }

// Serve answers who comes to l, which it closes, until Close; then it returns
// nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(newTurnstile(l, mostConnection)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends Serve and all connections.
func (s *Server) Close() error { return s.http.Close() }

// believed is how long a status is shown again: it is asked for by each open
// page, and costs a look at the whole queue.
const believed = time.Second

// now is how the relay is doing.
func (s *Server) now() (control.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) < believed {
		return s.status, nil
	}
	status, err := s.o.Desk.Status()
	if err == nil {
		s.status, s.asked = status, time.Now()
	}
	return status, err
}

// changed forgets the status, because a person has done something.
func (s *Server) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Time{}
}
