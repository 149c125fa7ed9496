package page

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// NewToken makes the token of one run of the relay.
func NewToken() string { return rand.Text() }

// keys are what a browser shows to be trusted. Each is derived, so that the
// cookie of a browser is not the token, and what stands in a form is no cookie.
type keys struct{ token, cookie, form string }

func newKeys(token string) keys {
	derive := func(purpose string) string {
		h := hmac.New(sha256.New, []byte(token))
		h.Write([]byte(purpose))
		return hex.EncodeToString(h.Sum(nil))
	}
	return keys{token, derive("cookie"), derive("form")}
}

// same compares in constant time; nothing is the same as no key.
func same(given, key string) bool {
	return key != "" && subtle.ConstantTimeCompare([]byte(given), []byte(key)) == 1
}

// port is the one that a request came to.
func port(r *http.Request) string {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return port
}

// ofLoopback tells whether a Host field names loopback and our port: a page of
// a foreign name that resolves to loopback has its own name there.
func ofLoopback(host, port string) bool {
	name, given, err := net.SplitHostPort(host)
	if err != nil { // without a port
		name, given = strings.Trim(host, "[]"), "80"
	}
	ip, err := netip.ParseAddr(name)
	return given == port && (strings.EqualFold(name, "localhost") || err == nil && ip.Unmap().IsLoopback())
}

// policy is what a browser may do with our pages.
var policy = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Cache-Control":                "no-store",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cross-Origin-Embedder-Policy": "require-corp",
}

// guarded is h for requests that are meant for us.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range policy {
			w.Header().Set(name, value)
		}
		if !ofLoopback(r.Host, port(r)) {
			http.Error(w, "Ask for 127.0.0.1 or localhost with the port of control.http.", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// cookie is the name of ours: browsers do not keep those of ports apart.
func cookie(r *http.Request) string { return "kurir-" + port(r) }

// isTrusted tells whether a request shows that it knows the token.
func (s *Server) isTrusted(r *http.Request) bool {
	c, err := r.Cookie(cookie(r))
	return err == nil && same(c.Value, s.keys.cookie)
}

// enter gives who knows the token a cookie, and takes the token out of the
// address bar.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, token string) {
	if !same(token, s.keys.token) {
		s.tell(w, r, http.StatusForbidden, "token.wrong")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookie(r), Value: s.keys.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// trusted is h for those who know the token.
func (s *Server) trusted(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.isTrusted(r) {
			s.tell(w, r, http.StatusForbidden, "token.missing")
			return
		}
		h(w, r)
	}
}

// acting is h for what they asked for themselves, on one of our own pages.
func (s *Server) acting(h http.HandlerFunc) http.HandlerFunc {
	var foreign http.CrossOriginProtection
	return s.trusted(func(w http.ResponseWriter, r *http.Request) {
		if foreign.Check(r) != nil || !same(r.PostFormValue("form"), s.keys.form) {
			s.tell(w, r, http.StatusForbidden, "act.foreign")
			return
		}
		h(w, r)
	})
}
