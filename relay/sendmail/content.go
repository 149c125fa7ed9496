package sendmail

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	inMemory   = 1 << 20 // of a message; a larger one goes through a file
	maxContent = 1 << 30 // no relay takes that much
)

// A content is what came on standard input.
type content struct {
	memory   bytes.Buffer
	file     *os.File // nil as long as memory has all of it
	size     int64
	eightBit bool
}

// readContent reads a message to its end, which is that of r, or a line with
// only a dot if not wholeInput.
func readContent(r io.Reader, wholeInput bool) (*content, error) {
	c := &content{}
	lines := bufio.NewReaderSize(r, 64<<10)
	for fresh := true; ; {
		part, err := lines.ReadSlice('\n')
		if !wholeInput && fresh && string(bytes.TrimRight(part, "\r\n")) == "." && err != bufio.ErrBufferFull {
			return c, nil
		}
		if e := c.write(part); e != nil {
			return c, e
		}
		fresh = err == nil
		switch {
		case errors.Is(err, io.EOF):
			return c, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return c, fmt.Errorf("read the message: %w", err)
		}
	}
}

var errContentTooLarge = errors.New("the message has more than 1 GB")

func (c *content) write(p []byte) (err error) {
	if c.size += int64(len(p)); c.size > maxContent {
		return errContentTooLarge
	}
	c.eightBit = c.eightBit || bytes.ContainsFunc(p, func(r rune) bool { return r >= 0x80 })
	if c.file == nil && c.size > inMemory {
		if c.file, err = os.CreateTemp("", "kurir-sendmail-*"); err != nil {
			return err
		}
		_ = os.Remove(c.file.Name()) // it lives as long as we do
		if _, err = c.file.Write(c.memory.Bytes()); err != nil {
			return err
		}
		c.memory = bytes.Buffer{}
	}
	if c.file != nil {
		_, err = c.file.Write(p)
		return err
	}
	c.memory.Write(p)
	return nil
}

// from reads the content from an octet on; any number of times.
func (c *content) from(offset int64) io.Reader {
	if c.file != nil {
		return io.NewSectionReader(c.file, offset, c.size-offset)
	}
	return bytes.NewReader(c.memory.Bytes()[offset:])
}

func (c *content) close() {
	if c.file != nil {
		_ = c.file.Close()
	}
}
