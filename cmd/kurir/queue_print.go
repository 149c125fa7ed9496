package main

import (
	"cmp"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"kurir/relay/control"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// tablePart is how many lines share their columns, so that a long list is
// printed as it comes.
const tablePart = 100

// printTable prints a line for each message, up to the limit.
func (c *clerk) printTable(messages iter.Seq2[control.Message, error], status control.Status, l listing) int {
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	n, more := 0, 0
	for m, err := range messages {
		if err != nil {
			_ = table.Flush()
			return c.fail(err)
		}
		if l.limit > 0 && n == l.limit {
			more++
			continue
		}
		if n == 0 {
			fmt.Fprintln(table, "ID\tAGE\tFROM\tTO\tSTATE\tCAUSE")
		}
		if n++; n%tablePart == 0 {
			_ = table.Flush()
		}
		to := ""
		if len(m.To) > 0 {
			to = field(string(m.To[0]))
		}
		if len(m.To) > 1 {
			to += fmt.Sprintf(" +%d", len(m.To)-1)
		}
		from := "<>" // as notifications have it
		if m.From != "" {
			from = field(string(m.From))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, age(m.Received), from, to, state(m), field(cmp.Or(m.Error, m.Cause)))
	}
	if err := table.Flush(); err != nil {
		return c.fail(err)
	}
	switch {
	case more > 0:
		fmt.Fprintf(c.stdout, "… and %d more; --limit 0 lists all\n", more)
	case n == 0 && l.filter.Failed:
		fmt.Fprintln(c.stdout, "No message has failed, or none of them fits.")
	case n == 0:
		fmt.Fprintln(c.stdout, "No message waits, or none of them fits.")
	}
	if !l.filter.Failed && status.Failed > 0 {
		fmt.Fprintf(c.stdout, "%s failed for good: kurir queue list --failed\n", count(status.Failed))
	}
	return exitOK
}

// widest is how much of an address a table shows.
const widest = 48

// field is a text of others in a table.
func field(s string) string {
	runes := []rune(explain.Printable(s))
	if len(runes) > widest {
		return string(runes[:widest-1]) + "…"
	}
	return string(runes)
}

// state is what comes next for a message.
func state(m control.Message) string {
	switch {
	case m.State != control.Waiting:
		return m.State
	case m.Due.After(time.Now()):
		return "next in " + span(time.Until(m.Due))
	}
	return "next in turn"
}

func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(time.Since(t))
}

// span is a time in its largest unit.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return strconv.Itoa(int(d.Hours()/24)) + "d"
	case d >= 2*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	case d >= 2*time.Minute:
		return strconv.Itoa(int(d.Minutes())) + "m"
	}
	return strconv.Itoa(int(max(d, 0).Seconds())) + "s"
}

// moment is a time as people read it.
func moment(t time.Time) string { return t.Local().Format(time.DateTime) }

// printTrouble says what is wrong with a route, if anything is.
func (c *clerk) printTrouble(r control.Route) {
	if r.Trouble == nil {
		return
	}
	fmt.Fprintf(c.stdout, "%s is %s since %s, next try %s; %s\n", field(r.Name), r.Condition, moment(r.Since), moment(r.Probe), waits(r.Waiting))
	c.printDetails(r.Trouble)
}

// printDetails prints an explanation, whose lines are printable already.
func (c *clerk) printDetails(t *explain.Told) {
	for line := range strings.Lines(t.Details) {
		fmt.Fprintln(c.stdout, explain.Printable(strings.TrimSuffix(line, "\n")))
	}
	fmt.Fprintln(c.stdout)
}

func waits(n int) string {
	if n == 1 {
		return "1 message waits"
	}
	return fmt.Sprintf("%d messages wait", n)
}

// printStory prints all that is known of a message.
func (c *clerk) printStory(s *control.Story) {
	st := cmp.Or(s.Waiting, s.Failed)
	fmt.Fprintf(c.stdout, "%s: %s\n", s.ID, state(s.Message))
	c.row("message-id", st.MessageID)
	c.row("from", field(string(st.Envelope.From)))
	if s.Waiting != nil {
		c.row("waits for", paths(s.Waiting.Envelope.To))
	}
	if s.Failed != nil {
		c.row("failed for", paths(s.Failed.Envelope.To))
	}
	c.row("received", moment(st.Received)+", from "+st.Client)
	c.row("size", strconv.FormatInt(st.Size, 10)+" octets")
	c.row("route", s.Route)
	if !s.Due.IsZero() && s.State == control.Waiting {
		c.row("next try", moment(s.Due))
	}
	if s.Waiting != nil {
		c.printAttempts(s.Waiting)
	}
	if s.Failed != nil {
		c.printAttempts(s.Failed)
	}
	fmt.Fprintln(c.stdout)
	if s.Trouble != nil {
		fmt.Fprintf(c.stdout, "It waits for the route %s:\n", field(s.Route))
		c.printDetails(s.Trouble)
	}
}

func (c *clerk) printAttempts(st *spool.Stored) {
	for _, a := range st.Attempts {
		fmt.Fprintf(c.stdout, "\n%s  %s\n", moment(a.Time), explain.Printable(a.Explanation))
		where := a.Candidate
		if where != "" && a.Stage != "" {
			where += ", at "
		}
		c.row("where", where+a.Stage)
		c.row("to", list(a.Recipients))
		c.row("cause", a.Cause)
		c.row("reply", a.Reply)
		c.row("do", a.Fix)
	}
}
