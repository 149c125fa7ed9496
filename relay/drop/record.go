package drop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"kurir/upstream/envelope"
)

const (
	version = 1

	// maxHead bounds the line before the content: a thousand recipients, each
	// with the longest address, find room.
	maxHead = 1 << 20
)

// A head is the first line of a file.
type head struct {
	Version int                  `json:"version"`
	From    string               `json:"from"`
	To      []envelope.Recipient `json:"to"`
	Return  string               `json:"ret,omitempty"`
	ID      string               `json:"envid,omitempty"`
}

// An Address reads a mailbox, completing one that has no domain. "" is the
// null path.
type Address func(string) (envelope.Path, error)

// Read reads the envelope that a file begins with, and leaves r at the
// content. It has at most maxRecipients forward-paths, and all that it says
// can be written into an SMTP command as it is. An error says what is wrong.
func Read(r *bufio.Reader, maxRecipients int, address Address) (envelope.Envelope, error) {
	none := envelope.Envelope{}
	line, err := readLine(r)
	if err != nil {
		return none, err
	}
	var h head
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return none, fmt.Errorf("its first line is no envelope: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return none, errors.New("its first line has something behind the envelope")
	}
	switch {
	case h.Version != version:
		return none, fmt.Errorf("its version is %d, and this Kurir knows %d", h.Version, version)
	case len(h.To) == 0:
		return none, errors.New("it has no recipients")
	case len(h.To) > maxRecipients:
		return none, fmt.Errorf("it has more than %d recipients", maxRecipients)
	}
	env := envelope.Envelope{To: h.To, Return: h.Return, ID: h.ID}
	if env.From, err = address(h.From); err != nil {
		return none, err
	}
	env.UTF8 = !env.From.IsASCII()
	for i := range env.To {
		to := &env.To[i]
		if to.To, err = address(string(to.To)); err != nil {
			return none, err
		}
		if to.To == "" {
			return none, errors.New("a recipient has no address")
		}
		env.UTF8 = env.UTF8 || !to.To.IsASCII()
	}
	return env, checkParameters(env)
}

// readLine reads a line of at most maxHead octets, without its end.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxHead:
			return "", fmt.Errorf("its first line has more than %d octets", maxHead)
		case err == nil:
			return string(line[:len(line)-1]), nil
		case errors.Is(err, io.EOF):
			return "", errors.New("it ends in its first line")
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// checkParameters tells whether the DSN parameters of an envelope are some.
// Commands are made of them.
func checkParameters(env envelope.Envelope) error {
	if env.Return != "" && !envelope.IsReturn(env.Return) {
		return fmt.Errorf("RET is FULL or HDRS, not %q", env.Return)
	}
	if env.ID != "" && !envelope.IsID(env.ID) {
		return fmt.Errorf("%q is not an ENVID", env.ID)
	}
	for _, to := range env.To {
		if to.Notify != "" && !envelope.IsNotify(to.Notify) {
			return fmt.Errorf("NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY, not %q", to.Notify)
		}
		if to.Original != "" && !envelope.IsOriginal(to.Original) {
			return fmt.Errorf("%q is not an ORCPT", to.Original)
		}
	}
	return nil
}
