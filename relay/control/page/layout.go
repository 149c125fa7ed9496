package page

import (
	"bytes"
	"cmp"
	"net/http"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"kurir/upstream/explain"
)

// A view is what every page needs.
type view struct {
	words
	language explain.Language
	title    string
	trusted  bool
	form     string // the key that its forms carry
}

func (s *Server) view(r *http.Request, title string) view {
	v := view{words: s.words, language: cmp.Or(s.o.Language, explain.English), title: title, trusted: s.isTrusted(r)}
	if v.trusted {
		v.form = s.keys.form
	}
	return v
}

// show sends a page; what a browser gets is whole or an error.
func show(w http.ResponseWriter, code int, page g.Node) {
	var b bytes.Buffer
	if err := page.Render(&b); err != nil {
		http.Error(w, "500 "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = b.WriteTo(w) // who asked has gone, if this fails
}

// tell shows a page with one text.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, code int, name string) {
	v := s.view(r, s.words.Say("page.notice"))
	show(w, code, v.page(
		h.H1(g.Text(v.title)),
		h.P(h.Class("note"), v.say(name)),
		v.back(),
	))
}

// page is the whole of one.
func (v view) page(content ...g.Node) g.Node { return v.pageOver(nil, content...) }

// pageOver has something below its content.
func (v view) pageOver(foot g.Node, content ...g.Node) g.Node {
	return h.Doctype(h.HTML(h.Lang(string(v.language)),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.TitleEl(g.Text(v.title)),
			h.Link(h.Rel("icon"), h.Href("data:,")),
			h.Link(h.Rel("stylesheet"), h.Href("/page.css")),
			h.Script(h.Src("/page.js"), h.Defer()),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#content"), v.say("page.skip")),
			h.Header(
				h.A(h.Class("name"), h.Href("/"), g.Text("Kurir")),
				g.If(v.trusted, h.Form(h.Role("search"), h.Action("/search"), h.Method("get"),
					h.Label(h.For("q"), v.say("search.label")),
					h.Input(h.ID("q"), h.Name("q"), h.Type("search"), h.MaxLength("320"), h.Required(), h.AutoComplete("off"), g.Attr("spellcheck", "false")),
					h.Button(v.say("search.button")),
				)),
			),
			h.Main(h.ID("content"), h.TabIndex("-1"),
				h.P(h.ID("lost"), h.Role("status"), h.Data("text", v.Say("page.lost"))),
				g.Group(content),
			),
			foot,
		),
	))
}

func (v view) back() g.Node { return h.P(h.A(h.Href("/"), v.say("page.back"))) }

// live is what page.js keeps as it is on the server.
func live() g.Node { return g.Attr("data-live") }

// section is a part of a page, under a title that names it.
func (v view) section(id, title string, content ...g.Node) g.Node {
	return h.Section(h.Aria("labelledby", id), h.H2(h.ID(id), v.say(title)), g.Group(content))
}

// table is one that can be scrolled, under what the element of this ID says.
func (v view) table(class, title string, heads []string, rows g.Group) g.Node {
	return h.Div(h.Class(class), h.Role("group"), h.Aria("labelledby", title), h.TabIndex("0"), h.Table(v.heads(heads), h.TBody(rows)))
}

func (v view) heads(names []string) g.Node {
	return h.THead(h.Tr(g.Map(names, func(name string) g.Node { return h.Th(h.Scope("col"), v.say(name)) })))
}

// act is a form with nothing but a button.
func (v view) act(path, name string, button ...g.Node) g.Node {
	return h.Form(h.Action(path), h.Method("post"),
		h.Input(h.Type("hidden"), h.Name("form"), h.Value(v.form)),
		h.Button(v.say(name), g.Group(button)),
	)
}

// A row of a list of terms; nil without a text.
func term(name g.Node, said string) g.Node {
	if said == "" {
		return nil
	}
	return g.Group{h.Dt(name), h.Dd(text(said))}
}

// when is a moment, as it is here and as programs read it.
func when(t time.Time) g.Node {
	return h.Time(h.DateTime(t.Format(time.RFC3339)), g.Text(t.Local().Format("2006-01-02 15:04:05")))
}

func badge(state string, content g.Node) g.Node { return h.Span(h.Class("badge "+state), content) }

// trouble is a failure, and what to do.
func (v view) trouble(t *explain.Told) g.Node {
	return g.Group{
		h.P(h.Class("what"), text(t.Title)),
		h.Dl(
			h.Dt(v.say("routes.why")), h.Dd(text(t.Meaning)),
			g.If(t.Fix != "", g.Group{h.Dt(v.say("routes.do")), h.Dd(h.Strong(text(t.Fix)))}),
			g.If(t.Reply != "", g.Group{h.Dt(v.say("routes.reply")), h.Dd(h.Code(text(t.Reply)))}),
			term(v.say("routes.where"), t.Where),
			h.Dt(v.say("routes.cause")), h.Dd(h.Code(text(string(t.Cause)))),
		),
	}
}
