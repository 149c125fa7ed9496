package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"kurir/upstream/check"
	"kurir/upstream/explain"
)

// A printer writes a checkup for people: what was seen, the advice, and in the
// last line what it comes to.
type printer struct {
	bytes.Buffer
	words
}

func (c *checkup) print(to io.Writer, w words) error {
	p := &printer{words: w}
	for i, r := range c.Upstreams {
		fmt.Fprintf(p, "%s: %s\n\n", c.numbered(i, r.Host), p.names(r.Names))
		p.report(r)
	}
	fmt.Fprintln(p, w.say("machine.title"))
	table := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	for _, f := range c.Local {
		label := w.say("machine." + f.What)
		if label == "" {
			label = f.What // a key of the configuration
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", w.say("machine."+string(f.Result)), label, f.Text)
	}
	_ = table.Flush() // into memory
	p.WriteString("\n")
	told := map[string]bool{} // the same account can stand behind several
	for _, r := range c.Upstreams {
		if r.Trouble != nil && !told[r.Trouble.Details] {
			told[r.Trouble.Details] = true
			for line := range strings.Lines(r.Trouble.Details) {
				fmt.Fprintln(p, cut(strings.TrimSuffix(line, "\n")))
			}
			p.WriteString("\n")
		}
		if s := r.Sent; s != nil {
			fmt.Fprintf(p, "%s\n  %s\n\n",
				w.say("sent.over", "from", string(s.From), "to", string(s.To), "over", s.Over, "time", took(s.ElapsedMS)),
				explain.Printable(cut(s.Reply)))
		}
	}
	fmt.Fprintln(p, c.Summary)
	_, err := p.WriteTo(to)
	return err
}

func (p *printer) report(r *check.Report) {
	table := tabwriter.NewWriter(p, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "  %s\t%s\t%s\n", p.say("table.port"), p.say("table.security"), p.say("table.result"))
	for i := range r.Candidates {
		c := &r.Candidates[i]
		fmt.Fprintf(table, "  %d\t%s\t%s\n", c.Port, p.say("table."+string(c.TLS)), p.result(c, r.Way))
	}
	_ = table.Flush()
	p.WriteString("\n")
	for i := range r.Candidates {
		p.candidate(&r.Candidates[i])
	}
}

func (p *printer) names(n check.Names) string {
	addresses := strings.Join(n.Addresses, ", ")
	switch {
	case len(n.Addresses) == 0:
		return p.say("names.none")
	case n.LoopbackOnly:
		return p.say("names.self", "addresses", addresses)
	}
	return p.say("names.found", "addresses", addresses, "time", took(n.ElapsedMS))
}

// result is one candidate in a few words.
func (p *printer) result(c *check.Candidate, way *explain.Candidate) string {
	switch {
	case c.Trouble != nil:
		return c.Trouble.Title
	case c.Result == check.SignedIn:
		return p.say("table.signed_in")
	case way != nil:
		return p.say("table.works")
	}
	return p.say("table.same_account")
}

func (p *printer) candidate(c *check.Candidate) {
	fmt.Fprintln(p, c.String())
	table := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	row := func(label, text string) { fmt.Fprintf(table, "  %s\t%s\n", label, text) }
	var steps []string
	for _, s := range c.Steps {
		text := "facts.step"
		if s.Failed {
			text = "facts.step_failed"
		}
		steps = append(steps, p.say(text, "stage", string(s.Stage), "time", took(s.ElapsedMS)))
	}
	row(p.say("facts.steps"), strings.Join(steps, ", "))
	if c.TLSVersion != "" {
		row(p.say("facts.encryption"), c.TLSVersion)
	}
	if x := c.Certificate; x != nil {
		row(p.say("facts.certificate"), p.say("facts.names", "names", strings.Join(x.Names, ", ")))
		row("", p.say("facts.issuer", "issuer", x.Issuer))
		row("", p.say("facts.dates", "from", x.NotBefore.Format(time.DateOnly), "until", x.NotAfter.Format(time.DateOnly)))
		if x.EndsSoon {
			days := strconv.Itoa(int(time.Until(x.NotAfter).Hours() / 24))
			row(p.say("machine.warning"), p.say("facts.ends_soon", "days", days))
		}
	}
	if c.TLSVersion != "" {
		row(p.say("facts.login"), p.list(c.Auth))
		if c.Size > 0 {
			row(p.say("facts.size"), p.size(c.Size))
		}
		row(p.say("facts.offers"), p.list(c.Extensions))
	}
	_ = table.Flush()
	p.WriteString("\n")
}

func (p *printer) list(words []string) string {
	if len(words) == 0 {
		return p.say("facts.none")
	}
	return explain.Printable(cut(strings.Join(words, " ")))
}

// took is a time as people read it.
func took(ms float64) string {
	if ms >= 10_000 {
		return strconv.FormatFloat(ms/1000, 'f', 0, 64) + " s"
	}
	if ms >= 10 {
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
}

func (p *printer) size(octets int64) string {
	if octets < 1_000_000 {
		return p.say("facts.octets", "n", strconv.FormatInt(octets, 10))
	}
	return p.say("facts.megabytes", "n", strconv.FormatInt(octets/1_000_000, 10))
}
