package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"kurir/upstream/discover"
	"kurir/upstream/provider"
)

// initOptions are what kurir init was told.
type initOptions struct {
	provider, email, output string
	force                   bool
}

// prepareInit is "kurir init".
func prepareInit(flags *flag.FlagSet) action {
	var o initOptions
	flags.StringVar(&o.provider, "provider", "", "take a known provider by its `NAME`; \"list\" shows them")
	flags.StringVar(&o.email, "email", "", "find the server of the `ADDRESS` that sends")
	flags.StringVar(&o.output, "output", "kurir.toml", "write this `FILE` instead of kurir.toml")
	flags.BoolVar(&o.force, "force", false, "replace the file if it is there already")
	return o.init
}

// init writes a configuration for a provider or an email address.
func (o *initOptions) init(_ []string, std streams) int {
	switch {
	case o.provider == "list":
		listProviders(std.out)
		return exitOK
	case o.output == "" || !utf8.ValidString(o.output):
		return std.misuse("init", "--output is not the name of a file")
	}

	err := o.run(&prompter{in: std.in, out: std.err}, std.out)
	var (
		address *discover.AddressError
		unknown *discover.UnknownProviderError
	)
	code := exitUsage
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &unknown):
		err = fmt.Errorf("%w\nkurir init --provider list shows all names; for any other provider give --email ADDRESS", err)
	case !errors.Is(err, errNothingGiven) && !errors.As(err, &address):
		code = exitFailed
	}
	return complain(std.err, code, fmt.Errorf("kurir init: %w", err))
}

var errNothingGiven = errors.New("give an email address or a provider: kurir init --email ADDRESS, or kurir init --provider NAME")

// run finds the server, asks for what cannot be found, and writes the files.
// Nobody has to type a password before it is clear that a file may be written.
func (o *initOptions) run(ask *prompter, stdout io.Writer) error {
	if o.provider == "" && o.email == "" {
		var err error
		if o.email, err = ask.line("Email address: "); err != nil {
			return err
		}
		if o.email == "" {
			return errNothingGiven
		}
	}
	f, err := o.find()
	if err != nil {
		return err
	}
	files := newConfigFiles(o, f)
	if err := files.ready(); err != nil {
		return err
	}
	// Where the questions are: who types a password has to see for whom.
	fmt.Fprintln(ask.out, headline(f))
	for _, note := range notes(f) {
		fmt.Fprintln(ask.out, note)
	}
	if f.Host == "" {
		if f.Host, err = ask.host(); err != nil {
			return err
		}
	}
	wantedName, wantedPassword := wanted(f.Provider)
	if f.Username == "" {
		if f.Username, err = ask.line("User name (" + wantedName + "): "); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(ask.out, "User name:", f.Username)
	}
	password := ""
	if files.password != "" {
		fmt.Fprintln(ask.out, "Password:", wantedPassword+".")
		otherwise := "give it later"
		if exists(files.password) {
			otherwise = "keep the one that " + files.password + " has"
		}
		if password, err = ask.password(otherwise); err != nil {
			return err
		}
	}
	if err := files.write(configText(f, filepath.Base(files.password)), password); err != nil {
		return err
	}
	files.report(stdout, f, password != "")
	return nil
}

// find looks where it was told to look, until it is interrupted.
func (o *initOptions) find() (discover.Finding, error) {
	ctx, stop := interruptible()
	defer stop()
	if o.provider != "" {
		return discover.FromProvider(o.provider, o.email)
	}
	return discover.FromAddress(ctx, o.email, discover.Options{})
}

// listProviders prints the names that --provider takes.
func listProviders(stdout io.Writer) {
	for _, p := range provider.All() {
		fmt.Fprintf(stdout, "%-17s %s", p.Name, p.Title)
		if len(p.Aliases) > 0 {
			fmt.Fprintf(stdout, " (also: %s)", strings.Join(p.Aliases, ", "))
		}
		fmt.Fprintln(stdout)
	}
}

// headline says in one line what was found, and how.
func headline(f discover.Finding) string {
	found := f.Host + ", " + ways(f)
	switch f.How {
	case discover.ByName:
		switch {
		case f.Host == "" && len(f.Provider.Hosts) > 0:
			found = ownHost(f.Provider) + " with your region in it, " + ways(f)
		case f.Host == "":
			found = "a host with a name of your own, " + ways(f)
		}
		return f.Provider.Title + ": " + found
	case discover.ByDomain:
		return f.Domain + " is " + f.Provider.Title + ": " + found
	case discover.ByMX:
		return fmt.Sprintf("%s has its mail at %s (MX %s): %s", f.Domain, f.Provider.Title, f.Source, found)
	case discover.BySRV:
		return fmt.Sprintf("%s names its server in DNS (%s): %s", f.Domain, f.Source, found)
	case discover.ByAutoconfig:
		return fmt.Sprintf("%s names its server (%s): %s", f.Domain, f.Source, found)
	}
	return fmt.Sprintf("%s names no server, so this is a guess, a usual name: %s", f.Domain, found)
}

// ownHost shows the form of a provider's hosts that differ by customer.
func ownHost(p *provider.Provider) string { return strings.ReplaceAll(p.Hosts[0], "*", "REGION") }

// ways are the ways in that Kurir will try, in their order.
func ways(f discover.Finding) string {
	candidates := []provider.Candidate{{Port: 587, TLS: "starttls"}, {Port: 465, TLS: "implicit"}}
	switch {
	case f.Candidate.Port != 0:
		candidates = []provider.Candidate{f.Candidate}
	case f.Provider != nil:
		candidates = f.Provider.Candidates
	}
	var list []string
	for _, c := range candidates {
		mode := "STARTTLS"
		if c.TLS == "implicit" {
			mode = "implicit TLS"
		}
		list = append(list, fmt.Sprintf("%d %s", c.Port, mode))
	}
	const most = 3
	if len(list) > most {
		list = append(list[:most], "others")
	}
	return strings.Join(list, ", then ")
}

// notes are what a person should know or do about a finding.
func notes(f discover.Finding) (list []string) {
	if f.Similar != "" {
		list = append(list, "Did you mean "+f.Similar+"?")
	}
	if f.Trouble != nil && f.How == discover.ByGuess {
		list = append(list, fmt.Sprintf("DNS did not answer (%v), so this may be the wrong server: give --provider NAME, or correct the host in the file.", f.Trouble))
	}
	if f.How == discover.ByGuess && f.MX != "" && f.MX != f.Host {
		list = append(list, "If that host does not work, try "+f.MX+", which receives the domain's mail.")
	}
	if f.Foreign {
		list = append(list, f.Host+" is outside of "+f.Domain+", and what led there can be forged: use it only if you know it as your provider.")
	}
	if tokensOnly(f.Provider) {
		list = append(list, f.Provider.Title+" takes no passwords: an application has to be registered, as docs/microsoft365.md tells.")
	}
	return list
}

// tokensOnly tells whether a provider, nil if it is not known, takes nothing but
// OAuth2 tokens.
func tokensOnly(p *provider.Provider) bool {
	return p != nil && len(p.Auth) > 0 && !slices.ContainsFunc(p.Auth, func(mechanism string) bool {
		return mechanism != "XOAUTH2" && mechanism != "OAUTHBEARER"
	})
}

// wanted says in words which user name and password a provider wants; nil if it
// is not known.
func wanted(p *provider.Provider) (username, password string) {
	if p == nil {
		return "the full address", "that of the mailbox; an app password if the provider has such"
	}
	return p.Username, p.Password
}
