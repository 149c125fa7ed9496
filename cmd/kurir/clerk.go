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

	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/relay/spool"
)

// A clerk asks a relay, or the files of one that does not run, and prints what
// is to be known.
type clerk struct {
	name           string // of the command, for what is said about it
	stdout, stderr io.Writer
	asJSON         bool
	config         *config.Config
	mistakes       error // of the configuration, which leave no doubt where the relay is found
	client         *control.Client
}

// asking prepares a command that only asks.
func asking(flags *flag.FlagSet, take func(words []string) error, do func(*clerk, context.Context) int) action {
	return clerical(flags, take, func(c *clerk, ctx context.Context) int {
		if c.mistakes != nil {
			fmt.Fprintln(c.stderr, `the configuration has mistakes, which "kurir check" shows; the Kurir that runs is asked all the same`)
		}
		return do(c, ctx)
	})
}

// changing prepares a command that changes messages, which only a configuration
// without mistakes has done; what was done with them is said in a word.
func changing(flags *flag.FlagSet, word string, take func(words []string) error, do func(*clerk, context.Context) (control.Done, error)) action {
	return clerical(flags, take, func(c *clerk, ctx context.Context) int {
		if c.mistakes != nil {
			return complain(c.stderr, exitConfig, c.mistakes)
		}
		done, err := do(c, ctx)
		return c.done(done, err, word)
	})
}

// clerical prepares a command that a clerk carries out. take reads the operands
// before anything else is looked at; its error is about how the command is used.
func clerical(flags *flag.FlagSet, take func(words []string) error, do func(*clerk, context.Context) int) action {
	c := &clerk{name: flags.Name()}
	path := configFlag(flags)
	flags.BoolVar(&c.asJSON, "json", false, "print JSON")
	return func(words []string, std streams) int {
		c.stdout, c.stderr = std.out, std.err
		if err := take(words); err != nil {
			return complain(std.err, exitUsage, fmt.Errorf("%s: %w", c.name, err))
		}
		ctx, stop := interruptible()
		defer stop()
		if c.config, c.mistakes = config.Load(config.Options{Path: *path, Environ: os.Environ(), Asking: true}); c.config == nil {
			return complain(std.err, exitConfig, c.mistakes)
		}
		c.client = control.NewClient(c.config.ControlSockets())
		return do(c, ctx)
	}
}

// nothing is what commands without operands take.
func nothing([]string) error { return nil }

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

// look is how a relay is doing and what lists its messages: from the files, if
// none runs. Without an error, done is called when both were read.
func (c *clerk) look(ctx context.Context) (status control.Status, list func(control.Filter) iter.Seq2[control.Message, error], done func(), err error) {
	status, err = c.client.Status(ctx)
	if err == nil {
		return status, func(f control.Filter) iter.Seq2[control.Message, error] { return c.client.List(ctx, f) }, func() {}, nil
	}
	desk, done, err := c.onFiles(err)
	if err != nil {
		return status, nil, nil, err
	}
	if status, err = desk.Status(); err != nil {
		done()
		return status, nil, nil, err
	}
	return status, desk.List, done, nil
}

// story is all that is known of a message, from the files if no relay runs.
func (c *clerk) story(ctx context.Context, id spool.ID) (*control.Story, error) {
	story, err := c.client.Show(ctx, id)
	if !errors.Is(err, control.ErrNotRunning) {
		return story, err
	}
	desk, done, err := c.onFiles(err)
	if err != nil {
		return nil, err
	}
	defer done()
	return desk.Show(id)
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
	if err := encode(c.stdout, v); err != nil {
		return c.fail(err)
	}
	return exitOK
}

// encode writes a value as JSON in a line.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
