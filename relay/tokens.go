package relay

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"kurir/relay/config"
	"kurir/upstream/token"
)

// TokenOptions are what the tokens of an upstream with OAuth2 are got with.
// They are kept in a directory below stateDir, nowhere if that is "". Errors
// are those of reading files.
func TokenOptions(u config.Upstream, stateDir string) (token.Options, error) {
	c := u.OAuth2
	o := token.Options{
		Flow: token.Flow(c.Flow), Issuer: token.Issuer(u.TokenIssuer()), Account: u.Username,
		Tenant: c.Tenant, Cloud: c.Cloud, TokenURL: c.TokenURL,
		ClientID: c.ClientID, ClientSecret: c.ClientSecret.Reveal(),
		Scope: c.Scope, Subject: c.Subject,
	}
	if stateDir != "" {
		o.Dir = filepath.Join(stateDir, "tokens")
	}
	pairs, err := certificates("upstream.oauth2.client_cert", c.ClientCert, c.ClientKey)
	if err != nil {
		return o, err
	}
	if len(pairs) > 0 {
		o.Certificate = &pairs[0]
	}
	if c.KeyFile != "" {
		if o.KeyFile, err = os.ReadFile(c.KeyFile); err != nil {
			return o, fmt.Errorf("read upstream.oauth2.key_file: %w", err)
		}
	}
	refresh, err := c.RefreshToken()
	o.RefreshToken = refresh.Reveal()
	return o, err
}

// tokenSource gives the tokens of an upstream; nil if it signs in with a
// password.
func tokenSource(u config.Upstream, stateDir string, log token.Log) (*token.Source, error) {
	switch {
	case u.OAuth2.Used():
		o, err := TokenOptions(u, stateDir)
		if err != nil {
			return nil, err
		}
		o.Log = log
		return token.New(o)
	case u.Auth == "XOAUTH2" || u.Auth == "OAUTHBEARER":
		return token.NewCommand(u.Username, log, func(ctx context.Context) (string, error) {
			t, err := u.FetchPassword(ctx)
			return t.Reveal(), err
		}), nil
	}
	return nil, nil
}
