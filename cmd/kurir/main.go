// Kurir takes mail from local apps over plain SMTP and hands it to an
// authenticated mail provider over verified TLS.
//
//	kurir serve --config /etc/kurir/kurir.toml
//	kurir serve --sandbox
//
// See README.md for what it does, and package relay for how.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	os.Exit(runAs(filepath.Base(os.Args[0]), os.Args[1:]))
}

// runAs is the program under the names that other programs know.
func runAs(name string, args []string) int {
	switch name {
	case "sendmail":
		return sendmailCommand(args, os.Stdin, os.Stdout, os.Stderr)
	case "mailq":
		return sendmailCommand(append([]string{"-bp"}, args...), os.Stdin, os.Stdout, os.Stderr)
	case "newaliases":
		return newAliases(os.Stdout)
	}
	return run(args, os.Stdout, os.Stderr)
}

// Exit codes, as sysexits.h has them where it has them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 64
	exitUnavailable = 69
	exitConfig      = 78
)

const usage = `Kurir takes mail from local apps and hands it to your mail provider.

usage:
  kurir serve [--config FILE]   run the relay
  kurir serve --sandbox         try it out with a provider of its own
  kurir check [--config FILE] [--json] [--send ADDRESS]
                                see whether mail would go out, and why not
  kurir explain [--stage STAGE] [--host HOST] [--provider NAME] [--language en|id]
                [--json] [TEXT | -]
                                say what a reply or error line means
  kurir init --email ADDRESS    find your provider and write a config; or --provider NAME
  kurir login [--config FILE]   sign in to a mailbox that wants OAuth2, once
  kurir queue list [--failed]   see what waits, or has failed, and why
  kurir queue show ID…          all that is known of a message
  kurir queue retry ID… | --all try it now; without an ID the failed ones
  kurir queue flush             try everything now, on routes in trouble too
  kurir queue drop ID… | --all  remove it for good
                                list, retry and drop take [--failed] [--cause CAUSE]
                                [--address ADDRESS] [--older TIME], list [--limit N]
  kurir sendmail [-t] [-i] [-f FROM] [-F NAME] [TO…]
                                hand in a message as other programs do; also under
                                the name sendmail, with the options of that
  kurir why [--json] [--verbose] ID | MESSAGE-ID | ADDRESS
                                the whole story of a message, from history
  kurir status                  how the relay is doing; [--json] here and with queue
  kurir bundle                  print a support file, without secrets and addresses
  kurir reload                  read the configuration again, as SIGHUP does
  kurir version                 print the version

Without --config, $KURIR_CONFIG, ./kurir.toml and /etc/kurir/kurir.toml are
looked for. KURIR_SECTION_KEY in the environment overrides a key, such as
KURIR_UPSTREAM_HOST; KURIR_SECTION_KEY_FILE reads its value from a file.

example, once an app sends its mail to 127.0.0.1:25:
  KURIR_UPSTREAM_HOST=smtp.example.com KURIR_UPSTREAM_USERNAME=app@example.com \
  KURIR_UPSTREAM_PASSWORD_FILE=/run/secrets/smtp kurir serve
`

// run is the program; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch command, args := args[0], args[1:]; command {
	case "serve":
		return serve(args, stdout, stderr)
	case "explain":
		return explainTexts(args, os.Stdin, stdout, stderr)
	case "init":
		return initConfig(args, os.Stdin, stdout, stderr)
	case "check":
		return checkCommand(args, stdout, stderr)
	case "bundle":
		return bundleCommand(args, stdout, stderr)
	case "login":
		return loginCommand(args, os.Stdin, stdout, stderr)
	case "queue":
		return queueCommand(args, stdout, stderr)
	case "sendmail":
		return sendmailCommand(args, os.Stdin, stdout, stderr)
	case "why":
		return whyCommand(args, stdout, stderr)
	case "status":
		return statusCommand(args, stdout, stderr)
	case "reload":
		return reloadCommand(args, stdout, stderr)
	case "version", "--version":
		fmt.Fprintln(stdout, "kurir", version())
		return exitOK
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return exitOK
	default:
		fmt.Fprintf(stderr, "kurir: there is no command %q\n\n%s", command, usage)
		return exitUsage
	}
}
