package page

import (
	"encoding/json"
	"net/http"
	"time"

	"kurir/upstream/explain"
)

// answer tells a probe, which looks at the code, and a person, who reads on.
func answer(w http.ResponseWriter, good bool, v any) {
	w.Header().Set("Content-Type", "application/json")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(v) // who asked has gone, if this fails
}

// live says that the process runs and answers.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	answer(w, true, struct {
		Live bool `json:"live"`
	}{true})
}

// ready says whether mail is taken from apps.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	var v struct {
		Ready bool   `json:"ready"`
		Why   string `json:"why,omitempty"`
	}
	err := s.o.Ready()
	if v.Ready = err == nil; err != nil {
		v.Why = err.Error()
	}
	answer(w, v.Ready, v)
}

// A condition is what may be told to everybody of a route.
type condition struct {
	Name        string        `json:"name"`
	Condition   string        `json:"condition"`
	Cause       explain.Cause `json:"cause,omitempty"`
	Stage       explain.Stage `json:"stage,omitempty"`
	Explanation string        `json:"explanation,omitempty"`
	Fix         string        `json:"fix,omitempty"`
	Since       time.Time     `json:"since,omitzero"`
	Next        time.Time     `json:"next,omitzero"`
	Waiting     int           `json:"waiting"`
}

// upstreams says whether the providers take our mail, and if not, why.
func (s *Server) upstreams(w http.ResponseWriter, _ *http.Request) {
	status, err := s.now()
	v := struct {
		Healthy bool        `json:"healthy"`
		Routes  []condition `json:"routes"`
	}{Healthy: err == nil, Routes: []condition{}}
	for _, r := range status.Routes {
		c := condition{Name: r.Name, Condition: r.Condition, Since: r.Since, Next: r.Probe, Waiting: r.Waiting}
		if r.Trouble != nil {
			v.Healthy = false
			t := s.bare(r.Trouble)
			c.Cause, c.Stage, c.Explanation, c.Fix = t.Cause, t.Stage, t.Text(), t.Fix
		}
		v.Routes = append(v.Routes, c)
	}
	answer(w, v.Healthy, v)
}

// bare is a trouble in our own words alone: those of the server may hold
// addresses.
func (s *Server) bare(t *explain.Told) *explain.Told {
	f := explain.Failure{Cause: t.Cause, Stage: t.Stage}
	return f.ToldIn(s.o.Language)
}
