package explain

// Told is a failure in words for people and in names for programs, as reports
// and the control socket have it.
type Told struct {
	Cause     Cause   `json:"cause"`
	Stage     Stage   `json:"stage,omitempty"`
	Where     string  `json:"where,omitempty"` // the candidate
	Verdict   Verdict `json:"verdict"`
	Permanent bool    `json:"permanent"`
	Provider  string  `json:"provider,omitempty"`
	Reply     string  `json:"reply,omitempty"` // the server's words in one line
	Error     string  `json:"error,omitempty"` // where it said nothing
	Facts     []Fact  `json:"facts,omitempty"`
	Explanation
	Details string `json:"details,omitempty"` // all of it in lines for people, as the log and "kurir why" have them
}

// ToldIn tells the failure in a language.
func (f *Failure) ToldIn(l Language) *Told {
	t := &Told{
		Cause: f.Cause, Stage: f.Stage, Where: f.Candidate.String(), Verdict: f.Verdict(), Permanent: f.Permanent(),
		Provider: f.Provider, Facts: f.Facts, Explanation: f.ExplanationIn(l), Details: f.DetailsIn(l),
	}
	switch {
	case f.Reply != nil:
		t.Reply = f.Reply.Line()
	case f.Err != nil:
		t.Error = f.Err.Error()
	}
	return t
}
