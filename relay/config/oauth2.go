package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
)

// OAuth2 says how to get the tokens that a provider wants instead of a
// password. What is "" follows from the provider where it is a known one.
type OAuth2 struct {
	// Flow is "client_credentials" (the application signs in by itself),
	// "refresh_token" (a person signs in once, with "kurir login"), or
	// "google_service_account". "" means no OAuth2.
	Flow string `toml:"flow"`

	// Tenant is the ID or domain of a Microsoft tenant, Cloud the one it is
	// in: "global", "us" or "china".
	Tenant string `toml:"tenant"`
	Cloud  string `toml:"cloud"`

	// ClientID is the application as the provider knows it.
	ClientID string `toml:"client_id"`

	// ClientSecret is from the file or from ClientSecretFile.
	ClientSecret     Secret `toml:"client_secret"`
	ClientSecretFile string `toml:"client_secret_file"`

	// ClientCert and ClientKey are PEM files that show who the application is,
	// instead of a secret.
	ClientCert string `toml:"client_cert"`
	ClientKey  string `toml:"client_key"`

	// Scope is what the token is for.
	Scope string `toml:"scope"`

	// TokenURL is the token endpoint.
	TokenURL string `toml:"token_url"`

	// KeyFile is the JSON key of a Google service account, and Subject the
	// mailbox it acts for, "" for the user name.
	KeyFile string `toml:"key_file"`
	Subject string `toml:"subject"`

	// RefreshTokenFile holds the refresh token to begin with, for where "kurir
	// login" cannot be run.
	RefreshTokenFile string `toml:"refresh_token_file"`
}

const oauth2Section = upstreamSection + ".oauth2"

// secretKeys are the ways to give the client secret, of which one is used.
var secretKeys = []string{"client_secret", "client_secret_file"}

// Used tells whether tokens are to be got at all.
func (o OAuth2) Used() bool { return o.Flow != "" }

// RefreshToken reads RefreshTokenFile; it is "" without one.
func (o OAuth2) RefreshToken() (Secret, error) {
	if o.RefreshTokenFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(o.RefreshTokenFile)
	if err != nil {
		return "", fmt.Errorf("read upstream.oauth2.refresh_token_file: %w", err)
	}
	return Secret(strings.TrimSpace(string(data))), nil
}

// TokenIssuer is who gives the tokens of this upstream: "microsoft", "google",
// or "" for another one, whose TokenURL is needed.
func (u *Upstream) TokenIssuer() string {
	has := func(text string, marks ...string) bool {
		return slices.ContainsFunc(marks, func(m string) bool { return strings.Contains(strings.ToLower(text), m) })
	}
	host := "." + strings.TrimSuffix(u.Host, ".") + "."
	switch {
	case u.OAuth2.Tenant != "" || u.OAuth2.Cloud != "":
		return "microsoft"
	case u.OAuth2.Flow == "google_service_account":
		return "google"
	case has(u.Provider, "365", "outlook", "hotmail", "exchange", "microsoft"),
		has(host, ".office365.com.", ".office365.us.", ".outlook.com.", ".outlook.cn.", ".mx.microsoft."):
		return "microsoft"
	case has(u.Provider, "gmail", "google", "workspace"), has(host, ".gmail.com.", ".googlemail.com."):
		return "google"
	}
	return ""
}

var (
	flows     = choices{"client_credentials", "refresh_token", "google_service_account"}
	flowNames = map[string]string{
		"app": "client_credentials", "application": "client_credentials", "app_only": "client_credentials", "client-credentials": "client_credentials",
		"device": "refresh_token", "device_code": "refresh_token", "authorization_code": "refresh_token", "code": "refresh_token", "delegated": "refresh_token",
		"service_account": "google_service_account", "jwt": "google_service_account", "google": "google_service_account",
	}
	clouds     = choices{"global", "us", "china"}
	cloudNames = map[string]string{"gcc": "global", "gcch": "us", "gcc_high": "us", "dod": "us", "usgov": "us", "cn": "china", "21vianet": "china", "public": "global"}

	// flowKeys are the keys that each flow uses; no other one may be given.
	flowKeys = map[string][]string{
		"client_credentials":     {"tenant", "cloud", "client_id", "client_secret", "client_secret_file", "client_cert", "client_key", "scope", "token_url"},
		"refresh_token":          {"tenant", "cloud", "client_id", "client_secret", "client_secret_file", "client_cert", "client_key", "scope", "token_url", "refresh_token_file"},
		"google_service_account": {"key_file", "subject", "scope", "token_url"},
	}
)

// checkOAuth2 judges [upstream.oauth2] by itself.
func (l *loader) checkOAuth2(i int) {
	u := &l.cfg.Upstreams[i]
	o := &u.OAuth2
	at := func(name string) key { return key{oauth2Section, i, name} }
	var given []string
	for _, name := range l.keys[oauth2Section][1:] {
		if l.isSet(at(name)) {
			given = append(given, name)
		}
	}
	if o.Flow == "" {
		if len(given) > 0 && !l.faultyAt(at("flow")) {
			l.fault(at("flow"), "is missing, for there is a "+given[0], "write flow = "+flows.String())
			l.hinted[at("flow")] = true // so that no password is missed
		}
		return
	}
	if l.checkChoice(at("flow"), &o.Flow, flows, flowNames); l.faultyAt(at("flow")) {
		return
	}
	for _, name := range given {
		if !slices.Contains(flowKeys[o.Flow], name) {
			l.fault(at(name), fmt.Sprintf("is of no use with flow = %q", o.Flow), "remove it")
		}
	}
	if o.Cloud != "" {
		l.checkChoice(at("cloud"), &o.Cloud, clouds, cloudNames)
	}
	missing := func(name string) {
		if !l.isSet(at(name)) && !l.faultyAt(at(name)) {
			l.fault(at(name), fmt.Sprintf("is missing, for flow = %q", o.Flow), l.write(at(name), example(at(name))))
		}
	}
	l.checkTokenURL(at("token_url"), o.TokenURL)
	l.checkSecret(i)
	l.checkPair(at("client_cert"), at("client_key"), o.ClientCert, o.ClientKey)
	secret := o.ClientSecret != "" || o.ClientSecretFile != "" || l.faultyAt(at("client_secret")) || l.faultyAt(at("client_secret_file"))
	cert := o.ClientCert != "" || o.ClientKey != ""
	if secret && cert {
		l.fault(at("client_cert"), "is given as well as a client secret", "keep one of them")
	}
	issuer := u.TokenIssuer()
	if o.Flow == "google_service_account" {
		missing("key_file")
		l.checkKeyFile(at("key_file"), o.KeyFile)
		return
	}
	missing("client_id")
	if o.RefreshTokenFile != "" {
		l.readable(at("refresh_token_file"), o.RefreshTokenFile, "put the refresh token in that file, or run kurir login and remove the line")
	}
	if o.Flow == "client_credentials" {
		if !secret && !cert {
			l.fault(at("client_secret"), "is missing, and there is no certificate instead", l.write(at("client_secret"), "…")+", or client_cert and client_key")
		}
		if issuer == "microsoft" && o.TokenURL == "" {
			missing("tenant")
		}
		if issuer == "google" && o.TokenURL == "" {
			l.fault(at("flow"), "is not one that Google has", l.write(at("flow"), "google_service_account")+" or \"refresh_token\"")
		}
	}
	if issuer == "" && !l.opts.Sandbox {
		missing("token_url")
	}
}

// isSet tells that a key was given and is not empty.
func (l *loader) isSet(k key) bool {
	return l.given(k) && !reflect.ValueOf(field(&l.cfg, k)).Elem().IsZero()
}

func (l *loader) checkTokenURL(k key, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || strings.ContainsFunc(text, isControl):
		l.fault(k, "is not a URL", l.write(k, example(k)))
	case u.Scheme != "https":
		l.fault(k, "does not begin with https://, and a secret is never sent unencrypted", l.write(k, example(k)))
	case u.User != nil:
		l.fault(k, "has a user name or password in it", "put them into client_id and client_secret")
	}
}

// checkSecret reads the client secret.
func (l *loader) checkSecret(i int) {
	o := &l.cfg.Upstreams[i].OAuth2
	inline, inFile := key{oauth2Section, i, "client_secret"}, key{oauth2Section, i, "client_secret_file"}
	switch {
	case o.ClientSecret != "" && o.ClientSecretFile != "":
		l.fault(inFile, "is given as well as client_secret", "keep one of them")
	case o.ClientSecret != "":
		l.checkPassword(inline, o.ClientSecret)
		if at := l.origins[inline]; at.file != "" {
			l.warnReadable(inline, at.file)
		}
	case o.ClientSecretFile != "":
		text, ok := l.readable(inFile, o.ClientSecretFile, "put the client secret in that file, readable by Kurir")
		if !ok {
			return
		}
		o.ClientSecret = Secret(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")))
		l.checkPassword(inFile, o.ClientSecret)
	}
}

// readable reads a file with a secret in it.
func (l *loader) readable(k key, path, instead string) (text string, ok bool) {
	text, problem := readSmall(path)
	if problem != "" {
		l.fault(k, path+": "+problem, instead)
		return "", false
	}
	l.warnReadable(k, path)
	return text, true
}

func (l *loader) checkKeyFile(k key, path string) {
	if path == "" {
		return
	}
	const instead = "give the JSON key that the Google Cloud console made for the service account"
	text, ok := l.readable(k, path, instead)
	if !ok {
		return
	}
	var kind struct{ Type string }
	if err := json.Unmarshal([]byte(text), &kind); err != nil {
		l.fault(k, path+": is not JSON", instead)
	} else if kind.Type != "service_account" {
		l.fault(k, path+`: its "type" is not "service_account"`, instead)
	}
}

// checkTokenLogin judges what else is said about the login where there are
// tokens; passwords are the keys of one that were given.
func (l *loader) checkTokenLogin(i int, passwords []string, hasUser bool) {
	u := &l.cfg.Upstreams[i]
	at := func(name string) key { return upstreamKey(i, name) }
	if len(passwords) > 0 {
		l.fault(at(passwords[0]), "is given as well as ["+oauth2Section+"]", "keep one of them")
	}
	if !hasUser {
		l.fault(at("username"), "is missing: a token is for a mailbox", l.write(at("username"), example(at("username"))))
	}
	if u.Auth != "" && !slices.Contains([]string{"XOAUTH2", "OAUTHBEARER"}, u.Auth) && !l.faultyAt(at("auth")) {
		l.fault(at("auth"), quote(u.Auth)+" takes no tokens", l.write(at("auth"), "XOAUTH2")+", or remove the line")
	}
}
