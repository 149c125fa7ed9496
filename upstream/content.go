package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// content copies the message to the server by way of write, all but its tail.
// Before that is let go, whoever waits for the outcome is asked once more.
func (t *transaction) content(write func(io.Reader) error) error {
	err := t.copyContent(write)
	if err == nil && t.m.BeforeDot != nil {
		err = t.m.BeforeDot()
	}
	if err != nil {
		t.broken = true // content that was begun can only be taken back by closing
		return err
	}
	t.wire.script.content(t.m.Size)
	_, _ = t.wire.bw.Write(t.tail) // flush tells of its error
	return nil
}

func (t *transaction) copyContent(write func(io.Reader) error) error {
	r, err := t.m.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", errNotRead, err)
	}
	defer r.Close()
	if err := write(r); err != nil {
		if errors.Is(err, errNotRead) {
			return err
		}
		reply, err := t.lastWords(err)
		return t.lost(reply, err)
	}
	return nil
}

// errNotRead is trouble on our side of the copy.
var errNotRead = errors.New("the message could not be read")

// plain copies the content as it is, up to its last line end, which is the tail.
func (t *transaction) plain(r io.Reader) error {
	t.tail = make([]byte, min(t.m.Size, 2))
	body := t.m.Size - int64(len(t.tail))
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for body > 0 {
		n, err := r.Read((*buf)[:min(body, int64(len(*buf)))])
		body -= int64(n)
		if _, err := t.wire.bw.Write((*buf)[:n]); err != nil {
			return err
		}
		if err != nil && body > 0 {
			return fmt.Errorf("%w: %d octets before its end: %w", errNotRead, body, err)
		}
	}
	if _, err := io.ReadFull(r, t.tail); err != nil {
		return fmt.Errorf("%w: its last octets: %w", errNotRead, err)
	}
	if n, _ := r.Read((*buf)[:1]); n > 0 {
		return fmt.Errorf("%w: it is longer than the %d octets it should have", errNotRead, t.m.Size)
	}
	return nil
}

// stuffed copies the content with a dot before each dot that begins a line
// (RFC 5321, section 4.5.2); the tail is the final dot.
func (t *transaction) stuffed(r io.Reader) error {
	t.tail = finalDot
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	lineStart, left := true, t.m.Size
	for {
		n, err := r.Read(*buf)
		left -= int64(n)
		if n > 0 {
			if lineStart && (*buf)[0] == '.' {
				_ = t.wire.bw.WriteByte('.') // the next Write tells of its error
			}
			if err := stuff(t.wire.bw, (*buf)[:n]); err != nil {
				return err
			}
			lineStart = (*buf)[n-1] == '\n'
		}
		if err == io.EOF {
			if !lineStart || left != 0 { // the final dot would not be one, or end something else
				return fmt.Errorf("%w: it has not the %d octets it should have, or no line end", errNotRead, t.m.Size)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errNotRead, err)
		}
	}
}

var (
	finalDot = []byte(".\r\n")
	lineDot  = []byte("\n.")
)

// stuff writes p with each dot doubled that follows a line feed in it.
func stuff(w io.Writer, p []byte) error {
	for {
		i := bytes.Index(p, lineDot)
		if i < 0 {
			_, err := w.Write(p)
			return err
		}
		if _, err := w.Write(p[:i+2]); err != nil {
			return err
		}
		p = p[i+1:] // from the dot on, which makes it two
	}
}
