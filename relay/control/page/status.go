package page

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kurir/relay/control"
	"kurir/relay/history"
	"kurir/upstream/explain"
)

// How much of each is shown; the search finds the rest.
const (
	shownMails   = 30
	shownWaiting = 30
	shownFound   = 100
	hours        = 24

	// perMail is how many records are read for one mail that is shown.
	perMail = 8
)

// A view is what every page needs.
type view struct {
	Language explain.Language
	Trusted  bool
	Form     string // the key that its forms carry
	Title    string
}

func (s *Server) view(r *http.Request, title string) view {
	v := view{Language: s.o.Language, Title: title, Trusted: s.isTrusted(r)}
	if v.Language == "" {
		v.Language = explain.English
	}
	if v.Trusted {
		v.Form = s.keys.form
	}
	return v
}

// show fills a template; what a browser gets is whole or an error.
func (s *Server) show(w http.ResponseWriter, code int, name string, v any) {
	var b bytes.Buffer
	if err := s.templates.ExecuteTemplate(&b, name, v); err != nil {
		http.Error(w, "500 "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = b.WriteTo(w) // who asked has gone, if this fails
}

// tell is a page with one text.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, code int, name string) {
	s.show(w, code, "notice.html", struct {
		view
		Text string
	}{s.view(r, s.words.Say("page.notice")), s.words.Say(name)})
}

// A frontPage is the status page.
type frontPage struct {
	view
	State    string // "good", "warn" or "bad"
	Headline string
	Problems []string // with what could not be read
	Status   control.Status
	Routes   []routeView
	Waiting  []control.Message
	Mails    []mailView
	Graph    graph
}

// A routeView is a route as it is shown.
type routeView struct {
	control.Route
	State string
	Left  []explain.Told // why the ways before the one in use were left
}

// A mailView is a message, or what never became one, with what happened last.
type mailView struct {
	history.Record
	State, Outcome string
	Linked         bool
}

func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	if token := r.URL.Query().Get("token"); token != "" {
		s.enter(w, r, token)
		return
	}
	v := frontPage{view: s.view(r, s.words.Say("page.title"))}
	problem := func(err error) {
		if err != nil && v.Trusted {
			v.Problems = append(v.Problems, err.Error())
		}
	}
	var err error
	v.Status, err = s.now()
	problem(err)
	for _, route := range v.Status.Routes {
		v.Routes = append(v.Routes, s.route(route, v.Trusted))
	}
	counted, err := s.o.History.Hours(time.Now(), hours)
	problem(err)
	v.Graph = newGraph(counted)
	if v.Trusted {
		v.Mails, err = s.recent()
		problem(err)
		v.Waiting, err = s.waiting()
		problem(err)
	}
	v.State, v.Headline = s.headline(v.Routes)
	s.show(w, http.StatusOK, "status.html", v)
}

func (s *Server) route(r control.Route, trusted bool) routeView {
	v := routeView{Route: r, State: map[string]string{"open": "good", "down": "warn", "held": "bad"}[r.Condition]}
	if r.Trouble != nil && !trusted {
		v.Trouble = s.bare(r.Trouble)
	}
	if r.Way != nil {
		v.Left = r.Way.Left
		if !trusted {
			v.Left = nil
			for _, t := range r.Way.Left {
				bare := s.bare(&t)
				bare.Where = t.Where
				v.Left = append(v.Left, *bare)
			}
		}
	}
	return v
}

// headline answers the first question: does mail flow?
func (s *Server) headline(routes []routeView) (state, text string) {
	if err := s.o.Ready(); err != nil {
		return "bad", s.words.Say("headline.not_ready")
	}
	bad, state := 0, "good"
	for _, r := range routes {
		if r.State != "good" {
			bad++
		}
		if r.State == "bad" || r.State == "warn" && state == "good" {
			state = r.State
		}
	}
	switch {
	case bad == 0:
		return state, s.words.Say("headline.flows")
	case bad < len(routes):
		return state, s.words.Say("headline.partly", "bad", strconv.Itoa(bad), "all", strconv.Itoa(len(routes)))
	case state == "bad":
		return state, s.words.Say("headline.held")
	}
	return state, s.words.Say("headline.down")
}

// recent are the messages that something happened to last, each with that.
func (s *Server) recent() ([]mailView, error) {
	records, err := s.o.History.Recent(shownMails * perMail)
	seen := make(map[string]bool)
	var mails []mailView
	for _, r := range records {
		if !isMail(r) || r.ID != "" && seen[r.ID] || len(mails) == shownMails {
			continue
		}
		seen[r.ID] = true
		mails = append(mails, s.mail(r))
	}
	return mails, err
}

func (s *Server) mail(r history.Record) mailView {
	name := strings.ReplaceAll(r.Event, ".", "_")
	v := mailView{Record: r, State: "plain", Outcome: s.words.Say("event." + name), Linked: r.ID != ""}
	switch r.Event {
	case "delivery.sent":
		v.State = "good"
	case "delivery.deferred", "delivery.uncertain":
		v.State = "warn"
	case "delivery.held", "delivery.failed", "message.refused":
		v.State = "bad"
	}
	if v.Outcome == "" {
		v.Outcome = r.Event
	}
	return v
}

// isMail tells whether a record says what became of a message, or of one that
// was refused before it had an ID; the others are of routes.
func isMail(r history.Record) bool {
	return len(r.Transcript) == 0 && (r.ID != "" || strings.HasPrefix(r.Event, "message."))
}

// waiting are the oldest messages that wait.
func (s *Server) waiting() (all []control.Message, err error) {
	for m, err := range s.o.Desk.List(control.Filter{}) {
		if err != nil || len(all) == shownWaiting {
			return all, err
		}
		all = append(all, m)
	}
	return all, nil
}

// search shows the messages that fit, those of the newest events first.
func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	v := struct {
		view
		Query string
		Mails []mailView
		Full  bool // there may be more
	}{view: s.view(r, s.words.Say("page.search")), Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	if v.Query == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	for record, err := range s.o.History.Find(history.Query{Text: v.Query, Limit: shownFound * perMail}) {
		if err != nil {
			s.tell(w, r, http.StatusInternalServerError, "page.unreadable")
			return
		}
		known := func(m mailView) bool { return m.ID != "" && m.ID == record.ID }
		if !isMail(record) || slices.ContainsFunc(v.Mails, known) {
			continue
		}
		if v.Full = len(v.Mails) == shownFound; v.Full {
			break
		}
		v.Mails = append(v.Mails, s.mail(record))
	}
	s.show(w, http.StatusOK, "search.html", v)
}
