package dsn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"unicode/utf8"
)

const (
	maxHeader = 64 << 10 // octets of the original's header that are given back
	maxWhole  = 1 << 20  // octets of an original that is given back whole
	maxLine   = 990      // where a line of it is broken that is longer than a line may be
)

// An original is what is given back of the message: its header, or all of it
// where the sender asked for that with RET=FULL, it is short, and it passes
// each server as it is.
type original struct {
	content io.ReadCloser
	rest    *bufio.Reader // all of it, the header included
	header  []byte
	whole   bool
	utf8    bool // the header is not ASCII
}

// open begins to read the original, as its header decides what the
// notification's own must say. The caller closes it.
func (r *Report) open() (*original, error) {
	content, err := r.Original()
	if err != nil {
		return nil, fmt.Errorf("open the original: %w", err)
	}
	rest := bufio.NewReaderSize(content, maxHeader)
	start, err := rest.Peek(maxHeader)
	if err != nil && !errors.Is(err, io.EOF) {
		content.Close()
		return nil, fmt.Errorf("read the original: %w", err)
	}
	o := &original{content: content, rest: rest, header: headerOf(start)}
	o.utf8 = !isASCII(string(o.header))
	o.whole = strings.EqualFold(r.Return, "FULL") && r.Size <= maxWhole && !r.EightBit && !o.utf8
	return o, nil
}

func (o *original) close() { o.content.Close() }

// headerOf is the header that content starts with, up to its last whole line.
func headerOf(content []byte) []byte {
	end := 0
	for line := range bytes.Lines(content) {
		isCut := len(content) == maxHeader && line[len(line)-1] != '\n'
		if isCut || len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		end += len(line)
	}
	return content[:end]
}

func (o *original) write(w *bufio.Writer, parts *multipart.Writer) error {
	var (
		contentType, encoding = "text/rfc822-headers", "7bit"
		from                  = bufio.NewReader(bytes.NewReader(o.header))
	)
	switch {
	case o.whole:
		contentType = "message/rfc822"
		from = bufio.NewReader(io.LimitReader(o.rest, maxWhole))
	case o.utf8:
		contentType, encoding = "message/global-headers", "8bit"
		from = bufio.NewReader(bytes.NewReader(bytes.ToValidUTF8(o.header, []byte("\uFFFD"))))
	}
	part(parts, contentType, encoding)
	return o.copy(w, from)
}

// copy gives back what is lawful mail as it is. Else it mends what would keep
// the notification from passing: line ends, lines that are too long, NUL, and
// octets above 127 where there should be none.
func (o *original) copy(w *bufio.Writer, from *bufio.Reader) error {
	column := 0
	for {
		c, err := from.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case c == '\r':
			continue
		case c == '\n':
			w.WriteString("\r\n")
			column = 0
			continue
		case c == 0, c >= 0x80 && !o.utf8:
			c = '?'
		}
		if column >= maxLine && utf8.RuneStart(c) {
			w.WriteString("\r\n ") // the blank keeps it one field
			column = 1
		}
		w.WriteByte(c)
		column++
	}
}
