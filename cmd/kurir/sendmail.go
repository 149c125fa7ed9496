package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"kurir/relay/config"
	"kurir/relay/control"
	"kurir/relay/sendmail"
)

// sendmailCommand is "kurir sendmail", and the program under the name of
// sendmail. It ends with 0 only when the relay has said 250, or the message
// is durable in the drop directory.
func sendmailCommand(args []string, std streams) int {
	o, err := sendmail.Parse(args)
	if err != nil {
		return complain(std.err, exitUsage, fmt.Errorf("sendmail: %w", err))
	}
	c := config.LoadOutside(config.Options{Environ: os.Environ()})
	to := sendmail.Relay{SMTP: c.Listen.SMTP, Drop: c.DropDir(), MaxMessageSize: int64(c.Listen.MaxMessageSize)}
	switch o.Mode {
	case sendmail.Aliases:
		return newAliases(std)
	case sendmail.PrintQueue:
		return printQueue(c, std)
	case sendmail.SpeakSMTP:
		err = to.Speak(std.in, std.out)
	default:
		err = to.Send(o, std.in, std.out)
	}
	if failed, ok := errors.AsType[*sendmail.Error](err); ok {
		return complain(std.err, failed.Code, fmt.Errorf("sendmail: %w", err))
	}
	return exitOK
}

// describeSendmail declares, for help and manual, the options that mean
// something here; sendmail.Parse reads them, as getopt would.
func describeSendmail(flags *flag.FlagSet) action {
	flags.Bool("t", false, "take the recipients from To, Cc and Bcc")
	flags.Bool("i", false, "do not take a line with only a dot for the end")
	flags.String("f", "", "the `ADDRESS` that is the reverse-path; \"\" is the null path")
	flags.String("F", "", "the `NAME` for a From field, if the message has none")
	flags.Bool("v", false, "show the session with the relay")
	flags.String("b", "", "send (m), speak SMTP on standard input (s), print the queue (p), or do nothing (i): `m|s|p|i`")
	flags.String("N", "", "`WHEN` the sender is notified: never, or some of success,failure,delay")
	flags.String("R", "", "how much of the message a notification returns: `full|hdrs`")
	flags.String("V", "", "the `ENVID` that a notification names")
	return nil
}

// newAliases is the program under the name of newaliases.
func newAliases(std streams) int {
	fmt.Fprintln(std.out, "newaliases: there is nothing to do: aliases are in kurir.toml, below [rewrite]")
	return exitOK
}

// printQueue prints what "kurir queue list" does.
func printQueue(c *config.Config, std streams) int {
	k := &clerk{name: "mailq", stdout: std.out, stderr: std.err, config: c, client: control.NewClient(c.ControlSockets())}
	return k.list(context.Background(), listing{})
}
