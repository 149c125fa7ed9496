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
	"slices"
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

// queueCommand is "kurir queue".
func queueCommand(args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(*clerk, context.Context) int{
		"list": (*clerk).list, "show": (*clerk).show, "retry": (*clerk).retry,
		"flush": (*clerk).flush, "drop": (*clerk).drop,
	}
	if len(args) > 0 && slices.Contains([]string{"help", "--help", "-h"}, args[0]) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(stderr, "kurir queue: say list, show, retry, flush or drop\n\n"+usage)
		return exitUsage
	}
	return ask("kurir queue "+args[0], args[1:], stdout, stderr, commands[args[0]])
}

// ask reads flags and configuration, and has a clerk do the command.
func ask(name string, args []string, stdout, stderr io.Writer, command func(*clerk, context.Context) int) int {
	c := &clerk{name: name, stdout: stdout, stderr: stderr}
	if f, ok := stdout.(*os.File); ok && isTerminal(f) {
		c.limit = terminalLimit
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	path := flags.String("config", "", "the configuration `FILE`")
	flags.BoolVar(&c.asJSON, "json", false, "print JSON")
	if name == "kurir queue list" {
		flags.IntVar(&c.limit, "limit", c.limit, "how many to list; 0 is all")
	}
	if name == "kurir queue retry" || name == "kurir queue drop" {
		flags.BoolVar(&c.all, "all", false, "do it to all that fit")
	}
	if strings.HasPrefix(name, "kurir queue") && name != "kurir queue show" && name != "kurir queue flush" {
		flags.BoolVar(&c.filter.Failed, "failed", false, "the messages that have failed")
		flags.StringVar(&c.filter.Cause, "cause", "", "those with this `CAUSE`, such as auth.rejected or auth")
		flags.StringVar(&c.filter.Address, "address", "", "those from or to this `ADDRESS` or @domain")
		flags.Func("older", "those received so long ago, such as 1h or 5d", func(s string) error {
			var d config.Duration
			err := d.UnmarshalText([]byte(s))
			c.filter.Older = time.Duration(d)
			return err
		})
	}
	if code, ok := c.parse(flags, args); !ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	if c.config, err = config.Load(config.Options{Path: *path, Environ: os.Environ()}); err != nil {
		return complain(stderr, exitConfig, err)
	}
	c.client = control.NewClient(c.config.ControlSockets())
	return command(c, ctx)
}

// parse reads flags and IDs, in any order.
func (c *clerk) parse(flags *flag.FlagSet, args []string) (code int, ok bool) {
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return exitOK, false
			}
			return exitUsage, false
		}
		if flags.NArg() == 0 {
			break
		}
		id, err := spool.ParseID(flags.Arg(0))
		if err != nil {
			fmt.Fprintf(c.stderr, "%s: %v\n", c.name, err)
			return exitUsage, false
		}
		c.ids = append(c.ids, id)
		args = flags.Args()[1:]
	}
	problem := ""
	takesIDs := c.name == "kurir queue show" || c.name == "kurir queue retry" || c.name == "kurir queue drop"
	switch {
	case !takesIDs && len(c.ids) > 0:
		problem = fmt.Sprintf("%s is too much; it takes no ID", c.ids[0])
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
