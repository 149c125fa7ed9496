package drop

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"kurir/upstream/envelope"
)

const (
	dirMode   = 0o733 | fs.ModeSticky
	wayMode   = 0o711 // of directories above, so that everybody gets there
	fileMode  = 0o644
	nameBytes = 16
)

// Make makes the directory for this user's relay, and those above it that are
// missing, or brings an old one into order.
func Make(dir string) error {
	if err := supported(); err != nil {
		return err
	}
	if err := makeWay(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("drop directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("drop directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("drop directory: %w", err)
	}
	if !info.IsDir() || ownerOf(info) != os.Geteuid() {
		return fmt.Errorf("drop directory: %s is not a directory of this user (uid %d): remove it, or set spool.drop", dir, os.Geteuid())
	}
	if err := os.Chmod(dir, dirMode); err != nil { // Mkdir's mode is subject to the umask
		return fmt.Errorf("drop directory: %w", err)
	}
	return nil
}

func makeWay(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeWay(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, wayMode); err != nil {
		return err
	}
	return os.Chmod(dir, wayMode)
}

// Put leaves a message in dir. When it returns nil the message is durable. Of
// the envelope, UTF8 does not count; a path may lack its domain.
func Put(dir string, env envelope.Envelope, content io.Reader) error {
	if err := errors.Join(supported(), checkParameters(env)); err != nil {
		return err
	}
	line, err := json.Marshal(head{Version: version, From: string(env.From), To: env.To, Return: env.Return, ID: env.ID})
	if err != nil {
		return fmt.Errorf("encode the envelope: %w", err)
	}
	if len(line) > maxHead {
		return fmt.Errorf("the envelope has more than %d octets", maxHead)
	}
	path := filepath.Join(dir, newName())
	tmp := path + tmpSuffix
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if err == nil {
		_, err = io.Copy(f, content)
	}
	if err == nil {
		err = f.Chmod(fileMode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		if err = syncName(f, dir); err != nil {
			_ = os.Remove(path)
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

func newName() string {
	var b [nameBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// isName tells whether Put could have given a file this name.
func isName(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 2*nameBytes
}
