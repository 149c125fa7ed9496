package token

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kurir/upstream/explain"
)

// A Flow is how tokens are got.
type Flow string

// The flows.
const (
	// ClientCredentials signs in as the application itself (RFC 6749, section
	// 4.4), with a secret or with a certificate (RFC 7523, section 2.2).
	ClientCredentials Flow = "client_credentials"

	// RefreshToken goes on with what a person once agreed to (RFC 6749,
	// section 6).
	RefreshToken Flow = "refresh_token"

	// GoogleServiceAccount signs in as a mailbox of a Google Workspace domain
	// that delegates to a service account (RFC 7523, section 2.1).
	GoogleServiceAccount Flow = "google_service_account"
)

// An Issuer is who gives the tokens, where that is somebody whose addresses
// and scopes are known here.
type Issuer string

// The issuers.
const (
	Microsoft Issuer = "microsoft"
	Google    Issuer = "google"
)

// Options of a Source. What is empty is filled in where the issuer is known.
type Options struct {
	Flow   Flow
	Issuer Issuer

	// Account is the mailbox that signs in. It names the file.
	Account string

	Tenant string // of Microsoft; "" = "common", where that makes sense
	Cloud  string // of Microsoft: "global", "us", "china"; "" = "global"

	TokenURL string // the token endpoint, https

	ClientID, ClientSecret string

	// Certificate shows who the application is, instead of ClientSecret. Its
	// key is an RSA key. nil = none.
	Certificate *tls.Certificate

	// Scope is what the token is for, several separated by blanks.
	Scope string

	// RefreshToken is the one to begin with. One in Dir that came of it is
	// newer and goes before it; with another one here, those in Dir are void.
	RefreshToken string

	// KeyFile is the content of the JSON key of a service account, and Subject
	// the mailbox that it signs in as, "" = Account.
	KeyFile []byte
	Subject string

	// Dir is the directory for what must survive a restart. It is made when it
	// is needed. "" = nowhere, and every rotated refresh token is lost with
	// the process.
	Dir string

	Log Log // nil = none

	// Transport carries the requests; nil = one of our own, which verifies
	// certificates by the system's authorities and uses the proxy of the
	// environment.
	Transport http.RoundTripper
}

// A Log is told what happens to tokens. Its methods must not block for long.
type Log interface {
	// TokenRefreshed tells that account has a new token, good until then.
	TokenRefreshed(account string, until time.Time)

	// TokenFailed tells that no new token could be got, that it is tried again
	// not before next, and until when the old token is good: zero if there is
	// none.
	TokenFailed(account string, f *explain.Failure, next, good time.Time)

	// Warning tells of something that works now and will bite later.
	Warning(where, text string)
}

// clouds are the addresses of Microsoft's clouds.
var clouds = map[string]struct{ login, app, delegated string }{
	"":       {"login.microsoftonline.com", "https://outlook.office365.com/.default", "https://outlook.office.com/SMTP.Send offline_access"},
	"global": {"login.microsoftonline.com", "https://outlook.office365.com/.default", "https://outlook.office.com/SMTP.Send offline_access"},
	"us":     {"login.microsoftonline.us", "https://outlook.office365.us/.default", "https://outlook.office365.us/SMTP.Send offline_access"},
	"china":  {"login.partner.microsoftonline.cn", "https://partner.outlook.cn/.default", "https://partner.outlook.cn/SMTP.Send offline_access"},
}

const (
	googleTokenURL = "https://oauth2.googleapis.com/token"
	googleScope    = "https://mail.google.com/" // the only one that SMTP takes
)

// An OptionError says which option is missing or wrong, by the name that it
// has in the configuration.
type OptionError struct{ Key, Problem string }

func (e *OptionError) Error() string { return "upstream.oauth2." + e.Key + ": " + e.Problem }

// fill puts in what follows from the issuer, and says what is missing.
func (o *Options) fill() error {
	cloud, known := clouds[o.Cloud]
	if !known {
		return &OptionError{"cloud", fmt.Sprintf("%q is not known", o.Cloud)}
	}
	o.Subject = cmp.Or(o.Subject, o.Account)
	switch {
	case o.Issuer == Microsoft && o.TokenURL == "":
		if o.Tenant == "" && o.Flow == ClientCredentials {
			return &OptionError{"tenant", "is missing: an application signs in to one tenant"}
		}
		o.TokenURL = "https://" + cloud.login + "/" + url.PathEscape(cmp.Or(o.Tenant, "common")) + "/oauth2/v2.0/token"
	case (o.Issuer == Google || o.Flow == GoogleServiceAccount) && o.TokenURL == "":
		o.TokenURL = googleTokenURL
	}
	if o.Scope == "" {
		switch {
		case o.Issuer == Microsoft && o.Flow == ClientCredentials:
			o.Scope = cloud.app
		case o.Issuer == Microsoft:
			o.Scope = cloud.delegated
		case o.Issuer == Google || o.Flow == GoogleServiceAccount:
			o.Scope = googleScope
		}
	}
	u, err := url.Parse(o.TokenURL)
	switch {
	case o.TokenURL == "":
		return &OptionError{"token_url", "is missing: what it is for this provider is not known here"}
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		return &OptionError{"token_url", "is not a URL that begins with https:// and has a host"}
	case o.ClientID == "" && o.Flow != GoogleServiceAccount:
		return &OptionError{"client_id", "is missing"}
	case o.Flow == ClientCredentials && o.ClientSecret == "" && o.Certificate == nil:
		return &OptionError{"client_secret", "is missing, and there is no certificate instead"}
	}
	return nil
}

// scopes is Scope, taken apart.
func (o *Options) scopes() []string { return strings.Fields(o.Scope) }
