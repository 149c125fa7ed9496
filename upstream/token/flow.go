package token

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// New makes a source of its options, asking nothing of the network. Its error
// is an *OptionError.
func New(o Options) (*Source, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	f := &flow{o: o}
	switch {
	case o.Flow == GoogleServiceAccount:
		account, err := readServiceAccount(o.KeyFile)
		if err != nil {
			return nil, &OptionError{"key_file", err.Error()}
		}
		f.service = account
		f.o.ClientID = account.Email
	case o.Certificate != nil:
		if _, ok := o.Certificate.PrivateKey.(*rsa.PrivateKey); !ok {
			return nil, &OptionError{"client_key", "is not an RSA key, which is the only kind that signs here"}
		}
	}
	f.endpoint = newEndpoint(f.o)
	f.file = newFile(f.o)
	f.config = &clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, TokenURL: f.o.TokenURL,
		AuthStyle: authStyle(o.Issuer),
	}
	s := newSource(f.o.Account, o.Log)
	s.renew, s.failure = f.renew, f.endpoint.failure
	return s, nil
}

// authStyle is how the endpoint wants to see who the client is: the known ones
// in the parameters, others as they turn out to like it (RFC 6749, section
// 2.3.1).
func authStyle(i Issuer) oauth2.AuthStyle {
	if i == "" {
		return oauth2.AuthStyleAutoDetect
	}
	return oauth2.AuthStyleInParams
}

// A flow gets tokens from an endpoint. It does one thing at a time.
type flow struct {
	o        Options
	service  *serviceAccount // nil if it is another flow
	endpoint *endpoint
	file     *file
	config   *clientcredentials.Config
	refresh  string // the newest refresh token; "" until the file was read
	seen     string // the one that the file had when we last read or wrote it
}

// renew gets a token: one that another process, or we before a restart, left
// in the file and that is fresher than old, else one from the endpoint.
func (f *flow) renew(ctx context.Context, old access) (access, error) {
	kept := f.file.read()
	if a := kept.access(); a.token != old.token && a.fresh(time.Now()) {
		return a, nil
	}
	params, err := f.grant(kept)
	if err != nil {
		return access{}, err
	}
	f.config.EndpointParams = params
	t, err := f.config.Token(f.endpoint.context(ctx))
	if err != nil {
		return access{}, f.endpoint.clean(err, f.secrets(params))
	}
	now := time.Now()
	got := access{token: t.AccessToken, got: now, end: t.Expiry}
	if t.Expiry.IsZero() {
		got.end = now.Add(unknownLife)
	}
	if f.o.Flow == RefreshToken {
		f.refresh = t.RefreshToken // the old one if it was not rotated
	}
	if err := f.file.write(got, f.refresh); err == nil {
		f.seen = f.refresh
	} else if f.o.Log != nil {
		f.o.Log.Warning(f.o.Dir, "the OAuth2 token of "+f.o.Account+" could not be kept, and a sign-in may be needed after a restart: "+err.Error())
	}
	return got, nil
}

// grant is what the endpoint is asked for.
func (f *flow) grant(kept record) (url.Values, error) {
	params := url.Values{}
	switch f.o.Flow {
	case RefreshToken:
		switch {
		case kept.Refresh != "" && kept.Refresh != f.seen:
			f.refresh, f.seen = kept.Refresh, kept.Refresh // of another process, or before a restart
		case f.refresh == "":
			f.refresh = f.o.RefreshToken
		}
		if f.refresh == "" {
			return nil, &Error{Code: notSignedIn}
		}
		params.Set("grant_type", "refresh_token")
		params.Set("refresh_token", f.refresh)
		if f.o.Issuer != Google { // which gives what was agreed to, and wants it named no more
			setScope(params, f.o.Scope)
		}
	case GoogleServiceAccount:
		signed, err := f.service.assertion(f.o.TokenURL, f.o.Scope, f.o.Subject)
		if err != nil {
			return nil, err
		}
		params.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
		params.Set("assertion", signed)
		return params, nil
	default:
		setScope(params, f.o.Scope)
	}
	if f.o.Certificate != nil {
		signed, err := clientAssertion(f.o.Certificate, f.o.ClientID, f.o.TokenURL)
		if err != nil {
			return nil, err
		}
		params.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		params.Set("client_assertion", signed)
	}
	return params, nil
}

func setScope(params url.Values, scope string) {
	if scope != "" {
		params.Set("scope", scope)
	}
}

// secrets are what must not be shown of a request.
func (f *flow) secrets(params url.Values) []string {
	return []string{f.o.ClientSecret, params.Get("refresh_token"), params.Get("assertion"), params.Get("client_assertion")}
}

// A serviceAccount is what counts of Google's key files.
type serviceAccount struct {
	Type  string `json:"type"`
	Email string `json:"client_email"`
	KeyID string `json:"private_key_id"`
	PEM   string `json:"private_key"`

	key *rsa.PrivateKey
}

func readServiceAccount(data []byte) (*serviceAccount, error) {
	var a serviceAccount
	switch err := json.Unmarshal(data, &a); {
	case err != nil:
		return nil, errNoServiceAccount
	case a.Type != "service_account" || a.Email == "" || strings.TrimSpace(a.PEM) == "":
		return nil, errNoServiceAccount
	}
	var err error
	a.key, err = rsaKey(a.PEM)
	return &a, err
}
