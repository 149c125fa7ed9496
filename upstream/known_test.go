package upstream

import (
	"context"
	"net"
	"testing"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// App passwords are shown in four groups, and pasted so.
func TestCleanPassword(t *testing.T) {
	gmail, other := provider.ByName("gmail"), &provider.Provider{}
	cases := []struct {
		p          *provider.Provider
		have, want string
	}{
		{gmail, "abcd efgh ijkl mnop", "abcdefghijklmnop"},
		{gmail, " abcd\u00a0efgh ijkl mnop\r\n", "abcdefghijklmnop"},
		{gmail, "abcd efgh ijkl", "abcd efgh ijkl"},
		{gmail, "abcd efgh ijkl mno1", "abcd efgh ijkl mno1"},
		{other, "abcd efgh ijkl mnop", "abcd efgh ijkl mnop"},
		{other, "secret\n", "secret"},
		{other, "", ""},
	}
	for _, c := range cases {
		if got := cleanPassword(c.have, c.p); got != c.want {
			t.Errorf("%q at %q: %q, want %q", c.have, c.p.Name, got, c.want)
		}
	}
}

// What the table of providers knows is told with the failure it explains.
func TestKnownFacts(t *testing.T) {
	o := Options{provider: provider.ByName("sendgrid"), Candidates: []explain.Candidate{{Host: "smtp.sendgrid.net", Port: 587, TLS: explain.STARTTLS}}}
	at := func(stage explain.Stage, host string, r *explain.Reply) explain.Failure {
		s := &session{o: &o, stage: stage, candidate: explain.Candidate{Host: host, Port: 587}}
		return s.describe(r, context.DeadlineExceeded)
	}
	mistyped := at(explain.StageDNS, "smtp.gmial.com", nil)
	mistyped.Err = &net.DNSError{IsNotFound: true}
	if f := explain.Explain(mistyped); f.Explanation().Title != "The host name smtp.gmial.com does not exist. Did you mean smtp.gmail.com?" {
		t.Error(f.Explanation())
	}
	silent := at(explain.StageConnect, "smtp.sendgrid.net", nil)
	if ports := silent.Fact(explain.FactOtherPorts); ports != "465 2525" {
		t.Errorf("other ports %q", ports)
	}
	refused := at(explain.StageAuth, "smtp.sendgrid.net", explain.NewReply(535, []string{"no"}))
	if refused.Fact(explain.FactUserKind) != "the word apikey" || refused.Fact(explain.FactPasswordKind) != "an API key" {
		t.Errorf("facts %v", refused.Facts)
	}
}
