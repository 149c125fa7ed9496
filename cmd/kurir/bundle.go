package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/relay/history"
)

// How much of history goes into a support file.
const (
	bundleLooked = 10_000 // records that are looked at
	bundleRoutes = 30     // of routes
	bundleFailed = 60     // of failed attempts, with their transcripts
)

// prepareBundle is "kurir bundle": a file for whoever helps, with all that is
// needed to understand a failure, and without secrets and addresses. What
// cannot be had is told there, as it may be the trouble itself.
func prepareBundle(flags *flag.FlagSet) action {
	path := configFlag(flags)
	return func(_ []string, std streams) int {
		ctx, stop := interruptible()
		defer stop()
		var text strings.Builder
		b := &bundle{clerk: &clerk{name: "kurir bundle", stdout: &text, stderr: &text}}
		b.about()
		m, err := b.configuration(*path)
		if err == nil {
			b.client = control.NewClient(b.config.ControlSockets())
			b.state(ctx)
			_ = b.client.FlushHistory(ctx) // without a relay, all is written
			b.past()
		}
		if _, err := io.WriteString(std.out, m.cover(text.String())); err != nil {
			return complain(std.err, exitFailed, err)
		}
		fmt.Fprintln(std.err, "kurir bundle: secrets and addresses are masked; look through it all the same before you hand it on")
		return exitOK
	}
}

// A bundle is a support file that is being written.
type bundle struct{ *clerk }

func (b *bundle) heading(text string) { fmt.Fprintf(b.stdout, "\n== %s\n\n", text) }

func (b *bundle) about() {
	fmt.Fprintf(b.stdout, "Kurir support file of %s\n", time.Now().UTC().Format(time.RFC3339))
	b.heading("Versions")
	fmt.Fprintf(b.stdout, "kurir %s, %s, %s/%s, user %d\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, os.Getuid())
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		fmt.Fprintf(b.stdout, "kernel %s", release)
	}
	for _, file := range []string{"/run/systemd/system", "/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			fmt.Fprintln(b.stdout, "there is "+file)
		}
	}
}

// configuration tells what is set, and gives the mask for it. An error is
// already told.
func (b *bundle) configuration(path string) (*mask, error) {
	b.heading("Configuration: what is not the default")
	var err error
	var mistakes config.Faults
	if b.config, err = config.Load(config.Options{Path: path, Environ: os.Environ()}); err != nil {
		told := err
		// Who may not read the password can still ask the relay.
		b.config, err = config.Load(config.Options{Path: path, Environ: os.Environ(), Asking: true})
		if b.config != nil && b.config.File == "" {
			told = errors.New("there is none; the environment says which relay is meant")
		}
		fmt.Fprintln(b.stdout, told)
		if b.config == nil {
			return newMask(nil), err
		}
		errors.As(err, &mistakes)
	}
	if b.config.File != "" {
		fmt.Fprintf(b.stdout, "# from %q\n", b.config.File)
	}
	c := *b.config
	c.Notify.Command = firstWord(c.Notify.Command)
	c.Upstreams = slices.Clone(c.Upstreams)
	for i := range c.Upstreams {
		c.Upstreams[i].PasswordCommand = firstWord(c.Upstreams[i].PasswordCommand)
	}
	set, err := asTable(c)
	if err == nil {
		for _, f := range mistakes {
			withhold(set, f.Key)
		}
		usual, _ := asTable(config.Default()) // which nobody has written
		leaveOut(set, usual)
		err = toml.NewEncoder(b.stdout).Encode(set)
	}
	if err != nil {
		fmt.Fprintln(b.stdout, err)
	}
	for _, w := range b.config.Warnings {
		fmt.Fprintln(b.stdout, "# "+w.String())
	}
	return newMask(b.config), nil
}

// firstWord is a command without its arguments and the variables that are set
// for it, which may be secrets.
func firstWord(command string) string {
	command = strings.TrimSpace(command)
	end := strings.IndexFunc(command, func(r rune) bool {
		return r != '/' && r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	switch {
	case end < 0:
		return command
	case end == 0 || command[end] == '=':
		return "…"
	}
	return command[:end] + " …"
}

func asTable(c config.Config) (table map[string]any, err error) {
	text, err := toml.Marshal(c)
	if err != nil {
		return nil, err
	}
	err = toml.Unmarshal(text, &table)
	return table, err
}

// withhold takes out a value that was refused: it may be a password in the
// wrong place.
func withhold(set map[string]any, key string) {
	name, rest, deeper := strings.Cut(key, ".")
	if !deeper {
		delete(set, name)
	}
	switch inner := set[name].(type) {
	case map[string]any:
		withhold(inner, rest)
	case []map[string]any:
		for _, table := range inner {
			withhold(table, rest)
		}
	}
}

// leaveOut takes out what is empty, and what is as usual.
func leaveOut(set, usual map[string]any) {
	maps.DeleteFunc(set, func(name string, value any) bool {
		switch value := value.(type) {
		case map[string]any:
			inner, _ := usual[name].(map[string]any)
			leaveOut(value, inner)
			return len(value) == 0
		case []map[string]any:
			var inner map[string]any
			if tables, _ := usual[name].([]map[string]any); len(tables) > 0 {
				inner = tables[0]
			}
			for _, table := range value {
				leaveOut(table, inner)
			}
			return !slices.ContainsFunc(value, func(table map[string]any) bool { return len(table) > 0 })
		}
		return fmt.Sprint(value) == fmt.Sprint(usual[name]) || usual == nil && slices.Contains([]string{"", "0", "[]", "false"}, fmt.Sprint(value))
	})
}

// state tells how the relay is doing, and what waits or has failed and why.
func (b *bundle) state(ctx context.Context) {
	b.heading("State")
	status, list, done, err := b.look(ctx)
	if err != nil {
		fmt.Fprintln(b.stdout, err)
		return
	}
	defer done()
	status.HTTP = "" // it holds the token
	b.printStatus(status)
	for _, failed := range []bool{false, true} {
		causes := make(map[string]int)
		for m, err := range list(control.Filter{Failed: failed}) {
			if err != nil {
				fmt.Fprintln(b.stdout, err)
				break
			}
			causes[m.Cause]++
		}
		what := map[bool]string{false: "waiting", true: "failed"}[failed]
		for _, cause := range slices.Sorted(maps.Keys(causes)) {
			fmt.Fprintf(b.stdout, "%s: %d with cause %q\n", what, causes[cause], cause)
		}
	}
}

// past tells what happened to routes, and how attempts failed.
func (b *bundle) past() {
	records, err := history.NewReader(relay.HistoryDir(b.config)).Recent(bundleLooked)
	if err != nil {
		b.heading("History")
		fmt.Fprintln(b.stdout, err)
	}
	var routes, failed []history.Record
	for _, r := range records {
		r.Subject = ""
		switch {
		case strings.HasPrefix(r.Event, "upstream."):
			routes = append(routes, r)
		case r.Cause != "" || len(r.Transcript) > 0:
			failed = append(failed, r)
		}
	}
	b.records("Routes, the newest first", routes, bundleRoutes)
	b.records("Failures, the newest first", failed, bundleFailed)
}

// records prints the first records of a list.
func (b *bundle) records(heading string, records []history.Record, most int) {
	b.heading(heading)
	for _, r := range records[:min(len(records), most)] {
		transcript := r.Transcript
		r.Transcript = nil
		b.printJSON(r)
		for _, said := range transcript {
			fmt.Fprintf(b.stdout, "    %s\n", said)
		}
	}
}
