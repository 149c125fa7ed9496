package notice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"kurir/upstream/explain"
)

const (
	// commandTime is how long a command may take.
	commandTime = 30 * time.Second

	// maxComplaint bounds what is read of a command's output.
	maxComplaint = 1000
)

// run gives body to a command on its standard input. A command that takes too
// long, or longer than ctx lasts, is killed with all that it started.
func run(ctx context.Context, command string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = foreign(os.Environ())
	cmd.Stdin = bytes.NewReader(body)
	var said head
	cmd.Stdout, cmd.Stderr = &said, &said
	killWhole(cmd)
	cmd.WaitDelay = time.Second // a child that left the group may hold the pipes open
	err := cmd.Run()
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay): // it ended well, and left something running
		return nil
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("it took longer than %s", commandTime)
	case ctx.Err() != nil:
		return errors.New("it was not done when Kurir ended")
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	if first = strings.TrimSpace(explain.Printable(first)); first != "" {
		return fmt.Errorf("%w, saying %q", err, first)
	}
	return err
}

// foreign is an environment without what is ours: settings with their
// passwords, and what the service manager handed to us alone.
func foreign(environ []string) []string {
	var rest []string
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID":
			continue
		}
		if !strings.HasPrefix(name, "KURIR_") {
			rest = append(rest, variable)
		}
	}
	return rest
}

// head keeps the beginning of what is written to it. exec writes both outputs
// from one goroutine when they are the same.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	*h = append(*h, p[:min(len(p), maxComplaint-len(*h))]...)
	return len(p), nil
}
