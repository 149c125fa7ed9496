package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// Options of a server.
type Options struct {
	Queue    Queue
	Spool    *spool.Spool
	SpoolDir string
	Version  string
	Language explain.Language
	Log      *maillog.Log

	// Ends are those of Status; nil if there are none.
	Ends func() []End

	// Reload reads the configuration again and puts it into place, or says why
	// not; nil if that cannot be done.
	Reload func(ctx context.Context) (needRestart []string, err error)

	FlushHistory func() // has what happened just now written; nil without a history

	Ways *Ways  // the ways in, as far as they are known
	Page string // the address of the status page, with its token; "" without one
}

// A Server answers on the socket.
type Server struct {
	o    Options
	desk *Desk
	http *http.Server
}

// How long a caller may take to ask, and the most that it may say. An answer
// takes as long as a slow terminal reads it.
const (
	requestTime   = 10 * time.Second
	requestOctets = 1 << 20
)

type uidKey struct{}

// NewServer makes a server; Serve runs it.
func NewServer(o Options) *Server {
	s := &Server{o: o, desk: NewDesk(o)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/queue/{id}", s.show)
	mux.HandleFunc("POST /v1/reload", s.reloaded)
	mux.HandleFunc("POST /v1/history/flush", s.written)
	mux.HandleFunc("POST /v1/queue/list", s.list)
	mux.HandleFunc("POST /v1/queue/flush", s.flush)
	mux.HandleFunc("POST /v1/queue/retry", s.act(func(Choice) operation { return s.o.Queue.Retry }, s.o.Log.QueueRetry))
	mux.HandleFunc("POST /v1/queue/drop", s.act(s.drop, s.o.Log.QueueDrop))
	s.http = &http.Server{
		Handler: http.MaxBytesHandler(mux, requestOctets), ReadTimeout: requestTime, IdleTimeout: requestTime,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0), // a caller that goes away is nobody's trouble
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, uidKey{}, peerUID(c))
		},
	}
	return s
}

// Serve answers who comes to l until Close; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends Serve and all connections, and removes the socket.
func (s *Server) Close() error { return s.http.Close() }

func uid(r *http.Request) int {
	n, _ := r.Context().Value(uidKey{}).(int)
	return n
}

func answer(w http.ResponseWriter, v any, err error) {
	code := http.StatusOK
	if err != nil {
		code, v = http.StatusInternalServerError, problem{err.Error()}
		if errors.Is(err, spool.ErrNotFound) {
			code = http.StatusNotFound
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // who asked has gone, if this fails
}

// A problem is an answer that tells why there is no other.
type problem struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, err error) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(problem{err.Error()})
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	st, err := s.desk.Status()
	st.HTTP = s.o.Page
	answer(w, st, err)
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	id, err := spool.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, err)
		return
	}
	story, err := s.desk.Show(id)
	answer(w, story, err)
}

// list answers with one JSON object a line; an error in the middle is the last.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	var f Filter
	if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for m, err := range s.desk.List(f) {
		if err != nil {
			_ = out.Encode(problem{err.Error()})
			return
		}
		if out.Encode(m) != nil {
			return // who asked has seen enough
		}
	}
}

// reloaded answers when the new configuration is in place, or why it is not.
func (s *Server) reloaded(w http.ResponseWriter, r *http.Request) {
	if s.o.Reload == nil {
		refuse(w, errors.New("this relay cannot be reloaded"))
		return
	}
	needRestart, err := s.o.Reload(r.Context())
	answer(w, Reloaded{needRestart}, err)
}

// Reloaded is the answer to a reload.
type Reloaded struct {
	NeedRestart []string `json:"need_restart,omitempty"` // what is used only after one
}

// written answers when history has what happened until now.
func (s *Server) written(w http.ResponseWriter, _ *http.Request) {
	if s.o.FlushHistory != nil {
		s.o.FlushHistory()
	}
	answer(w, Done{}, nil)
}

func (s *Server) flush(w http.ResponseWriter, r *http.Request) {
	n := s.o.Queue.Flush()
	s.o.Log.QueueFlush(uid(r), n)
	answer(w, Done{Messages: n}, nil)
}

// A Choice is what is to be retried or dropped: these, or all that fit.
type Choice struct {
	IDs    []spool.ID `json:"ids,omitempty"`
	All    bool       `json:"all,omitempty"`
	Filter Filter     `json:"filter"`
}

// Done is what came of it, or has come so far.
type Done struct {
	Messages int      `json:"messages"`
	Errors   []string `json:"errors,omitempty"` // of the others, at most some
}

// manyErrors is how many errors are told; a disk that fails has one a message.
const manyErrors = 20

// atOnce is how many messages are taken out of the queue in one go, which is a
// walk through all of it.
const atOnce = 1000

// An operation is done to messages of the queue, and tells what became of each.
type operation = func(ids []spool.ID, told func(spool.ID, error))

// drop is what removes the messages of a choice: all of those that are named,
// but not what a filter has passed over, where a message has failed for some
// recipients and waits for others.
func (s *Server) drop(c Choice) operation {
	switch {
	case !c.All:
		return s.o.Queue.Drop
	case c.Filter.Failed:
		return s.o.Queue.DropFailed
	}
	return s.o.Queue.DropWaiting
}

// act does something to each message of a choice, and has the log tell. It
// answers with one JSON object a line: what is done so far, and at last all of
// it. It stops when nobody waits for that any more.
func (s *Server) act(do func(Choice) operation, tell func(uid int, id string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var c Choice
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			refuse(w, err)
			return
		}
		if c.All == (len(c.IDs) > 0) {
			refuse(w, errors.New("name messages, or say all"))
			return
		}
		var done Done
		told := func(id spool.ID, err error) {
			switch {
			case err == nil:
				done.Messages++
				tell(uid(r), id.String())
			case len(done.Errors) < manyErrors:
				done.Errors = append(done.Errors, err.Error())
			case len(done.Errors) == manyErrors:
				done.Errors = append(done.Errors, "and more, such as "+strconv.Quote(err.Error()))
			}
		}
		if c.All {
			for m, err := range s.desk.List(c.Filter) {
				if err != nil {
					answer(w, nil, err)
					return
				}
				c.IDs = append(c.IDs, m.ID)
			}
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		out, flusher := json.NewEncoder(w), http.NewResponseController(w)
		for ids := range slices.Chunk(c.IDs, atOnce) {
			if r.Context().Err() != nil {
				return
			}
			do(c)(ids, told)
			_ = out.Encode(done) // who asked has gone, if this fails
			_ = flusher.Flush()
		}
		_ = out.Encode(done)
	}
}
