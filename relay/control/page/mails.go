package page

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"kurir/relay/history"
)

// A mail is a message, or what never became one, with what happened last.
type mail struct {
	history.Record
	state, outcome string
}

func (s *Server) mail(r history.Record) mail {
	outcome := s.words.Say("event." + strings.ReplaceAll(r.Event, ".", "_"))
	m := mail{Record: r, state: "plain", outcome: cmp.Or(outcome, r.Event)}
	switch r.Event {
	case "delivery.sent":
		m.state = "good"
	case "delivery.deferred", "delivery.uncertain":
		m.state = "warn"
	case "delivery.held", "delivery.failed", "message.refused":
		m.state = "bad"
	}
	return m
}

// isMail tells whether a record says what became of a message, or of one that
// was refused before it had an ID; the others are of routes.
func isMail(r history.Record) bool {
	return len(r.Transcript) == 0 && (r.ID != "" || strings.HasPrefix(r.Event, "message."))
}

// recent are the messages that something happened to last, each with that.
func (s *Server) recent() ([]mail, error) {
	records, err := s.o.History.Recent(shownMails * perMail)
	seen := make(map[string]bool)
	var mails []mail
	for _, r := range records {
		if !isMail(r) || r.ID != "" && seen[r.ID] || len(mails) == shownMails {
			continue
		}
		seen[r.ID] = true
		mails = append(mails, s.mail(r))
	}
	return mails, err
}

// search shows the messages that fit, those of the newest events first.
func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	if query == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	var mails []mail
	full := false // there may be more
	for record, err := range s.o.History.Find(history.Query{Text: query, Limit: shownFound * perMail}) {
		if err != nil {
			s.tell(w, r, http.StatusInternalServerError, "page.unreadable")
			return
		}
		known := func(m mail) bool { return m.ID != "" && m.ID == record.ID }
		if !isMail(record) || slices.ContainsFunc(mails, known) {
			continue
		}
		if full = len(mails) == shownFound; full {
			break
		}
		mails = append(mails, s.mail(record))
	}
	v := s.view(r, s.words.Say("page.search"))
	show(w, http.StatusOK, v.page(
		h.H1(h.ID("mails-title"), v.say("search.title", "query", query)),
		h.Div(h.ID("found"), live(), v.mails(mails, "search.none"), g.If(full, h.P(v.say("search.full")))),
		v.back(),
	))
}

// mails is the table of them, or that there are none.
func (v view) mails(mails []mail, none string) g.Node {
	if len(mails) == 0 {
		return h.P(v.say(none))
	}
	heads := []string{"mails.time", "mails.outcome", "mails.mail", "mails.why"}
	return v.table("wide mails", "mails-title", heads, g.Map(mails, v.mail))
}

func (v view) mail(m mail) g.Node {
	why := g.Node(nil)
	switch {
	case m.Explanation != "":
		why = g.Group{text(m.Explanation), g.If(m.Fix != "", g.Group{h.Br(), v.fix("mails.do", m.Fix)})}
	case m.Reply != "":
		why = h.Code(text(m.Reply))
	}
	return h.Tr(
		h.Td(when(m.Time)),
		h.Td(badge(m.state, g.Text(m.outcome))),
		h.Td(
			g.If(m.ID != "", g.Group{h.A(h.Href("/message/"+m.ID), g.Text(m.ID)), h.Br()}),
			g.If(len(m.To) > 0, g.Group{v.sender(m.From), g.Text(" → "), list(m.To)}),
			g.If(m.Subject != "", g.Group{h.Br(), text(m.Subject)}),
		),
		h.Td(why),
	)
}

// fix is what to do.
func (v view) fix(name, fix string) g.Node {
	return g.Group{h.Strong(v.say(name)), g.Text(" "), text(fix)}
}

// sender is a reverse-path, which a notification has none of.
func (v view) sender(from string) g.Node {
	if from == "" {
		return v.say("mails.nobody")
	}
	return text(from)
}
