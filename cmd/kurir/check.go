package main

import (
	"context"
	"errors"
	"flag"
	"slices"
	"strconv"
	"strings"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/upstream/check"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// checkup is all that "kurir check" found. Its JSON form is what --json prints,
// one object in one line: names and the values of "result", "cause", "stage"
// and "verdict" stay as they are, while "summary", "text", "title", "meaning"
// and "fix" are for people, in the language of the configuration.
type checkup struct {
	OK        bool            `json:"ok"` // mail would go out, and the test mails did
	Summary   string          `json:"summary"`
	Config    string          `json:"config,omitempty"` // the file that was read
	Upstreams []*check.Report `json:"upstreams"`
	Local     []finding       `json:"local"`
}

// prepareCheck is "kurir check", which says whether mail would go out, and why
// not.
func prepareCheck(flags *flag.FlagSet) action {
	path := configFlag(flags)
	asJSON := flags.Bool("json", false, "print one JSON object")
	to := flags.String("send", "", "send a test mail to this `ADDRESS`")
	return func(_ []string, std streams) int {
		recipient, err := envelope.ParsePath(*to)
		if *to != "" && (err != nil || recipient.Domain() == "") {
			return std.misuse("check", "--send %q is not a mail address", *to)
		}
		ctx, stop := interruptible()
		defer stop()
		var result *checkup
		w := checkWords(explain.English) // until it is known which
		c, err := loadConfig(ctx, *path, false)
		if err == nil {
			w = checkWords(explain.Language(c.Log.Language))
			result, err = checkAll(ctx, c, recipient, w)
		}
		switch {
		case ctx.Err() != nil:
			return complain(std.err, exitFailed, errors.New(w.Say("verdict.interrupted")))
		case err != nil:
			return complain(std.err, exitConfig, err)
		}
		if *asJSON {
			err = encode(std.out, result)
		} else {
			err = result.print(std.out, w)
		}
		switch {
		case err != nil:
			return complain(std.err, exitFailed, err)
		case !result.OK:
			return exitFailed
		}
		return exitOK
	}
}

// checkAll checks every smart host and what is around Kurir. Its error is one
// of the configuration.
func checkAll(ctx context.Context, c *config.Config, to envelope.Path, w explain.Words) (*checkup, error) {
	upstreams, err := relay.UpstreamOptions(c)
	if err != nil {
		return nil, err
	}
	all := &checkup{Config: c.File}
	all.Upstreams, err = check.Run(ctx, check.Options{Upstreams: upstreams, Send: to, Language: explain.Language(c.Log.Language)})
	if err != nil {
		return nil, err
	}
	all.Local = lookAround(ctx, c, all.Upstreams, w)
	all.conclude(w)
	return all, nil
}

// conclude sets OK, and says what everything comes to.
func (c *checkup) conclude(w explain.Words) {
	var ways, broken []string
	unsent := ""
	for i, r := range c.Upstreams {
		switch result := outcome(r); result {
		case "ok":
			ways = append(ways, c.numbered(i, r.Way.String()))
		case "none":
			broken = append(broken, c.numbered(i, r.Host))
		default:
			unsent = result
		}
	}
	stopped := slices.ContainsFunc(c.Local, func(f finding) bool { return f.Result == wrong })
	c.OK = len(broken) == 0 && unsent == "" && !stopped
	result := "ok"
	switch {
	case len(broken) > 0 && len(ways) == 0:
		result = "none"
	case unsent != "" && len(broken) == 0:
		result = unsent
	case stopped:
		result = "machine"
	case len(broken) > 0:
		result = "some"
	}
	and := w.Say("verdict.and")
	c.Summary = w.Say("verdict."+result, "ways", strings.Join(ways, and), "broken", strings.Join(broken, and))
}

// numbered puts the place in the configuration before the name of a smart
// host, where there are several: they are often of the same provider.
func (c *checkup) numbered(i int, name string) string {
	if len(c.Upstreams) == 1 {
		return name
	}
	return strconv.Itoa(i+1) + ". " + name
}

// outcome is what became of a smart host. Where there is a way in, but nothing
// went out over it, the test mail failed, which can be its own fault.
func outcome(r *check.Report) string {
	switch {
	case r.OK:
		return "ok"
	case r.Way == nil:
		return "none"
	case r.Trouble.Cause == explain.DeliveryUncertain:
		return "uncertain"
	case r.Trouble.Verdict == explain.Retry:
		return "later"
	case r.Trouble.Verdict == explain.Return:
		return "refused"
	}
	return "none"
}
