package page

import (
	"errors"
	"net/http"

	"kurir/relay/queue"
	"kurir/relay/spool"
)

// Who acts here is known by the token, not by a user ID.
const nobodyKnown = -1

// flush has everything tried now.
func (s *Server) flush(w http.ResponseWriter, r *http.Request) {
	n := s.o.Queue.Flush()
	s.o.Log.QueueFlush(nobodyKnown, n)
	s.changed()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// act does something to the message of a request, and has the log tell.
func (s *Server) act(do func([]spool.ID, func(spool.ID, error)), tell func(uid int, id string)) http.HandlerFunc {
	return s.acting(s.about(func(w http.ResponseWriter, r *http.Request, id spool.ID) {
		var failed error
		do([]spool.ID{id}, func(_ spool.ID, err error) { failed = err })
		s.changed()
		switch {
		case failed == nil:
			tell(nobodyKnown, id.String())
			http.Redirect(w, r, "/message/"+id.String(), http.StatusSeeOther)
		case errors.Is(failed, queue.ErrUnderway):
			s.tell(w, r, http.StatusConflict, "act.underway")
		case errors.Is(failed, spool.ErrNotFound):
			s.tell(w, r, http.StatusNotFound, "act.gone")
		default:
			s.tell(w, r, http.StatusInternalServerError, "act.failed")
		}
	}))
}
