// Kurir takes mail from local apps over plain SMTP and hands it to an
// authenticated mail provider over verified TLS.
//
//	kurir serve --config /etc/kurir/kurir.toml
//	kurir serve --sandbox
//
// See README.md for what it does, and package relay for how. Here are the
// commands: commands.go is the table of all of them, and each is in the file of
// its name; clerk.go is what those share that ask a relay.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	os.Exit(runAs(filepath.Base(os.Args[0]), os.Args[1:]))
}

// runAs is the program under the names that other programs know.
func runAs(name string, args []string) int {
	std := streams{os.Stdin, os.Stdout, os.Stderr}
	switch name {
	case "sendmail":
		return sendmailCommand(args, std)
	case "mailq":
		return sendmailCommand(append([]string{"-bp"}, args...), std)
	case "newaliases":
		return newAliases(std)
	}
	return run(args, std)
}

// Exit codes, as sysexits.h has them where it has them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 64
	exitUnavailable = 69
	exitConfig      = 78
)

// interruptible is a context that ends with the first SIGTERM or SIGINT; the
// second ends the program at once.
func interruptible() (ctx context.Context, stop func()) {
	ctx, stop = signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
