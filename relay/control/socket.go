package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A TakenError says that another relay answers on the socket.
type TakenError struct{ Path string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("another Kurir answers on %s: stop it, or set control.socket to another path", e.Path)
}

// askTime is how long a socket may take to answer.
const askTime = 2 * time.Second

// Listen makes the socket at path, for this user and group only, and its
// directory if that is missing. A socket that a dead relay has left is
// replaced; it fails with a *TakenError if one answers there.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	conn, err := net.DialTimeout("unix", path, askTime)
	switch {
	case err == nil:
		_ = conn.Close()
		return nil, &TakenError{path}
	case errors.Is(err, syscall.ECONNREFUSED): // its relay is dead
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			_ = os.Remove(path) // Listen says what is wrong if this fails
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	return l, nil
}

// dial tries the paths in their order.
func dial(ctx context.Context, paths []string) (net.Conn, error) {
	var errs []error
	dialer := net.Dialer{Timeout: askTime}
	for _, path := range paths {
		conn, err := dialer.DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
