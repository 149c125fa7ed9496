package page

import (
	"net/http"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"kurir/relay/control"
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

// A frontPage is the status page.
type frontPage struct {
	view
	state    string // "good", "warn" or "bad"
	headline string
	problems []string // with what could not be read
	status   control.Status
	routes   []route
	waiting  []control.Message
	recent   []mail
	numbers  graph
}

// A route is one as it is shown.
type route struct {
	control.Route
	state string
	left  []explain.Told // why the ways before the one in use were left
}

func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	if token := r.URL.Query().Get("token"); token != "" {
		s.enter(w, r, token)
		return
	}
	p := frontPage{view: s.view(r, s.words.Say("page.title"))}
	problem := func(err error) {
		if err != nil && p.trusted {
			p.problems = append(p.problems, err.Error())
		}
	}
	var err error
	p.status, err = s.now()
	problem(err)
	for _, one := range p.status.Routes {
		p.routes = append(p.routes, s.route(one, p.trusted))
	}
	counted, err := s.o.History.Hours(time.Now(), hours)
	problem(err)
	p.numbers = newGraph(counted)
	if p.trusted {
		p.recent, err = s.recent()
		problem(err)
		p.waiting, err = s.waiting()
		problem(err)
	}
	p.state, p.headline = s.headline(p.routes)
	show(w, http.StatusOK, p.html())
}

func (s *Server) route(of control.Route, trusted bool) route {
	r := route{Route: of, state: map[string]string{"open": "good", "down": "warn", "held": "bad"}[of.Condition]}
	if of.Trouble != nil && !trusted {
		r.Trouble = s.bare(of.Trouble)
	}
	if of.Way != nil {
		for _, t := range of.Way.Left {
			if !trusted {
				where := t.Where
				t = *s.bare(&t)
				t.Where = where
			}
			r.left = append(r.left, t)
		}
	}
	return r
}

// headline answers the first question: does mail flow?
func (s *Server) headline(routes []route) (state, text string) {
	if err := s.o.Ready(); err != nil {
		return "bad", s.words.Say("headline.not_ready")
	}
	bad, state := 0, "good"
	for _, r := range routes {
		if r.state != "good" {
			bad++
		}
		if r.state == "bad" || r.state == "warn" && state == "good" {
			state = r.state
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

func (p *frontPage) html() g.Node {
	return p.pageOver(
		h.Footer(h.P(p.say("page.version", "version", p.status.Version), g.Text(" "), when(p.status.Started))),

		h.Div(h.ID("headline"), h.Role("status"), h.Aria("live", "polite"), live(), h.H1(h.Class(p.state), g.Text(p.headline))),
		h.Div(h.ID("problems"), live(), g.Map(p.problems, func(problem string) g.Node {
			return h.P(h.Class("note bad"), p.say("page.unreadable"), g.Text(" "), h.Code(text(problem)))
		})),
		g.If(!p.trusted, h.P(h.Class("note"), p.say("token.public"))),
		p.section("routes-title", "routes.title", h.Div(h.ID("routes"), live(), g.Map(p.routes, p.route))),
		p.section("numbers-title", "numbers_of.title", h.Div(h.ID("numbers"), live(), p.counts(), p.graph(p.numbers))),
		g.If(p.trusted, g.Group{
			p.section("queue-title", "queue.title", h.Div(h.ID("queue"), live(), p.queue()), p.act("/flush", "queue.flush")),
			p.section("mails-title", "mails.title", h.Div(h.ID("mails"), live(), p.mails(p.recent, "mails.none"))),
		}),
	)
}

func (p *frontPage) route(r route) g.Node {
	inUse := g.Node(nil)
	switch {
	case r.Way != nil:
		inUse = h.P(p.say("routes.way"), g.Text(" "), h.Strong(text(r.Way.Candidate)), g.Text(". "), p.say("routes.since"), g.Text(" "), when(r.Way.Since), g.Text("."))
	case r.Trouble == nil:
		inUse = h.P(p.say("routes.unused"))
	}
	return h.Article(h.Class("card "+r.state),
		h.H3(text(r.Name), g.Text(" "), badge(r.state, p.say("routes."+r.Condition))),
		g.Iff(r.Trouble != nil, func() g.Node {
			return g.Group{
				p.trouble(r.Trouble),
				h.P(
					p.say("routes.since"), g.Text(" "), when(r.Since), g.Text(" · "),
					p.say("routes.next"), g.Text(" "), when(r.Probe), g.Text(" · "),
					p.say("routes.waiting"), g.Text(": "), number(r.Waiting),
				),
			}
		}),
		inUse,
		g.If(len(r.left) > 0, g.Group{
			h.P(p.say("routes.left")),
			h.Ul(g.Map(r.left, func(t explain.Told) g.Node {
				return h.Li(text(t.Where+": "+t.Title+" "+t.Fix+" "), h.Code(text(string(t.Cause))))
			})),
		}),
	)
}

// counts are the numbers of the last hours, and of now.
func (p *frontPage) counts() g.Node {
	count := func(n int, what ...g.Node) g.Node { return h.Li(h.B(number(n)), g.Text(" "), g.Group(what)) }
	key := func(kind string) g.Node { return h.Span(h.Class("key "+kind), p.say("numbers_of."+kind)) }
	return h.Ul(h.Class("numbers"),
		count(p.numbers.sent, key("sent")),
		count(p.numbers.deferred, key("deferred")),
		count(p.numbers.failed, key("failed")),
		count(p.status.Waiting, p.say("numbers_of.waiting"), g.Text(" ("+p.size(p.status.Bytes)+")"),
			g.If(!p.status.Oldest.IsZero(), g.Group{g.Text(", "), p.say("numbers_of.oldest"), g.Text(" "), when(p.status.Oldest)})),
		count(p.status.Failed, p.say("numbers_of.kept")),
	)
}

// queue is the mail that waits.
func (p *frontPage) queue() g.Node {
	if len(p.waiting) == 0 {
		return h.P(p.say("queue.none"))
	}
	heads := []string{"queue.id", "queue.from", "queue.to", "queue.received", "queue.next", "queue.cause"}
	return g.Group{
		p.table("wide", "queue-title", heads, g.Map(p.waiting, func(m control.Message) g.Node {
			return h.Tr(
				h.Td(h.A(h.Href("/message/"+m.ID.String()), g.Text(m.ID.String()))),
				h.Td(p.sender(string(m.From))),
				h.Td(list(m.To)),
				h.Td(when(m.Received)),
				h.Td(p.turn(m)),
				h.Td(h.Code(text(m.Cause)), g.Text(" "), text(m.Error)),
			)
		})),
		g.If(len(p.waiting) < p.status.Waiting, h.P(p.say("queue.more"))),
	}
}

// turn is when a message is tried next.
func (p *frontPage) turn(m control.Message) g.Node {
	switch {
	case m.State == control.Underway:
		return p.say("queue.underway")
	case m.Due.IsZero():
		return p.say("queue.turn")
	}
	return when(m.Due)
}
