package check

import "kurir/upstream/explain"

// A Trouble is a failure in words for people and in names for scripts.
type Trouble struct {
	// Details are all of it in lines for people, as log and "kurir why" have them.
	Details string `json:"-"`

	Cause     explain.Cause   `json:"cause"`
	Stage     explain.Stage   `json:"stage"`
	Where     string          `json:"where,omitempty"`
	Verdict   explain.Verdict `json:"verdict"`
	Permanent bool            `json:"permanent"`
	Provider  string          `json:"provider,omitempty"`
	Reply     string          `json:"reply,omitempty"` // the server's words
	Error     string          `json:"error,omitempty"` // where it said nothing
	Facts     []explain.Fact  `json:"facts,omitempty"`
	explain.Explanation
}

func trouble(f *explain.Failure, l explain.Language) *Trouble {
	t := &Trouble{
		Details: f.DetailsIn(l), Cause: f.Cause, Stage: f.Stage, Where: f.Candidate.String(),
		Verdict: f.Verdict(), Permanent: f.Permanent(), Provider: f.Provider,
		Facts: f.Facts, Explanation: f.ExplanationIn(l),
	}
	switch {
	case f.Reply != nil:
		t.Reply = f.Reply.Line()
	case f.Err != nil:
		t.Error = f.Err.Error()
	}
	return t
}
