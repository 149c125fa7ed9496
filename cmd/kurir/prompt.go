package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// A prompter asks the person at a terminal. Without a terminal nobody can be
// asked, and the one thing that the input may hold is the password.
type prompter struct {
	in  *os.File
	out io.Writer
}

// maxAnswer is how much of a line is read, in bytes; no password is longer.
const maxAnswer = 4096

// line asks for something that may be seen; "" is an answer too, and the only
// one without a terminal.
func (p *prompter) line(question string) (string, error) {
	if !isTerminal(p.in) {
		return "", nil
	}
	fmt.Fprint(p.out, question)
	answer, err := readLine(p.in)
	if err != nil {
		return "", err
	}
	answer = strings.TrimSpace(answer)
	if strings.ContainsFunc(answer, unicode.IsControl) {
		return "", errors.New("the answer has control characters in it")
	}
	return answer, nil
}

// host asks for the name of a server until the answer can be one.
func (p *prompter) host() (string, error) {
	for {
		host, err := p.line("Host: ")
		if err != nil || !strings.ContainsAny(host, ":/@ \t\"'<>") {
			return host, err
		}
		fmt.Fprintln(p.out, "Write the name alone, such as smtp.example.com: no port, no smtp:// and no @.")
	}
}

// password asks for the password without showing it, or reads the first line
// of what is not a terminal. "" means what otherwise says.
func (p *prompter) password(otherwise string) (string, error) {
	read := func() (string, error) { return readLine(p.in) }
	if isTerminal(p.in) {
		fmt.Fprintf(p.out, "Type it here, it is not shown; only Enter to %s: ", otherwise)
		read = p.hidden
	} else {
		fmt.Fprintln(p.out, "Reading the password from the standard input.")
	}
	password, err := read()
	switch {
	case err != nil:
		return "", fmt.Errorf("read the password: %w", err)
	case len(password) > maxAnswer:
		return "", errors.New("the password is too long for one")
	case strings.ContainsFunc(password, unicode.IsControl):
		return "", errors.New("the password has control characters in it")
	}
	return password, nil
}

// hidden reads a line without echo. Who interrupts it gets a terminal back
// that echoes.
func (p *prompter) hidden() (string, error) {
	fd := int(p.in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	signals, answered := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	defer close(answered)
	go func() {
		select {
		case <-signals:
			_ = term.Restore(fd, state)
			fmt.Fprintln(p.out)
			os.Exit(exitFailed) // the read cannot be interrupted
		case <-answered:
		}
	}()
	line, err := term.ReadPassword(fd)
	fmt.Fprintln(p.out)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(line), err
}

// readLine reads up to a line end and not beyond it, without the line end.
// Its result is at most one byte longer than maxAnswer.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); len(line) <= maxAnswer; {
		n, err := in.Read(one)
		if n > 0 && one[0] == '\n' || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		line = append(line, one[:n]...)
	}
	text := strings.TrimPrefix(strings.TrimSuffix(string(line), "\r"), "\ufeff")
	if !utf8.ValidString(text) {
		return "", errors.New("the line is not UTF-8 text")
	}
	return text, nil
}

// isTerminal tells whether a person reads or writes there.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
