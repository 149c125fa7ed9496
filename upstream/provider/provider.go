// Package provider is what is known of mail providers that take mail by SMTP
// submission: their hosts, the ways in, their limits, and what they call a
// user name and a password.
//
// It is knowledge, not policy: what a server announces itself goes before
// what stands here. All of it lives in providers.toml, which is the place to
// correct; a zero value there means that it is not known. Read Provider
// first, then the file.
package provider

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"

	"kurir/upstream/explain"
)

// A Provider is one service and the accounts that work the same way there.
// It belongs to the package: read it, do not change it.
type Provider struct {
	Name    string   `toml:"name"`    // lower case, stable: "gmail"; names it in configuration and failures
	Title   string   `toml:"title"`   // as people call it: "Gmail"
	Aliases []string `toml:"aliases"` // further names that ByName takes

	// Hosts are its submission hosts; a * in one stands for one label. It is
	// empty for hosting whose servers carry the customer's own name.
	Hosts []string `toml:"hosts"`

	// Candidates are its ways in, in the order to try them. All of them are
	// encrypted; port 25 is among them only where there is no other.
	Candidates []Candidate `toml:"candidates"`

	// Domains are those of its users' addresses, and MX the hosts to which
	// domains of other people point that have their mail there.
	Domains []Pattern `toml:"domains"`
	MX      []Pattern `toml:"mx"`

	Auth     []string `toml:"auth"`     // mechanisms seen after TLS; its EHLO reply decides
	Login    string   `toml:"login"`    // the user name that is everybody's; "@" is each one's address, "" not known
	Username string   `toml:"username"` // what it wants for a user name, in words
	Password string   `toml:"password"` // and for a password

	// AppPassword: it is, or may be, one that was made for a single program.
	AppPassword bool `toml:"app_password"`

	// PasswordEnds is when it switches the login by password off unless an
	// administrator objects; zero if it has not said that it will.
	PasswordEnds time.Time `toml:"password_ends"`

	Rate   string `toml:"rate"`   // how much it lets an account send, in words
	Sender string `toml:"sender"` // which sender addresses it takes, in words

	Size                  int64         `toml:"size"`                    // octets a message may have
	Recipients            int           `toml:"recipients"`              // of one transaction
	Connections           int           `toml:"connections"`             // at the same time; a ceiling, not a goal
	MessagesPerConnection int           `toml:"messages_per_connection"` // before it wants a new one
	Idle                  time.Duration `toml:"idle"`                    // a kept connection is safe to rest this long
}

// A Candidate is a port and how it is encrypted.
type Candidate struct {
	Port int
	TLS  explain.TLSMode
}

// UnmarshalText reads the form of providers.toml: "587 starttls".
func (c *Candidate) UnmarshalText(text []byte) error {
	port, mode, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("candidate %q: %w", text, err)
	}
	*c = Candidate{Port: int(n), TLS: explain.TLSMode(mode)}
	if c.TLS != explain.STARTTLS && c.TLS != explain.Implicit {
		return fmt.Errorf("candidate %q: neither starttls nor implicit", text)
	}
	return nil
}

//go:embed providers.toml
var source string

// table decodes the file once. That it decodes is a matter of the build, and
// tested, so a fault in it is a panic.
var table = sync.OnceValue(func() []*Provider {
	var file struct{ Provider []*Provider }
	meta, err := toml.Decode(source, &file)
	if err != nil {
		panic("provider: " + err.Error())
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		panic(fmt.Sprintf("provider: unknown keys %v", extra))
	}
	return file.Provider
})

// All returns every provider, in the order of the file. The slice is the
// caller's, the providers are not.
func All() []*Provider {
	return append([]*Provider(nil), table()...)
}

// ByHost returns the provider that owns a submission host, nil if it is not
// a known one. Case and a trailing dot do not matter.
func ByHost(host string) *Provider {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, p := range table() {
		for _, pattern := range p.Hosts {
			if matches(pattern, host) {
				return p
			}
		}
	}
	return nil
}

// ByName returns the provider with that name or alias, nil if there is none.
// Case does not matter.
func ByName(name string) *Provider {
	for _, p := range table() {
		if strings.EqualFold(p.Name, name) {
			return p
		}
		for _, alias := range p.Aliases {
			if strings.EqualFold(alias, name) {
				return p
			}
		}
	}
	return nil
}

// matches compares label by label: a * must not swallow a dot, or a host of
// somebody else's zone could pass for a provider's.
func matches(pattern, host string) bool {
	want, have := strings.Split(pattern, "."), strings.Split(host, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if want[i] != have[i] && (want[i] != "*" || have[i] == "") {
			return false
		}
	}
	return true
}

// Facts are what is known of the provider in words, for the explanation of
// what it refuses.
func (p *Provider) Facts() []explain.Fact {
	var facts []explain.Fact
	app := ""
	if p.AppPassword {
		app = "yes"
	}
	for _, f := range []explain.Fact{
		{Name: explain.FactAppPassword, Value: app},
		{Name: explain.FactUserKind, Value: p.Username},
		{Name: explain.FactPasswordKind, Value: p.Password},
		{Name: explain.FactRate, Value: p.Rate},
		{Name: explain.FactSenderRule, Value: p.Sender},
	} {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	return facts
}
