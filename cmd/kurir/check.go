package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/upstream/check"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// checkup is all that "kurir check" found. Its JSON form is what --json prints.
type checkup struct {
	OK        bool            `json:"ok"`
	Config    string          `json:"config,omitempty"` // the file that was read
	Upstreams []*check.Report `json:"upstreams"`
	Local     []finding       `json:"local"`
}

// checkCommand looks whether mail would go out, and says why not.
func checkCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("kurir check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	path := flags.String("config", "", "the configuration `FILE`")
	asJSON := flags.Bool("json", false, "print one JSON object")
	to := flags.String("send", "", "send a test mail to this `ADDRESS`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "kurir check: %q is too much; it takes flags only\n", flags.Arg(0))
		return exitUsage
	}
	var recipient envelope.Path
	if *to != "" {
		var err error
		if recipient, err = envelope.ParsePath(*to); err != nil || recipient.Domain() == "" {
			fmt.Fprintf(stderr, "kurir check: --send %q is not a mail address\n", *to)
			return exitUsage
		}
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c, err := loadConfig(ctx, *path, false)
	if err != nil {
		return complain(stderr, exitConfig, err)
	}
	result, err := checkAll(ctx, c, recipient)
	if err != nil {
		return complain(stderr, exitConfig, err)
	}
	if *asJSON {
		err = json.NewEncoder(stdout).Encode(result)
	} else {
		err = result.print(stdout)
	}
	switch {
	case err != nil:
		return complain(stderr, exitFailed, err)
	case !result.OK:
		return exitFailed
	}
	return exitOK
}

// checkAll checks every smart host and what is around Kurir. Its error is one
// of the configuration.
func checkAll(ctx context.Context, c *config.Config, to envelope.Path) (*checkup, error) {
	upstreams, err := relay.UpstreamOptions(c)
	if err != nil {
		return nil, err
	}
	all := &checkup{OK: true, Config: c.File, Upstreams: []*check.Report{}}
	for _, o := range upstreams {
		report, err := check.Run(ctx, check.Options{Upstream: o, Send: to, Language: explain.Language(c.Log.Language)})
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", o.Name(), err)
		}
		all.Upstreams = append(all.Upstreams, report)
		all.OK = all.OK && report.OK
	}
	all.Local = lookAround(c, all.Upstreams)
	for _, f := range all.Local {
		all.OK = all.OK && f.Result != wrong
	}
	return all, nil
}
