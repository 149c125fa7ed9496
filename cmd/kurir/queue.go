package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// terminalLimit is how many messages are listed on a terminal.
const terminalLimit = 100

// A clerk carries out one command about the queue.
type clerk struct {
	name           string // of the command, for what is said about its use
	stdout, stderr io.Writer
	asJSON, all    bool
	verbose        bool
	limit          int
	filter         control.Filter
	ids            []spool.ID

	config *config.Config
	client *control.Client
}

// asking has a clerk do a command, with the flags that the command takes.
func asking(name string, do func(*clerk, context.Context) int) func(*flag.FlagSet) action {
	return func(flags *flag.FlagSet) action {
		c := &clerk{name: "kurir " + name}
		path := configFlag(flags)
		flags.BoolVar(&c.asJSON, "json", false, "print JSON")
		switch name {
		case "queue list":
			flags.IntVar(&c.limit, "limit", -1, fmt.Sprintf("list at most `N`; 0 is all, and without it %d on a terminal", terminalLimit))
			c.filterFlags(flags)
		case "queue retry", "queue drop":
			flags.BoolVar(&c.all, "all", false, "do it to all that fit, instead of to IDs")
			c.filterFlags(flags)
		}
		return func(words []string, std streams) int {
			c.stdout, c.stderr = std.out, std.err
			if code, ok := c.takeIDs(words); !ok {
				return code
			}
			if f, ok := std.out.(*os.File); c.limit < 0 && ok && isTerminal(f) {
				c.limit = terminalLimit
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			var err error
			if c.config, err = config.Load(config.Options{Path: *path, Environ: os.Environ(), Asking: true}); err != nil {
				return complain(std.err, exitConfig, err)
			}
			c.client = control.NewClient(c.config.ControlSockets())
			return do(c, ctx)
		}
	}
}

// filterFlags declares the flags that narrow a command to some messages.
func (c *clerk) filterFlags(flags *flag.FlagSet) {
	flags.BoolVar(&c.filter.Failed, "failed", false, "the messages that have failed")
	flags.StringVar(&c.filter.Cause, "cause", "", "those with this `CAUSE`, such as auth.rejected or auth")
	flags.StringVar(&c.filter.Address, "address", "", "those from or to this `ADDRESS` or @domain")
	flags.Func("older", "those received this `TIME` ago or before, such as 1h or 5d", func(s string) error {
		var d config.Duration
		err := d.UnmarshalText([]byte(s))
		c.filter.Older = time.Duration(d)
		return err
	})
}

// takeIDs reads the operands.
func (c *clerk) takeIDs(words []string) (code int, ok bool) {
	for _, word := range words {
		id, err := spool.ParseID(word)
		if err != nil {
			fmt.Fprintf(c.stderr, "%s: %v\n", c.name, err)
			return exitUsage, false
		}
		c.ids = append(c.ids, id)
	}
	takesIDs := c.name == "kurir queue show" || c.name == "kurir queue retry" || c.name == "kurir queue drop"
	problem := ""
	switch {
	case takesIDs && len(c.ids) == 0 && c.name == "kurir queue show":
		problem = "say which message: kurir queue list shows their IDs"
	case takesIDs && len(c.ids) == 0 && !c.all:
		problem = "say which messages, by ID, or --all"
	case c.all && len(c.ids) > 0:
		problem = "give IDs or --all, not both"
	case !c.all && len(c.ids) > 0 && c.filter != (control.Filter{}):
		problem = "give IDs, or --all with --failed, --cause, --address and --older"
	default:
		return exitOK, true
	}
	fmt.Fprintf(c.stderr, "%s: %s\n", c.name, problem)
	return exitUsage, false
}

// onFiles is the desk on the spool's files, for when no relay runs; it says so.
func (c *clerk) onFiles(why error) (desk *control.Desk, close func(), err error) {
	if !errors.Is(why, control.ErrNotRunning) {
		return nil, nil, why
	}
	if errors.Is(why, fs.ErrPermission) {
		return nil, nil, fmt.Errorf("%w: run this as the user or group of Kurir", why)
	}
	view, err := spool.Look(c.config.Spool.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: there is no spool either, in %s", control.ErrNotRunning, c.config.Spool.Dir)
	}
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(c.stderr, "Kurir is not running; this is from the files in %s\n", c.config.Spool.Dir)
	return control.OnFiles(view, c.config.Spool.Dir), view.Close, nil
}

// fail says what went wrong, with the exit code for it.
func (c *clerk) fail(err error) int {
	code := exitFailed
	if errors.Is(err, control.ErrNotRunning) {
		code = exitUnavailable
	}
	return complain(c.stderr, code, fmt.Errorf("%s: %w", c.name, err))
}

// printJSON prints a value in a line.
func (c *clerk) printJSON(v any) int {
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return c.fail(err)
	}
	return exitOK
}

func (c *clerk) list(ctx context.Context) int {
	status, err := c.client.Status(ctx)
	messages := c.client.List(ctx, c.filter)
	if err != nil {
		desk, done, err := c.onFiles(err)
		if err != nil {
			return c.fail(err)
		}
		defer done()
		if status, err = desk.Status(); err != nil {
			return c.fail(err)
		}
		messages = desk.List(c.filter)
	}
	if c.asJSON {
		return c.listJSON(messages)
	}
	if !c.filter.Failed {
		for _, r := range status.Routes {
			c.printTrouble(r)
		}
	}
	return c.printTable(messages, status)
}

// listJSON prints a line for each message.
func (c *clerk) listJSON(messages iter.Seq2[control.Message, error]) int {
	n := 0
	for m, err := range messages {
		if err != nil {
			return c.fail(err)
		}
		if code := c.printJSON(m); code != exitOK {
			return code
		}
		if n++; n == c.limit {
			break
		}
	}
	return exitOK
}

func (c *clerk) show(ctx context.Context) int {
	for _, id := range c.ids {
		story, err := c.client.Show(ctx, id)
		if errors.Is(err, control.ErrNotRunning) {
			desk, done, e := c.onFiles(err)
			if e != nil {
				return c.fail(e)
			}
			story, err = desk.Show(id)
			done()
		}
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

func (c *clerk) choice() control.Choice {
	return control.Choice{IDs: c.ids, All: c.all, Filter: c.filter}
}

func (c *clerk) retry(ctx context.Context) int {
	c.filter.Failed = c.all // what waits is tried anyway, and at once with flush
	done, err := c.client.Retry(ctx, c.choice(), c.progress("tried"))
	return c.done(done, err, "tried now")
}

func (c *clerk) drop(ctx context.Context) int {
	done, err := c.client.Drop(ctx, c.choice(), c.progress("dropped"))
	return c.done(done, err, "dropped")
}

func (c *clerk) flush(ctx context.Context) int {
	done, err := c.client.Flush(ctx)
	return c.done(done, err, "tried now")
}

// progress shows who waits at a terminal how far long work is.
func (c *clerk) progress(what string) func(control.Done) {
	f, ok := c.stderr.(*os.File)
	if !ok || !isTerminal(f) {
		return func(control.Done) {}
	}
	return func(done control.Done) {
		fmt.Fprintf(f, "\r%s %s so far…\r", count(done.Messages), what)
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
