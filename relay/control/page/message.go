package page

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"kurir/relay/control"
	"kurir/relay/history"
	"kurir/relay/spool"
)

// A messagePage is all that is known of one message.
type messagePage struct {
	view
	id      string
	summary history.Record // what it is, from all its records
	state   string         // control.Waiting, Underway or Failed; "" when it is no longer here
	story   *control.Story // nil then
	events  []mail         // oldest first
}

// about is h for the message that a request names.
func (s *Server) about(h func(http.ResponseWriter, *http.Request, spool.ID)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := spool.ParseID(r.PathValue("id"))
		if err != nil {
			s.tell(w, r, http.StatusNotFound, "message.unknown")
			return
		}
		h(w, r, id)
	}
}

func (s *Server) message(w http.ResponseWriter, r *http.Request, id spool.ID) {
	p := messagePage{view: s.view(r, s.words.Say("message.title", "id", id.String())), id: id.String()}
	records, err := s.o.History.Story(p.id)
	if err != nil {
		s.tell(w, r, http.StatusInternalServerError, "page.unreadable")
		return
	}
	p.story, err = s.o.Desk.Show(id)
	switch {
	case err == nil:
		p.state = p.story.State
		p.fill(p.story)
	case !errors.Is(err, spool.ErrNotFound):
		s.tell(w, r, http.StatusInternalServerError, "page.unreadable")
		return
	case len(records) == 0:
		s.tell(w, r, http.StatusNotFound, "message.unknown")
		return
	}
	for _, record := range records {
		p.add(record)
		p.events = append(p.events, s.mail(record))
	}
	show(w, http.StatusOK, p.html())
}

// fill takes what a message is from the spool, which knows it even where the
// history has forgotten.
func (p *messagePage) fill(story *control.Story) {
	for _, st := range []*spool.Stored{story.Waiting, story.Failed} {
		if st == nil {
			continue
		}
		record := history.Record{MessageID: st.MessageID, From: string(st.Envelope.From), Size: st.Size, Client: st.Client, Time: st.Received}
		for _, to := range st.Envelope.To {
			record.To = append(record.To, string(to.To))
		}
		p.add(record)
	}
}

// add completes what the message is by what a record says of it.
func (p *messagePage) add(r history.Record) {
	p.summary.MessageID = cmp.Or(p.summary.MessageID, r.MessageID)
	p.summary.From = cmp.Or(p.summary.From, r.From)
	p.summary.Client = cmp.Or(p.summary.Client, r.Client)
	p.summary.Subject = cmp.Or(p.summary.Subject, r.Subject)
	for _, to := range r.To {
		if !slices.Contains(p.summary.To, to) {
			p.summary.To = append(p.summary.To, to)
		}
	}
	p.summary.Size = max(p.summary.Size, r.Size)
	if p.summary.Time.IsZero() || r.Time.Before(p.summary.Time) {
		p.summary.Time = r.Time
	}
}

func (p *messagePage) html() g.Node {
	return p.page(
		h.H1(g.Text(p.title)),
		p.section("about", "message.state", h.Div(h.ID("state"), live(), p.standing(), p.about())),
		p.section("story-title", "message.story", h.Ol(h.ID("story"), h.Class("story"), live(), p.told())),
		g.If(p.state != "", p.section("actions-title", "message.actions",
			p.act("/message/"+p.id+"/retry", "message.retry"),
			h.Details(h.ID("drop"),
				h.Summary(p.say("message.drop")),
				h.P(p.say("message.sure")),
				p.act("/message/"+p.id+"/drop", "message.drop_sure", h.Class("danger")),
			),
		)),
		p.back(),
	)
}

// standing is where the message is now, and what it waits for.
func (p *messagePage) standing() g.Node {
	if p.story == nil {
		return h.P(h.Class("what"), h.Role("status"), p.say("message.over"))
	}
	next := g.Node(nil)
	if !p.story.Due.IsZero() {
		next = g.Group{g.Text(" "), p.next(p.story.Due)}
	}
	here := h.P(h.Class("what"), h.Role("status"), p.say("message."+p.state), next)
	if p.story.Trouble == nil {
		return here
	}
	return g.Group{here, h.Div(h.Class("card bad"), h.P(p.say("message.route", "route", p.story.Route)), p.trouble(p.story.Trouble))}
}

func (p *messagePage) next(t time.Time) g.Node {
	return g.Group{p.say("message.next"), g.Text(": "), when(t)}
}

// about is what the message is.
func (p *messagePage) about() g.Node {
	return h.Dl(
		term(p.say("message.subject"), p.summary.Subject),
		h.Dt(p.say("message.from")), h.Dd(p.sender(p.summary.From)),
		h.Dt(p.say("message.to")), h.Dd(list(p.summary.To)),
		term(p.say("message.message_id"), p.summary.MessageID),
		h.Dt(p.say("message.received")), h.Dd(when(p.summary.Time)),
		term(p.say("message.client"), p.summary.Client),
		h.Dt(p.say("message.size")), h.Dd(g.Text(p.size(p.summary.Size))),
	)
}

// told is what happened to the message, in the order of time.
func (p *messagePage) told() (all g.Group) {
	for i, m := range p.events {
		if len(m.Transcript) > 0 {
			all = append(all, h.Li(p.transcript(m, strconv.Itoa(i))))
		} else {
			all = append(all, h.Li(p.event(m)))
		}
	}
	return all
}

func (p *messagePage) transcript(m mail, n string) g.Node {
	return h.Details(h.ID("said-"+n),
		h.Summary(p.say("message.transcript", "upstream", m.Upstream, "tls", m.TLS)),
		h.Pre(h.TabIndex("0"), g.Map(m.Transcript, func(line string) g.Node { return g.Group{text(line), g.Text("\n")} })),
	)
}

func (p *messagePage) event(m mail) g.Node {
	return g.Group{
		h.P(
			when(m.Time), g.Text(" "), badge(m.state, g.Text(m.outcome)),
			g.If(m.Attempt > 0, g.Group{g.Text(" "), p.say("message.attempt", "n", strconv.Itoa(m.Attempt))}),
			g.If(m.Upstream != "", g.Group{g.Text(" · "), text(m.Upstream), g.Text(" "), text(m.TLS)}),
			g.If(m.ElapsedMS > 0, g.Group{g.Text(" · "), p.say("message.took", "ms", strconv.FormatInt(m.ElapsedMS, 10))}),
		),
		h.P(list(m.To)),
		g.If(m.Explanation != "", h.P(text(m.Explanation))),
		g.If(m.Fix != "", h.P(p.fix("mails.do", m.Fix))),
		g.If(m.Reply != "", h.P(h.Code(text(m.Reply)))),
		g.If(m.Cause != "", h.P(p.say("routes.cause"), g.Text(" "), h.Code(text(m.Cause)),
			g.If(m.Stage != "", g.Group{g.Text(" · "), h.Code(text(m.Stage))}))),
		g.If(!m.Next.IsZero(), h.P(p.next(m.Next))),
	}
}
