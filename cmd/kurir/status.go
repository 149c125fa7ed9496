package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"kurir/relay/control"
)

func prepareStatus(flags *flag.FlagSet) action {
	return asking(flags, nothing, (*clerk).status)
}

// status is "kurir status". Its exit code is that of a health check: exitOK only
// while a relay runs and answers.
func (c *clerk) status(ctx context.Context) int {
	status, _, done, err := c.look(ctx)
	if err != nil {
		return c.fail(err)
	}
	done()
	code := exitOK
	if !status.Running {
		code = exitUnavailable
	}
	if c.asJSON {
		return max(code, c.printJSON(status))
	}
	c.printStatus(status)
	return code
}

func (c *clerk) printStatus(status control.Status) {
	if status.Running {
		fmt.Fprintf(c.stdout, "Kurir %s runs since %s (process %d)\n", status.Version, moment(status.Started), status.PID)
	}
	if status.HTTP != "" {
		fmt.Fprintf(c.stdout, "status page: %s\n", status.HTTP)
	}
	for _, r := range status.Routes {
		c.printTrouble(r)
		if r.Trouble == nil {
			over := ""
			if r.Way != nil {
				over = ", over " + field(r.Way.Candidate)
			}
			fmt.Fprintf(c.stdout, "%s is open%s; %s\n", field(r.Name), over, waits(r.Waiting))
		}
	}
	for _, e := range status.Ends {
		what := e.What
		if e.Account != "" {
			what = "the OAuth2 token of " + field(e.Account)
		}
		fmt.Fprintf(c.stdout, "%s is good until %s, since %s\n", what, moment(e.Until), moment(e.Since))
	}
	facts := []string{fmt.Sprintf("%s (%d octets)", waits(status.Waiting), status.Bytes)}
	if !status.Oldest.IsZero() {
		facts = append(facts, "the oldest for "+age(status.Oldest))
	}
	if status.Failed > 0 {
		facts = append(facts, count(status.Failed)+" failed for good")
	}
	fmt.Fprintln(c.stdout, strings.Join(facts, ", "))
}
