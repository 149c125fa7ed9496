package page

import (
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"kurir/relay/history"
)

// The sizes of the graph, in units of its own; a browser scales it.
const (
	graphWidth  = 720
	graphHeight = 84 // of the tallest column
	graphTop    = 14
	graphBase   = graphTop + graphHeight
	graphFoot   = graphBase + 22 // below the labels
	labelEvery  = 6              // hours
)

// A graph has a column for each hour.
type graph struct {
	hours                  []history.Hour
	most                   int // mails of the tallest column
	sent, deferred, failed int // of all hours
}

func newGraph(counted []history.Hour) graph {
	all := graph{hours: counted}
	for _, hour := range counted {
		all.sent, all.deferred, all.failed = all.sent+hour.Sent, all.deferred+hour.Deferred, all.failed+hour.Failed
		all.most = max(all.most, hour.Sent+hour.Deferred+hour.Failed)
	}
	return all
}

// graph draws it, and has its numbers in a table.
func (v view) graph(all graph) g.Node {
	return g.Group{
		h.SVG(h.Class("graph"), g.Attr("viewBox", "0 0 "+units(graphWidth)+" "+units(graphFoot)), h.Role("img"), h.Aria("labelledby", "graph-title graph-text"),
			h.TitleEl(h.ID("graph-title"), v.say("numbers_of.graph")),
			g.El("desc", h.ID("graph-text"),
				v.say("numbers_of.summary", "sent", strconv.Itoa(all.sent), "deferred", strconv.Itoa(all.deferred), "failed", strconv.Itoa(all.failed))),
			line("axis", graphBase),
			g.If(all.most > 0, g.Group{line("top", graphTop), label(graphWidth, graphTop-4, "end", strconv.Itoa(all.most))}),
			all.columns(),
		),
		h.Details(h.ID("graph-table"),
			h.Summary(v.say("numbers_of.table")),
			h.Table(
				v.heads([]string{"numbers_of.hour", "numbers_of.sent", "numbers_of.deferred", "numbers_of.failed"}),
				h.TBody(g.Map(all.hours, func(hour history.Hour) g.Node {
					return h.Tr(
						h.Th(h.Scope("row"), h.Time(h.DateTime(hour.Start.Format(time.RFC3339)), g.Text(clock(hour.Start)+"–"+clock(hour.Start.Add(time.Hour))))),
						h.Td(number(hour.Sent)), h.Td(number(hour.Deferred)), h.Td(number(hour.Failed)),
					)
				})),
			),
		),
	}
}

// columns are the hours: failed mail at the foot, then deferred, then sent, so
// that trouble begins at the same height everywhere.
func (all graph) columns() (drawn g.Group) {
	step := graphWidth / max(len(all.hours), 1)
	for i, hour := range all.hours {
		foot := graphBase
		for _, part := range []struct {
			kind string
			n    int
		}{{"failed", hour.Failed}, {"deferred", hour.Deferred}, {"sent", hour.Sent}} {
			if part.n == 0 {
				continue
			}
			height := max(part.n*graphHeight/all.most, 2) // the least can be seen
			foot -= height
			drawn = append(drawn, g.El("rect", h.Class(part.kind),
				g.Attr("x", units(i*step+2)), g.Attr("y", units(foot)), h.Width(units(step-4)), h.Height(units(height))))
		}
		if hour.Start.Local().Hour()%labelEvery == 0 {
			drawn = append(drawn, label(i*step+step/2, graphFoot, "middle", clock(hour.Start)))
		}
	}
	return drawn
}

func line(class string, y int) g.Node {
	return g.El("line", h.Class(class), g.Attr("x1", "0"), g.Attr("x2", units(graphWidth)), g.Attr("y1", units(y)), g.Attr("y2", units(y)))
}

func label(x, y int, anchor, said string) g.Node {
	return g.El("text", g.Attr("x", units(x)), g.Attr("y", units(y)), g.Attr("text-anchor", anchor), g.Text(said))
}

func units(n int) string { return strconv.Itoa(n) }

func clock(t time.Time) string { return t.Local().Format("15:04") }
