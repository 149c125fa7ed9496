package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"kurir/relay"
	"kurir/relay/control"
	"kurir/relay/history"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// manyMatches is how many messages are listed when a text fits more than one,
// and how many lines of history are looked through for them.
const (
	manyMatches = 20
	manyRecords = 1000
)

// prepareWhy is "kurir why": the whole story of a message.
func prepareWhy(flags *flag.FlagSet) action {
	verbose := flags.Bool("verbose", false, "with what was said in attempts that failed")
	var text string
	take := func(words []string) error {
		text = strings.Join(words, "")
		switch {
		case len(words) > 1:
			return fmt.Errorf("%q is too much; ask for one message at a time", words[1])
		case strings.Trim(text, "<> ") == "":
			return errors.New("say which message: its ID, its Message-ID, or an address")
		}
		return nil
	}
	return asking(flags, take, func(c *clerk, ctx context.Context) int { return c.why(ctx, text, *verbose) })
}

// A tale is what is told of one message.
type tale struct {
	ID      string           `json:"id"`
	History []history.Record `json:"history"`

	// Now is the message as it lies in the spool, if it still does.
	Now *control.Story `json:"now,omitempty"`
}

// why tells a story; only who wants it verbose is shown transcripts.
func (c *clerk) why(ctx context.Context, text string, verbose bool) int {
	_ = c.client.FlushHistory(ctx) // without a relay, all is written
	reader := history.NewReader(relay.HistoryDir(c.config))
	last, err := lastOf(reader, text)
	if err != nil {
		return c.fail(err)
	}
	if len(last) > 1 {
		return c.printMatches(last)
	}
	t := tale{ID: text}
	if len(last) == 1 {
		t.ID = last[0].ID
		if t.History, err = reader.Story(t.ID); err != nil {
			return c.fail(err)
		}
	}
	if t.Now, err = c.now(ctx, t.ID); err != nil {
		return c.fail(err)
	}
	switch {
	case len(t.History) == 0 && t.Now == nil:
		return c.nothingOf(reader, text)
	case c.asJSON:
		return c.printJSON(t)
	case !verbose:
		t.History = slices.DeleteFunc(t.History, func(r history.Record) bool { return len(r.Transcript) > 0 })
	}
	c.printTale(t)
	return exitOK
}

// lastOf gives the last record of each message that a text fits, newest first.
func lastOf(r *history.Reader, text string) ([]history.Record, error) {
	var last []history.Record
	for rec, err := range r.Find(history.Query{Text: text, Limit: manyRecords}) {
		if err != nil {
			return nil, err
		}
		same := func(other history.Record) bool { return other.ID == rec.ID }
		if rec.ID != "" && !slices.ContainsFunc(last, same) {
			last = append(last, rec)
		}
	}
	return last, nil
}

// printMatches lists messages, a line each.
func (c *clerk) printMatches(last []history.Record) int {
	if c.asJSON {
		return c.printJSON(last)
	}
	for _, r := range last[:min(len(last), manyMatches)] {
		_, outcome, _ := strings.Cut(r.Event, ".")
		fmt.Fprintf(c.stdout, "%s  %s  %-9s  %s -> %s\n", moment(r.Time), r.ID, outcome, field(r.From), explain.Printable(strings.Join(r.To, ", ")))
	}
	if len(last) > manyMatches {
		fmt.Fprintf(c.stdout, "and %d older ones\n", len(last)-manyMatches)
	}
	fmt.Fprintln(c.stdout, "\nkurir why ID tells the story of one.")
	return exitOK
}

// now is what the spool has of a message, nil if nothing.
func (c *clerk) now(ctx context.Context, id string) (*control.Story, error) {
	parsed, err := spool.ParseID(id)
	if err != nil {
		return nil, nil // what was refused before it had an ID of the spool
	}
	story, err := c.story(ctx, parsed)
	if errors.Is(err, spool.ErrNotFound) || errors.Is(err, control.ErrNotRunning) { // and no spool is there
		return nil, nil
	}
	return story, err
}

// nothingOf says that nothing is known, and how far back that goes.
func (c *clerk) nothingOf(r *history.Reader, text string) int {
	oldest, err := r.Oldest()
	switch {
	case err != nil:
		return c.fail(err)
	case oldest.IsZero():
		fmt.Fprintf(c.stderr, "kurir why: nothing is known of %s; there is no history in %s\n", field(text), relay.HistoryDir(c.config))
	default:
		fmt.Fprintf(c.stderr, "kurir why: nothing is known of %s; history goes back to %s\n", field(text), oldest.Format("2 January 2006"))
	}
	return exitFailed
}

// printTale tells a story from its beginning, and how it goes on.
func (c *clerk) printTale(t tale) {
	fmt.Fprintln(c.stdout, t.ID)
	if len(t.History) > 0 {
		r := t.History[0]
		for _, other := range t.History {
			r.MessageID, r.Subject = cmp.Or(r.MessageID, other.MessageID), cmp.Or(r.Subject, other.Subject)
		}
		c.row("message-id", r.MessageID)
		c.row("subject", r.Subject)
		c.row("from", field(r.From))
		c.row("to", strings.Join(r.To, ", "))
		c.row("size", fmt.Sprintf("%d octets", r.Size))
		fmt.Fprintln(c.stdout)
	}
	for _, r := range t.History {
		c.printEvent(r)
	}
	if t.Now != nil {
		fmt.Fprintln(c.stdout, "\nIn the spool now:")
		c.printStory(t.Now)
		if t.Now.Failed != nil {
			fmt.Fprintf(c.stdout, "Once the cause is mended, kurir queue retry %s sends it again.\n", t.ID)
		}
	}
}

func (c *clerk) row(label, text string) {
	if text != "" {
		fmt.Fprintf(c.stdout, "  %-11s  %s\n", label+":", explain.Printable(text))
	}
}

// printEvent tells one thing that happened.
func (c *clerk) printEvent(r history.Record) {
	what := r.Message
	if len(r.Transcript) > 0 {
		c.printTranscript(r)
		return
	}
	switch r.Event {
	case "message.accepted":
		what = "accepted from " + cmp.Or(r.Client, "an app")
	case "delivery.sent":
		what = fmt.Sprintf("sent over %s %s in %d ms: the provider has it", r.Upstream, r.TLS, r.ElapsedMS)
	case "delivery.deferred", "delivery.held", "delivery.failed", "delivery.uncertain", "message.refused":
		_, what, _ = strings.Cut(r.Event, ".")
		if r.Attempt > 0 {
			what = fmt.Sprintf("attempt %d: %s", r.Attempt, what)
		}
		if r.Stage != "" {
			what += fmt.Sprintf(" at %s of %s", r.Stage, cmp.Or(r.Upstream, "the route"))
		}
	}
	fmt.Fprintf(c.stdout, "%s  %s\n", moment(r.Time), explain.Printable(what))
	if len(r.To) > 0 && r.Event != "message.accepted" {
		c.row("to", strings.Join(r.To, ", "))
	}
	c.row("cause", r.Cause)
	c.row("reply", cmp.Or(r.Reply, r.Error))
	c.row("why", r.Explanation)
	c.row("do", r.Fix)
	if !r.Next.IsZero() {
		c.row("next", "tried again at "+moment(r.Next))
	}
}

// printTranscript shows what was said in an attempt.
func (c *clerk) printTranscript(r history.Record) {
	fmt.Fprintf(c.stdout, "\n  attempt %d at %s %s, without login and content:\n", r.Attempt, r.Upstream, r.TLS)
	for _, line := range r.Transcript {
		fmt.Fprintln(c.stdout, "    "+explain.Printable(line))
	}
	fmt.Fprintln(c.stdout)
}
