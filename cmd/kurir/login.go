package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"kurir/relay"
	"kurir/relay/config"
	"kurir/upstream/explain"
	"kurir/upstream/token"
)

// registering says how to get a client ID, since there is none built in.
const registering = `
A sign-in needs an application that is registered with the provider:

  Microsoft: Entra admin center, App registrations, New registration; then
    Authentication: Allow public client flows: Yes; API permissions: add the
    delegated permission SMTP.Send of Microsoft Graph or Office 365 Exchange Online.
  Google: Google Cloud console, APIs & Services: OAuth consent screen with the
    scope https://mail.google.com/, Publish app; Credentials, Create OAuth
    client ID, Desktop app.

and in kurir.toml, below [upstream] with its host and username, without a password:

  [upstream.oauth2]
  flow = "refresh_token"
  client_id = "…"        # for Microsoft with tenant, for Google with client_secret
`

// How long a person may take to sign in with a browser.
const signInTime = 10 * time.Minute

// loginOptions are what kurir login was told.
type loginOptions struct {
	provider, account string
	print             bool
}

// prepareLogin is "kurir login".
func prepareLogin(flags *flag.FlagSet) action {
	var o loginOptions
	path := configFlag(flags)
	flags.StringVar(&o.provider, "provider", "", "whose sign-in it is, if the host does not tell: `microsoft|google`")
	flags.StringVar(&o.account, "account", "", "the `ADDRESS` of the mailbox, if several need a sign-in")
	flags.BoolVar(&o.print, "print", false, "print the refresh token instead of keeping it")
	return func(_ []string, std streams) int { return o.login(*path, std) }
}

// login signs a person in, so that Kurir can go on with that.
func (o *loginOptions) login(path string, std streams) int {
	if !slices.Contains([]string{"", string(token.Microsoft), string(token.Google)}, o.provider) {
		return std.misuse("login", "--provider %q is neither microsoft nor google", o.provider)
	}
	ctx, stop := interruptible()
	defer stop()
	c, err := loadConfig(ctx, path, false)
	if err != nil {
		complain(std.err, exitConfig, err)
		if faults, ok := errors.AsType[config.Faults](err); ok && slices.ContainsFunc(faults, func(f config.Fault) bool { return f.Key == "upstream.oauth2.client_id" }) {
			fmt.Fprint(std.err, registering)
		}
		return exitConfig
	}
	upstream, err := o.choose(c)
	if err != nil {
		fmt.Fprintf(std.err, "kurir login: %v\n", err)
		if errors.Is(err, errNoSignIn) {
			fmt.Fprint(std.err, registering)
		}
		return exitConfig
	}
	err = o.signIn(ctx, upstream, c.StateDir, std)
	var f *explain.Failure
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		fmt.Fprintln(std.err, "kurir login: interrupted; nothing was changed")
	case errors.As(err, &f):
		fmt.Fprint(std.err, f.DetailsIn(explain.Language(c.Log.Language)))
	default:
		fmt.Fprintf(std.err, "kurir login: %v\n", err)
	}
	return exitFailed
}

var errNoSignIn = errors.New(`no upstream of the configuration has [upstream.oauth2] with flow = "refresh_token", and only that needs a sign-in`)

// choose finds the upstream whose mailbox is meant.
func (o *loginOptions) choose(c *config.Config) (config.Upstream, error) {
	var found []config.Upstream
	var names []string
	for _, u := range c.Upstreams {
		if u.OAuth2.Flow == string(token.RefreshToken) && (o.account == "" || strings.EqualFold(o.account, u.Username)) {
			found, names = append(found, u), append(names, u.Username)
		}
	}
	switch {
	case len(found) == 0 && o.account != "":
		return config.Upstream{}, fmt.Errorf("no upstream with a sign-in has the user name %q", o.account)
	case len(found) == 0:
		return config.Upstream{}, errNoSignIn
	case len(found) > 1:
		return config.Upstream{}, fmt.Errorf("several mailboxes need a sign-in: give --account with one of %s", strings.Join(names, ", "))
	}
	return found[0], nil
}

// signIn lets a person sign in, and keeps what that gives. Questions and what
// to do go to stderr, so that stdout has the outcome alone.
func (o *loginOptions) signIn(ctx context.Context, u config.Upstream, stateDir string, std streams) error {
	options, err := relay.TokenOptions(u, stateDir)
	if err != nil {
		return err
	}
	if o.provider != "" {
		options.Issuer = token.Issuer(o.provider)
	}
	if !o.print {
		// Nobody has to sign in before it is clear that it can be kept.
		if err := canKeep(options.Dir); err != nil {
			return fmt.Errorf("%w; run it as a user who may write there, such as root, or with --print", err)
		}
	}
	in, err := token.NewSignIn(options)
	if err != nil {
		return err
	}
	var refresh string
	switch options.Issuer {
	case token.Microsoft:
		refresh, err = in.Device(ctx, func(d token.DeviceCode) {
			fmt.Fprintf(std.err, "Open %s on any device, type the code\n\n    %s\n\nand sign in as %s. Waiting until %s …\n",
				explain.Printable(d.URL), explain.Printable(d.Code), u.Username, d.Until.Local().Format("15:04"))
		})
	case token.Google:
		refresh, err = signInByBrowser(ctx, in, u.Username, std)
	default:
		return errors.New("whose sign-in it is does not follow from the host: give --provider microsoft or google")
	}
	if err != nil {
		return err
	}
	if o.print {
		fmt.Fprintln(std.out, refresh)
		fmt.Fprintln(std.err, "Put this into a file that only Kurir can read, and its path into upstream.oauth2.refresh_token_file.")
		return nil
	}
	path, err := token.Keep(options, refresh)
	if err != nil {
		return fmt.Errorf("the sign-in worked, but it could not be kept: %w", err)
	}
	fmt.Fprintf(std.out, "Signed in as %s; kept in %s.\nSee with kurir check whether mail goes out. A running Kurir goes on by itself.\n", u.Username, path)
	return nil
}

// canKeep tells whether files can be made in dir, which is made if it is not
// there.
func canKeep(dir string) error {
	if dir == "" {
		return errors.New("there is no state_dir to keep the sign-in in")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writable(dir)
}

// signInByBrowser waits for a browser on this machine, or for what is pasted.
func signInByBrowser(ctx context.Context, in *token.SignIn, account string, std streams) (string, error) {
	b, err := in.Browser()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(std.err, `Open this page and sign in as %s:

    %s

If the browser is on another machine, it ends at a page that cannot be shown,
http://127.0.0.1…: copy that address and paste it here.
`, account, b.URL)
	ctx, cancel := context.WithTimeout(ctx, signInTime)
	defer cancel()
	lines := make(chan string)
	go func() { // ends with the program: a read of a terminal cannot be interrupted
		defer close(lines)
		scanner := bufio.NewScanner(std.in)
		for scanner.Scan() {
			if text := strings.TrimSpace(scanner.Text()); text != "" {
				select {
				case lines <- text:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return b.Wait(ctx, lines, func(err error) { fmt.Fprintln(std.err, "kurir login:", err) })
}
