package page

import (
	"time"

	"kurir/relay/history"
)

// The sizes of the graph, in units of its own; a browser scales it.
const (
	graphWidth  = 720
	graphHeight = 84 // of the tallest column
	graphTop    = 14
	labelEvery  = 6 // hours
)

// A graph has a column for each hour.
type graph struct {
	Width, Height, Base    int
	Most                   int // mails of the tallest column
	Columns                []column
	Sent, Deferred, Failed int // of all hours
}

// A column is one hour: failed mail at the foot, then deferred, then sent, so
// that trouble begins at the same height everywhere.
type column struct {
	history.Hour
	X, Width, Middle int
	Parts            []part
	Label            string // "" under most
}

// A part of a column.
type part struct {
	Kind      string
	Y, Height int
}

func newGraph(counted []history.Hour) graph {
	g := graph{Width: graphWidth, Height: graphTop + graphHeight + 22, Base: graphTop + graphHeight}
	for _, h := range counted {
		g.Sent, g.Deferred, g.Failed = g.Sent+h.Sent, g.Deferred+h.Deferred, g.Failed+h.Failed
		g.Most = max(g.Most, h.Sent+h.Deferred+h.Failed)
	}
	step := graphWidth / max(len(counted), 1)
	for i, h := range counted {
		c := column{Hour: h, X: i*step + 2, Width: step - 4, Middle: i*step + step/2}
		if at := h.Start.Local(); at.Hour()%labelEvery == 0 {
			c.Label = at.Format("15:04")
		}
		foot := g.Base
		for _, p := range []struct {
			kind string
			n    int
		}{{"failed", h.Failed}, {"deferred", h.Deferred}, {"sent", h.Sent}} {
			if p.n == 0 {
				continue
			}
			height := max(p.n*graphHeight/g.Most, 2) // the least can be seen
			foot -= height
			c.Parts = append(c.Parts, part{p.kind, foot, height})
		}
		g.Columns = append(g.Columns, c)
	}
	return g
}

// End is when the hour is over.
func (c column) End() time.Time { return c.Start.Add(time.Hour) }
