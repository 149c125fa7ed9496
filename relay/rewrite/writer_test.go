package rewrite_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"kurir/relay/rewrite"
)

var received = time.Date(2026, 11, 22, 22, 7, 0, 0, time.FixedZone("", 7*3600))

const (
	ours = "Received: from localhost (local app)\r\n" +
		"\tby relay.example (Kurir) with ESMTP id 4f2a;\r\n" +
		"\tSun, 22 Nov 2026 15:07:00 +0000\r\n"
	date = "Date: Sun, 22 Nov 2026 22:07:00 +0700\r\n"
	id   = "Message-ID: <4f2a@relay.example>\r\n"
	from = "From: app@example.org\r\n"
)

func options() rewrite.Options {
	return rewrite.Options{
		Hostname: "relay.example", ID: "4f2a", Received: received,
		Origin: "localhost (local app)", With: "ESMTP", Sender: "app@example.org",
	}
}

// pass sends in through a Writer, in parts of the reader's choosing.
func pass(in io.Reader) (string, rewrite.Header, error) {
	var out bytes.Buffer
	w := rewrite.NewWriter(&out, options())
	_, err := io.Copy(struct{ io.Writer }{w}, struct{ io.Reader }{in})
	if err == nil {
		err = w.Close()
	}
	return out.String(), w.Header(), err
}

// What the app wrote must arrive octet for octet, and what RFC 6409, section
// 8 lets us add stands above it, however the message is cut into writes.
func TestWriter(t *testing.T) {
	for _, c := range []struct{ name, in, added string }{
		{"complete", "Date: x\r\nmessage-id: <a@b>\r\nSubject: s\r\n\r\nbody\r\n", ours + from},
		{"no date", "Message-Id: <a@b>\r\n\r\nbody\r\n", ours + date + from},
		{"no message-id", "DATE: x\r\n\r\nbody\r\n", ours + id + from},
		{"blank before the colon", "Date : x\r\nMessage-ID\t: <a@b>\r\n\r\nbody\r\n", ours + from},
		{"fields in the body do not count", "Subject: s\r\n\r\nDate: x\r\nMessage-ID: <a@b>\r\n", ours + date + id + from},
		{"fields in a folded line do not count", "Subject: s\r\n Date: x\r\n\tMessage-ID: <a@b>\r\n\r\n", ours + date + id + from},
		{"from", "From: a@b\r\n\r\nFrom: c@d\r\n", ours + date + id},
		{"from in its second line", "from:\r\n\ta@b\r\n\r\n", ours + date + id},
		{"from that nobody can read", "From: (\r\n\r\n", ours + date + id},
		{"header only", "Subject: s\r\n", ours + date + id + from},
		{"empty header", "\r\nbody\r\n", ours + date + id + from},
		{"no header", "just text\r\nDate: x\r\n\r\nmore\r\n", ours + date + id + from + "\r\n"},
		{"no header, one line", "just text\r\n", ours + date + id + from + "\r\n"},
		{"no header, starts with a blank", " text: x\r\n", ours + date + id + from + "\r\n"},
		{"no header, starts with a colon", ": x\r\n", ours + date + id + from + "\r\n"},
		{"no header, one endless line", strings.Repeat("<p>", rewrite.MaxHeader) + "\r\n", ours + date + id + from + "\r\n"},
		{"no header, a colon far away", "X" + strings.Repeat(" ", 5000) + ": x\r\n", ours + date + id + from + "\r\n"},
		{"empty", "", ours + date + id + from},
		{"header ends at a line that is no field", "Subject: s\r\nbody\r\nDate: x\r\n", ours + date + id + from},
		{"long field", "X: " + strings.Repeat("x", 100_000) + "\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\nbody", ours + from},
		{"8-bit", "Subject: \xc3\xbc\xff\r\n\r\n\xff\x00\r\n", ours + date + id + from},
	} {
		t.Run(c.name, func(t *testing.T) {
			for how, in := range map[string]io.Reader{
				"whole":   strings.NewReader(c.in),
				"octets":  iotest.OneByteReader(strings.NewReader(c.in)),
				"halves":  iotest.HalfReader(strings.NewReader(c.in)),
				"pretend": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				if how == "octets" && len(c.in) > 200_000 {
					continue
				}
				got, _, err := pass(in)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if got != c.added+c.in {
					t.Errorf("%s:\n got %.600q\nwant %.600q", how, got, c.added+c.in)
				}
			}
		})
	}
}

// The log names a message by these.
func TestHeader(t *testing.T) {
	in := "From: A\r\n <a@b>\r\nSubject: one\r\n\ttwo\r\nSubject: three\r\nMessage-ID:\r\n <x@y>\r\n\r\n"
	_, h, err := pass(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if h.From != "A <a@b>" || h.Subject != "one two" || h.MessageID != "<x@y>" {
		t.Errorf("%+v", h)
	}
	if _, h, _ = pass(strings.NewReader("\r\n")); h.MessageID != "<4f2a@relay.example>" {
		t.Errorf("the Message-ID we gave is not told: %q", h.MessageID)
	}
	long := "Subject: x\r\n" + strings.Repeat(" y\r\n", 10_000) + "\r\n"
	if _, h, _ = pass(strings.NewReader(long)); len(h.Subject) > 998 {
		t.Errorf("the subject has %d octets", len(h.Subject))
	}
}

// A message that two relays send to each other must stop; one that merely
// came a long way, or through another server of our name, must not.
func TestLoop(t *testing.T) {
	strange := "Received: from x by relay.example (Postfix) with ESMTP id 1; date\r\n"
	mine := "received: from localhost (local app)\r\n\tBY Relay.Example (Kurir) with ESMTP id 1;\r\n\tdate\r\n"
	other := "Received: from localhost (local app)\r\n\tby other.example (Kurir) with ESMTP id 1;\r\n\tdate\r\n"
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"99 hops", strings.Repeat(strange, 99), nil},
		{"100 hops", strings.Repeat(strange, 100), rewrite.ErrLoop},
		{"four times here", strings.Repeat(mine, 4), nil},
		{"five times here", strings.Repeat(mine, 5), rewrite.ErrLoop},
		{"five times at others", strings.Repeat(other, 5), nil},
		{"in the body", "\r\n" + strings.Repeat(mine, 100), nil},
	} {
		for _, end := range []string{"", "\r\nbody\r\n"} {
			out, _, err := pass(strings.NewReader(c.in + end))
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if err != nil && out != "" {
				t.Errorf("%s: something was passed on: %.80q", c.name, out)
			}
		}
	}
}

// Memory must not depend on what a client calls a header.
func TestHeaderTooLarge(t *testing.T) {
	for name, in := range map[string]string{
		"one field":   "X: " + strings.Repeat("x", rewrite.MaxHeader),
		"many fields": strings.Repeat("X: x\r\n", rewrite.MaxHeader/6+1),
		"folded":      "X: x\r\n" + strings.Repeat("\tx\r\n", rewrite.MaxHeader/4) + "\r\nbody",
	} {
		for _, r := range []io.Reader{strings.NewReader(in), iotest.HalfReader(strings.NewReader(in))} {
			if _, _, err := pass(r); !errors.Is(err, rewrite.ErrHeaderTooLarge) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What the draft says when the disk is full must reach the listener as it is.
func TestWriterPassesErrorsOn(t *testing.T) {
	full := errors.New("full")
	for _, in := range []string{"Subject: s\r\n\r\nbody", "Subject: s\r\n"} {
		w := rewrite.NewWriter(failing{full}, options())
		_, err := io.WriteString(w, in)
		if cerr := w.Close(); err == nil {
			err = cerr
		}
		if !errors.Is(err, full) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// P10: clients that stop in the middle of large header sections share what
// they may hold; small ones always pass, and what is given up counts no more.
func TestReserve(t *testing.T) {
	o := options()
	o.Reserve = new(rewrite.Reserve)
	large, little := []byte("X: "+strings.Repeat("x", 200_000)), []byte("Subject: s\r\n")
	var stuck []*rewrite.Writer
	for {
		w := rewrite.NewWriter(io.Discard, o)
		_, err := w.Write(large)
		if errors.Is(err, rewrite.ErrBusy) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if stuck = append(stuck, w); len(stuck) > 100 {
			t.Fatal("no bound")
		}
	}
	if _, err := rewrite.NewWriter(io.Discard, o).Write(little); err != nil {
		t.Errorf("a small header: %v", err)
	}
	for _, w := range stuck {
		w.Release()
	}
	if _, err := rewrite.NewWriter(io.Discard, o).Write(large); err != nil {
		t.Errorf("after the others gave up: %v", err)
	}
}
