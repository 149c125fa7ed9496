package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A TakenError says that a program answers on the socket. It is
// syscall.EADDRINUSE.
type TakenError struct{ Path string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("a program answers on %s, probably another Kurir: stop it, or choose another path", e.Path)
}

func (e *TakenError) Unwrap() error { return syscall.EADDRINUSE }

// askTime is how long a socket may take to answer.
const askTime = 2 * time.Second

// Listen makes the socket at path, for this user and group only, and its
// directory if that is missing. The rest is as with ListenUnix.
func Listen(path string) (net.Listener, error) {
	err := os.MkdirAll(filepath.Dir(path), 0o750)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := ListenUnix(path, 0o660)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// ListenUnix makes a socket at path with a mode. A socket that a dead program
// has left is replaced; it fails with a *TakenError if one answers there.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	conn, err := net.DialTimeout("unix", path, askTime)
	switch {
	case err == nil:
		_ = conn.Close()
		return nil, &TakenError{path}
	case errors.Is(err, syscall.ECONNREFUSED): // nobody
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			_ = os.Remove(path) // Listen says what is wrong if this fails
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
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
