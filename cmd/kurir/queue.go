package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"strings"
	"time"

	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// terminalLimit is how many messages are listed on a terminal.
const terminalLimit = 100

// A listing is which messages are listed, and how many at most; 0 is all.
type listing struct {
	filter control.Filter
	limit  int
}

func prepareQueueList(flags *flag.FlagSet) action {
	var l listing
	filterFlags(flags, &l.filter)
	flags.IntVar(&l.limit, "limit", -1, fmt.Sprintf("list at most `N`; 0 is all, and without it %d on a terminal", terminalLimit))
	return asking(flags, nothing, func(c *clerk, ctx context.Context) int {
		if l.limit < 0 && isTerminal(c.stdout) {
			l.limit = terminalLimit
		}
		return c.list(ctx, l)
	})
}

func prepareQueueShow(flags *flag.FlagSet) action {
	var ids []spool.ID
	take := func(words []string) (err error) {
		if ids, err = parseIDs(words); err == nil && len(ids) == 0 {
			err = errors.New("say which message: kurir queue list shows their IDs")
		}
		return err
	}
	return asking(flags, take, func(c *clerk, ctx context.Context) int { return c.show(ctx, ids) })
}

func prepareQueueRetry(flags *flag.FlagSet) action {
	choice, take := choiceFlags(flags)
	return changing(flags, "tried now", take, func(c *clerk, ctx context.Context) (control.Done, error) {
		choice.Filter.Failed = choice.All // what waits is tried anyway, and at once with flush
		return c.client.Retry(ctx, *choice, c.progress("tried"))
	})
}

func prepareQueueDrop(flags *flag.FlagSet) action {
	choice, take := choiceFlags(flags)
	return changing(flags, "dropped", take, func(c *clerk, ctx context.Context) (control.Done, error) {
		return c.client.Drop(ctx, *choice, c.progress("dropped"))
	})
}

func prepareQueueFlush(flags *flag.FlagSet) action {
	return changing(flags, "tried now", nothing, func(c *clerk, ctx context.Context) (control.Done, error) {
		return c.client.Flush(ctx)
	})
}

// filterFlags declares the flags that narrow a command to some messages.
func filterFlags(flags *flag.FlagSet, filter *control.Filter) {
	flags.BoolVar(&filter.Failed, "failed", false, "the messages that have failed")
	flags.StringVar(&filter.Cause, "cause", "", "those with this `CAUSE`, such as auth.rejected or auth")
	flags.StringVar(&filter.Address, "address", "", "those from or to this `ADDRESS` or @domain")
	flags.Func("older", "those received this `TIME` ago or before, such as 1h or 5d", func(s string) error {
		var d config.Duration
		err := d.UnmarshalText([]byte(s))
		filter.Older = time.Duration(d)
		return err
	})
}

// choiceFlags declares the flags of a command that changes messages, and gives
// what reads its operands: nothing is changed that was not named, or said to be
// all.
func choiceFlags(flags *flag.FlagSet) (choice *control.Choice, take func([]string) error) {
	choice = &control.Choice{}
	flags.BoolVar(&choice.All, "all", false, "do it to all that fit, instead of to IDs")
	filterFlags(flags, &choice.Filter)
	return choice, func(words []string) (err error) {
		choice.IDs, err = parseIDs(words)
		named := len(choice.IDs) > 0
		switch {
		case err != nil:
			return err
		case !named && !choice.All:
			return errors.New("say which messages, by ID, or --all")
		case named && choice.All:
			return errors.New("give IDs or --all, not both")
		case named && choice.Filter != (control.Filter{}):
			return errors.New("give IDs, or --all with --failed, --cause, --address and --older")
		}
		return nil
	}
}

func parseIDs(words []string) ([]spool.ID, error) {
	ids := make([]spool.ID, len(words))
	for i, word := range words {
		var err error
		if ids[i], err = spool.ParseID(word); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func (c *clerk) list(ctx context.Context, l listing) int {
	status, list, done, err := c.look(ctx)
	if err != nil {
		return c.fail(err)
	}
	defer done()
	messages := list(l.filter)
	if c.asJSON {
		return c.listJSON(messages, l.limit)
	}
	if !l.filter.Failed {
		for _, r := range status.Routes {
			c.printTrouble(r)
		}
	}
	return c.printTable(messages, status, l)
}

// listJSON prints a line for each message.
func (c *clerk) listJSON(messages iter.Seq2[control.Message, error], limit int) int {
	n := 0
	for m, err := range messages {
		if err != nil {
			return c.fail(err)
		}
		if code := c.printJSON(m); code != exitOK {
			return code
		}
		if n++; n == limit {
			break
		}
	}
	return exitOK
}

func (c *clerk) show(ctx context.Context, ids []spool.ID) int {
	for _, id := range ids {
		story, err := c.story(ctx, id)
		if errors.Is(err, spool.ErrNotFound) {
			err = fmt.Errorf("%s is not in the queue: it was delivered or dropped, or never there", id)
		}
		if err != nil {
			return c.fail(err)
		}
		if !c.asJSON {
			c.printStory(story)
		} else if code := c.printJSON(story); code != exitOK {
			return code
		}
	}
	return exitOK
}

// progress shows who waits at a terminal how far long work is.
func (c *clerk) progress(what string) func(control.Done) {
	if !isTerminal(c.stderr) {
		return func(control.Done) {}
	}
	return func(done control.Done) {
		fmt.Fprintf(c.stderr, "\r%s %s so far…\r", count(done.Messages), what)
	}
}

// done says what was done. It is a failure if that is not all.
func (c *clerk) done(done control.Done, err error, what string) int {
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return c.fail(fmt.Errorf("%w; start it, since only a running relay changes its queue", err))
	case err != nil:
		return c.fail(err)
	case c.asJSON:
		if code := c.printJSON(done); code != exitOK {
			return code
		}
	default:
		fmt.Fprintf(c.stdout, "%s %s\n", count(done.Messages), what)
		for _, e := range done.Errors {
			fmt.Fprintln(c.stderr, explain.Printable(e))
		}
	}
	if len(done.Errors) > 0 {
		return exitFailed
	}
	return exitOK
}

func count(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func paths(to []envelope.Recipient) string {
	var all []string
	for _, r := range to {
		all = append(all, string(r.To))
	}
	return strings.Join(all, ", ")
}
