package page

import (
	"errors"
	"net/http"
	"slices"

	"kurir/relay/control"
	"kurir/relay/history"
	"kurir/relay/spool"
)

// A messagePage is all that is known of one message.
type messagePage struct {
	view
	ID      string
	Summary history.Record // what it is, from all its records
	State   string         // control.Waiting, Underway or Failed; "" when it is no longer here
	Story   *control.Story // nil then
	Events  []mailView     // oldest first
}

func (s *Server) message(w http.ResponseWriter, r *http.Request) {
	id, err := spool.ParseID(r.PathValue("id"))
	if err != nil {
		s.tell(w, r, http.StatusNotFound, "message.unknown")
		return
	}
	v := messagePage{view: s.view(r, s.words.Say("message.title", "id", id.String())), ID: id.String()}
	records, err := s.o.History.Story(v.ID)
	if err != nil {
		s.tell(w, r, http.StatusInternalServerError, "page.unreadable")
		return
	}
	v.Story, err = s.o.Desk.Show(id)
	switch {
	case err == nil:
		v.State = v.Story.State
		v.fill(v.Story)
	case !errors.Is(err, spool.ErrNotFound):
		s.tell(w, r, http.StatusInternalServerError, "page.unreadable")
		return
	case len(records) == 0:
		s.tell(w, r, http.StatusNotFound, "message.unknown")
		return
	}
	for _, record := range records {
		v.add(record)
		v.Events = append(v.Events, s.mail(record))
	}
	s.show(w, http.StatusOK, "message.html", v)
}

// fill takes what a message is from the spool, which knows it even where the
// history has forgotten.
func (v *messagePage) fill(story *control.Story) {
	for _, st := range []*spool.Stored{story.Waiting, story.Failed} {
		if st == nil {
			continue
		}
		record := history.Record{MessageID: st.MessageID, From: string(st.Envelope.From), Size: st.Size, Client: st.Client, Time: st.Received}
		for _, to := range st.Envelope.To {
			record.To = append(record.To, string(to.To))
		}
		v.add(record)
	}
}

// add completes what the message is by what a record says of it.
func (v *messagePage) add(r history.Record) {
	for _, f := range []struct {
		known *string
		said  string
	}{{&v.Summary.MessageID, r.MessageID}, {&v.Summary.From, r.From}, {&v.Summary.Client, r.Client}, {&v.Summary.Subject, r.Subject}} {
		if *f.known == "" {
			*f.known = f.said
		}
	}
	for _, to := range r.To {
		if !slices.Contains(v.Summary.To, to) {
			v.Summary.To = append(v.Summary.To, to)
		}
	}
	v.Summary.Size = max(v.Summary.Size, r.Size)
	if v.Summary.Time.IsZero() || r.Time.Before(v.Summary.Time) {
		v.Summary.Time = r.Time
	}
}
