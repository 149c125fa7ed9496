package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"kurir/upstream/check"
	"kurir/upstream/explain"
)

var (
	//go:embed check.en.toml
	checkEnglish string
	//go:embed check.id.toml
	checkIndonesian string
)

// checkWords are what "kurir check" says in one language.
func checkWords(l explain.Language) explain.Words { return l.Words(checkEnglish, checkIndonesian) }

// A printer writes a checkup for people: what was seen, the advice, and in the
// last line what it comes to.
type printer struct {
	bytes.Buffer
	explain.Words
}

func (c *checkup) print(to io.Writer, w explain.Words) error {
	p := &printer{Words: w}
	for i, r := range c.Upstreams {
		fmt.Fprintf(p, "%s: %s\n\n", c.numbered(i, r.Host), p.names(r.Names))
		p.report(r)
	}
	fmt.Fprintln(p, w.Say("machine.title"))
	table := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	for _, f := range c.Local {
		label := cmp.Or(w.Say("machine."+f.What), f.What) // what has no words is a key of the configuration
		fmt.Fprintf(table, "  %s\t%s\t%s\n", w.Say("machine."+string(f.Result)), label, f.Text)
	}
	_ = table.Flush() // into memory
	p.WriteString("\n")
	told := map[string]bool{} // the same account can stand behind several
	for _, r := range c.Upstreams {
		if r.Trouble != nil && !told[r.Trouble.Details] {
			told[r.Trouble.Details] = true
			for line := range strings.Lines(r.Trouble.Details) {
				fmt.Fprintln(p, explain.Shown(strings.TrimSuffix(line, "\n")))
			}
			p.WriteString("\n")
		}
		if s := r.Sent; s != nil {
			fmt.Fprintf(p, "%s\n  %s\n\n",
				w.Say("sent.over", "from", string(s.From), "to", string(s.To), "over", s.Over, "time", took(s.ElapsedMS)),
				explain.Shown(s.Reply))
		}
	}
	fmt.Fprintln(p, c.Summary)
	_, err := p.WriteTo(to)
	return err
}

func (p *printer) report(r *check.Report) {
	table := tabwriter.NewWriter(p, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "  %s\t%s\t%s\n", p.Say("table.port"), p.Say("table.security"), p.Say("table.result"))
	for i := range r.Candidates {
		c := &r.Candidates[i]
		fmt.Fprintf(table, "  %d\t%s\t%s\n", c.Port, p.Say("table."+string(c.TLS)), p.result(c, r.Way))
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
		return p.Say("names.none")
	case n.LoopbackOnly:
		return p.Say("names.self", "addresses", addresses)
	}
	return p.Say("names.found", "addresses", addresses, "time", took(n.ElapsedMS))
}

// result is one candidate in a few words.
func (p *printer) result(c *check.Candidate, way *explain.Candidate) string {
	switch {
	case c.Trouble != nil:
		return c.Trouble.Title
	case c.Result == check.SignedIn:
		return p.Say("table.signed_in")
	case way != nil:
		return p.Say("table.works")
	}
	return p.Say("table.same_account")
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
		steps = append(steps, p.Say(text, "stage", string(s.Stage), "time", took(s.ElapsedMS)))
	}
	row(p.Say("facts.steps"), strings.Join(steps, ", "))
	if c.TLSVersion != "" {
		row(p.Say("facts.encryption"), c.TLSVersion)
	}
	if x := c.Certificate; x != nil {
		row(p.Say("facts.certificate"), p.Say("facts.names", "names", strings.Join(x.Names, ", ")))
		row("", p.Say("facts.issuer", "issuer", x.Issuer))
		row("", p.Say("facts.dates", "from", x.NotBefore.Format(time.DateOnly), "until", x.NotAfter.Format(time.DateOnly)))
		if x.EndsSoon {
			days := strconv.Itoa(int(time.Until(x.NotAfter).Hours() / 24))
			row(p.Say("machine.warning"), p.Say("facts.ends_soon", "days", days))
		}
	}
	if c.TLSVersion != "" {
		row(p.Say("facts.login"), p.list(c.Auth))
		if c.Size > 0 {
			row(p.Say("facts.size"), p.size(c.Size))
		}
		row(p.Say("facts.offers"), p.list(c.Extensions))
	}
	_ = table.Flush()
	p.WriteString("\n")
}

func (p *printer) list(words []string) string {
	if len(words) == 0 {
		return p.Say("facts.none")
	}
	return explain.Shown(strings.Join(words, " "))
}

// took is a time as people read it.
func took(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.0f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

func (p *printer) size(octets int64) string {
	if octets < 1_000_000 {
		return p.Say("facts.octets", "n", strconv.FormatInt(octets, 10))
	}
	return p.Say("facts.megabytes", "n", strconv.FormatInt(octets/1_000_000, 10))
}
