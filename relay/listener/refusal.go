package listener

import (
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A refusal is what the listener itself has against a client or its mail. How
// it is said in the reply and in the log is up to the catalogue of explain.
type refusal struct {
	code     int // 0: the client would not understand a reply, and gets none
	enhanced explain.EnhancedCode
	failure  explain.Failure
	mayPass  bool // soon, by itself
}

// refuse makes a refusal; text is the one of the cause that fits.
func refuse(code int, e explain.EnhancedCode, cause explain.Cause, text string, facts ...explain.Fact) *refusal {
	facts = append(facts, explain.Fact{Name: explain.FactHere, Value: text})
	return &refusal{code: code, enhanced: e, failure: explain.Failure{Cause: cause, Facts: facts}}
}

func limited(limit string) explain.Fact {
	return explain.Fact{Name: explain.FactLimit, Value: limit}
}

func faulty(err error) explain.Fact {
	return explain.Fact{Name: explain.FactFault, Value: err.Error()}
}

// explain says r in the language of the server.
func (s *Server) explain(r *refusal) explain.Explanation {
	return r.failure.ExplanationIn(s.set().Language)
}

// refuse tells the log of a transaction, or a part of it, that is refused.
func (s *Server) refuse(stage explain.Stage, client string, env envelope.Envelope, r *refusal) explain.Explanation {
	r.failure.Stage = stage
	x := s.explain(r)
	s.log.refused(client, env, r, x)
	return x
}

// turnAway tells the log of a client that is refused as a whole.
func (s *Server) turnAway(c *conn, r *refusal) explain.Explanation {
	x := s.explain(r)
	s.log.rejected(c.client, x.Text(), x.Fix)
	return x
}
