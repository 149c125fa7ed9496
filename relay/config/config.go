// Package config reads Kurir's settings: one TOML file, with environment
// variables over it.
//
// It promises that a setting is never ignored. Load decodes strictly, over
// what Default returns, and a key it does not know, a value of the wrong kind
// and a value that cannot work are all errors. It returns every fault at once,
// each with its place and with what to write instead, because the reader is an
// administrator who would rather edit the file once than ten times. No fault,
// warning or printed Config shows a password.
//
// Read Config and Default first, then Load, which goes from the sources to
// the checks: decode.go and environ.go fill the Config, places.go makes its
// paths whole, validate.go and address.go judge it, files.go reads the files it
// names. The rest is about mistakes: fault.go is what is said of one, advice.go
// how a key is to be written, unknown.go what a key may have meant; lines.go
// exists only to say in which line a key stands, and syntax.go only to say in
// plain words what the TOML parser could not read.
//
// Other packages get small options of their own, never a Config.
package config

import "time"

// A Config is what Load returns: every setting, valid and with its default
// filled in.
type Config struct {
	// Hostname is the name in our greeting and in EHLO. "" means the machine's
	// name if it has a dot, else an address literal (RFC 5321, section 4.1.3).
	Hostname string `toml:"hostname"`

	// StateDir is the directory for what must survive a restart. Load chooses
	// it when it is not set: $STATE_DIRECTORY, else /var/lib/kurir for root or
	// when it is writable, else $XDG_STATE_HOME/kurir or ~/.local/state/kurir.
	// For the sandbox it stays "" unless it is set, so that a trial run never
	// touches real mail.
	StateDir string `toml:"state_dir"`

	Listen    Listen     `toml:"listen"`
	Upstreams []Upstream `toml:"upstream"` // in the order of the file; at least one
	Delivery  Delivery   `toml:"delivery"`
	Rewrite   Rewrite    `toml:"rewrite"`
	Notify    Notify     `toml:"notify"`
	Spool     Spool      `toml:"spool"`
	Log       Log        `toml:"log"`
	Control   Control    `toml:"control"`

	// File is the file that was read, "" if there was none.
	File string `toml:"-"`

	// runtimeDir is $RUNTIME_DIRECTORY.
	runtimeDir string `toml:"-"`

	// Warnings are for the log: what works but is probably not meant.
	Warnings []Warning `toml:"-"`
}

// Listen says where apps hand in their mail, and which of them may.
type Listen struct {
	// SMTP lists the addresses, "IP:port", "[IPv6]:port", ":port" for all
	// interfaces. Port 0 lets the system choose. "tls://" in front, or port
	// 465, means implicit TLS; "unix:" and a path is a unix socket that every
	// user of the machine may use.
	SMTP []string `toml:"smtp"`

	// Allow lists who may connect: networks in CIDR form, single IP addresses,
	// and the words "loopback", "private" (RFC 1918, RFC 4193 and link-local)
	// and "subnet" (the networks this machine is in).
	Allow []string `toml:"allow"`

	// Auth is "off", or "any": AUTH is offered, and every login is right.
	Auth string `toml:"auth"`

	// TLSCert and TLSKey are PEM files. With them STARTTLS is offered.
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`

	// LegacyLineEnds are entries of SMTP where LF alone ends a line, and LF "."
	// LF a message: who can write into the content of such mail can forge mail.
	LegacyLineEnds []string `toml:"legacy_line_ends"`

	// MaxMessageSize limits a message. 0 means what the provider announces,
	// and 50 MB until that is known.
	MaxMessageSize Size `toml:"max_message_size"`

	// MaxRecipients limits the forward-paths of one transaction.
	MaxRecipients int `toml:"max_recipients"`

	// MaxConnections limits the sessions open at the same time.
	MaxConnections int `toml:"max_connections"`

	// IdleTimeout closes a session that says nothing for so long.
	IdleTimeout Duration `toml:"idle_timeout"`
}

// An Upstream is one smart host: the provider that delivers the mail.
type Upstream struct {
	// Provider names a known provider, whose host, ports and limits then need
	// not be given. "" means none.
	Provider string `toml:"provider"`

	// Host is the name or IP address of the provider's SMTP server. It is ""
	// only if Provider is set.
	Host string `toml:"host"`

	// Port pins the port. 0 means to find the one that works.
	Port int `toml:"port"`

	// TLS is "auto", "starttls" or "implicit". There is no mode without TLS.
	TLS string `toml:"tls"`

	// Username is who signs in. "" means that the provider wants no login.
	Username string `toml:"username"`

	// Password is from the file, from PasswordFile or from the systemd
	// credential "password". It is "" if PasswordCommand is set, until
	// Config.Resolve has run that, and with OAuth2.
	Password Secret `toml:"password"`

	// PasswordFile is the file that Password was read from, less its last
	// line end.
	PasswordFile string `toml:"password_file"`

	// PasswordCommand prints the password; /bin/sh -c runs it.
	PasswordCommand string `toml:"password_command"`

	// Auth pins one mechanism, such as "PLAIN", "SCRAM-SHA-256" or "XOAUTH2",
	// for which Password is a token unless OAuth2 gets one. "" means the best
	// of what the server offers.
	Auth string `toml:"auth"`

	// OAuth2 gets tokens to sign in with instead of a password.
	OAuth2 OAuth2 `toml:"oauth2"`

	// FallbackAfter is the time a candidate has to get ready before the next
	// one is started beside it.
	FallbackAfter Duration `toml:"fallback_after"`

	// Connections limits the connections open at the same time. 0 means the
	// provider's limit if it is known, else 4.
	Connections int `toml:"connections"`

	// MessagesPerConnection limits the transactions on one connection. 0 means
	// the provider's limit if it is known, else 100.
	MessagesPerConnection int `toml:"messages_per_connection"`

	// Rate limits the messages that are sent in a time; as many may go at
	// once. The zero value is no limit but what the provider's refusals teach.
	Rate Rate `toml:"rate"`

	// CAFile is a PEM file of authorities to trust instead of the system's.
	CAFile string `toml:"ca_file"`

	// ClientCert and ClientKey are PEM files with which we show who we are.
	ClientCert string `toml:"client_cert"`
	ClientKey  string `toml:"client_key"`

	// Senders lists whose mail goes this way: addresses, "@domain" or
	// "domain". Empty means everyone's.
	Senders []string `toml:"senders"`
}

// Delivery says when a message is tried, and for how long.
type Delivery struct {
	// Mode is "through", "queue" or "direct".
	Mode string `toml:"mode"`

	// Wait is how long an app waits for the provider's answer.
	Wait Duration `toml:"wait"`

	// RetryMin and RetryMax are the first and the longest time between two
	// attempts.
	RetryMin Duration `toml:"retry_min"`
	RetryMax Duration `toml:"retry_max"`

	// GiveUpAfter is the age at which a message is returned undelivered.
	GiveUpAfter Duration `toml:"give_up_after"`

	// KeepFailed is how long a message that was given up stays to be looked
	// at and tried again. 0 means not at all.
	KeepFailed Duration `toml:"keep_failed"`
}

// Spool says where messages wait.
type Spool struct {
	// Dir is the directory of the spool. Load makes it StateDir/spool when it
	// is not set; it stays "" where StateDir does.
	Dir string `toml:"dir"`

	// MaxSize limits what the spool holds. 0 means until the disk is down to
	// its reserve.
	MaxSize Size `toml:"max_size"`

	// Drop is the directory where kurir sendmail leaves mail while no relay
	// runs. "" means the one that Config.DropDir gives.
	Drop string `toml:"drop"`
}

// Log says what is written to stderr.
type Log struct {
	// Level is "debug", "info", "warn" or "error".
	Level string `toml:"level"`

	// Format is "auto", "json" or "console". Auto is console on a terminal.
	Format string `toml:"format"`

	// Language is that of explanations, in the log and in replies to apps:
	// "en" or "id".
	Language string `toml:"language"`

	// Subject has the log and history tell the subject of each message.
	Subject bool `toml:"subject"`
}

const (
	day = 24 * time.Hour

	systemStateDir = "/var/lib/kurir"
	systemConfig   = "/etc/kurir/kurir.toml"
)

// Default returns the settings of an empty file. Its one upstream lacks the
// host that a real one must have, and its paths are those of a system service.
func Default() Config {
	return Config{
		StateDir: systemStateDir,
		Listen: Listen{
			SMTP:           []string{"127.0.0.1:25", "[::1]:25"},
			Allow:          []string{"loopback"},
			Auth:           "off",
			LegacyLineEnds: []string{},
			MaxRecipients:  1000,
			MaxConnections: 1000,
			IdleTimeout:    Duration(5 * time.Minute), // RFC 5321, section 4.5.3.2.7
		},
		Upstreams: []Upstream{defaultUpstream()},
		Delivery: Delivery{
			Mode:        "through",
			Wait:        Duration(4 * time.Second),
			RetryMin:    Duration(time.Minute),
			RetryMax:    Duration(time.Hour),
			GiveUpAfter: Duration(5 * day), // RFC 5321, section 4.5.4.1
			KeepFailed:  Duration(14 * day),
		},
		Rewrite: defaultRewrite(),
		Notify:  defaultNotify(),
		Spool:   Spool{Dir: systemStateDir + "/spool"},
		Log:     Log{Level: "info", Format: "auto", Language: "en"},
		Control: Control{HTTP: "127.0.0.1:8025"},
	}
}

func defaultUpstream() Upstream {
	return Upstream{
		TLS:           "auto",
		FallbackAfter: Duration(2 * time.Second),
		Senders:       []string{},
	}
}
