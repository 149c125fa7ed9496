package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"kurir/upstream/check"
	"kurir/upstream/explain"
)

// print writes a checkup for people: what was seen, the advice, and in the
// last line what it comes to.
func (c *checkup) print(w io.Writer) error {
	var out bytes.Buffer
	for _, r := range c.Upstreams {
		printReport(&out, r)
	}
	out.WriteString("This machine\n")
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, f := range c.Local {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", f.Result, f.What, f.Text)
	}
	_ = table.Flush() // into memory
	out.WriteString("\n")
	for _, r := range c.Upstreams {
		if r.Trouble != nil {
			out.WriteString(r.Trouble.Details + "\n")
		}
		if r.Sent != nil {
			fmt.Fprintf(&out, "A test mail from %s to %s went out over %s in %s:\n  %s\n\n",
				r.Sent.From, r.Sent.To, r.Sent.Over, took(r.Sent.ElapsedMS), r.Sent.Reply)
		}
	}
	out.WriteString(c.verdict() + "\n")
	_, err := io.WriteString(w, harmless(out.String()))
	return err
}

// harmless keeps what a server says from moving the cursor of a terminal.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return '?'
		}
		return r
	}, text)
}

// verdict is the last line.
func (c *checkup) verdict() string {
	if !c.OK {
		return "Mail would not go out."
	}
	var ways []string
	for _, r := range c.Upstreams {
		ways = append(ways, r.Way.String())
	}
	return "Mail would go out over " + strings.Join(ways, " and ") + "."
}

func printReport(out *bytes.Buffer, r *check.Report) {
	fmt.Fprintf(out, "%s: %s\n\n", r.Host, names(r.Names))
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "  port\tsecurity\tresult")
	for i := range r.Candidates {
		c := &r.Candidates[i]
		fmt.Fprintf(table, "  %d\t%s\t%s\n", c.Port, security(c.TLS), result(c, r.Way != nil))
	}
	_ = table.Flush()
	out.WriteString("\n")
	for i := range r.Candidates {
		printCandidate(out, &r.Candidates[i])
	}
}

func names(n check.Names) string {
	switch {
	case len(n.Addresses) == 0:
		return "no address found"
	case n.LoopbackOnly:
		return strings.Join(n.Addresses, ", ") + ", which is this machine itself"
	}
	return strings.Join(n.Addresses, ", ") + ", found in " + took(n.ElapsedMS)
}

func security(mode explain.TLSMode) string {
	if mode == explain.Implicit {
		return "implicit TLS"
	}
	return "STARTTLS"
}

// result is one candidate in a few words.
func result(c *check.Candidate, works bool) string {
	switch {
	case c.Trouble != nil:
		return c.Trouble.Title
	case c.Result == check.SignedIn:
		return "works, signed in"
	case works:
		return "works"
	}
	return "ready, but no login was tried here: it is the same account"
}

func printCandidate(out *bytes.Buffer, c *check.Candidate) {
	fmt.Fprintln(out, c.String())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var steps []string
	for _, s := range c.Steps {
		step := string(s.Stage) + " " + took(s.ElapsedMS)
		if s.Failed {
			step += " failed"
		}
		steps = append(steps, step)
	}
	fmt.Fprintf(table, "  steps\t%s\n", strings.Join(steps, ", "))
	if c.TLSVersion != "" {
		fmt.Fprintf(table, "  encryption\t%s\n", c.TLSVersion)
	}
	if x := c.Certificate; x != nil {
		fmt.Fprintf(table, "  certificate\tfor %s\n", strings.Join(x.Names, ", "))
		fmt.Fprintf(table, "  \tissued by %s\n", x.Issuer)
		fmt.Fprintf(table, "  \tvalid %s to %s\n", x.NotBefore.Format(time.DateOnly), x.NotAfter.Format(time.DateOnly))
		if x.EndsSoon {
			fmt.Fprintf(table, "  warning\tthe certificate ends in %d days and was not renewed yet; if it is yours to renew, do it now\n",
				int(time.Until(x.NotAfter).Hours()/24))
		}
	}
	if c.TLSVersion != "" {
		fmt.Fprintf(table, "  login\t%s\n", orNone(c.Auth))
		if c.Size > 0 {
			fmt.Fprintf(table, "  size\tup to %s\n", megabytes(c.Size))
		}
		fmt.Fprintf(table, "  offers\t%s\n", orNone(c.Extensions))
	}
	_ = table.Flush()
	out.WriteString("\n")
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "none offered"
	}
	return strings.Join(words, " ")
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

func megabytes(octets int64) string {
	if octets < 1_000_000 {
		return fmt.Sprintf("%d octets", octets)
	}
	return fmt.Sprintf("%d MB", octets/1_000_000)
}
