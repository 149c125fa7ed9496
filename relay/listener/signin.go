package listener

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"kurir/upstream/explain"
)

// mechanisms are those that EHLO names when every login is taken.
const mechanisms = "PLAIN LOGIN CRAM-MD5"

// signIn serves AUTH (RFC 4954) for apps that cannot do without: any login is
// right, and nothing of it is kept.
func (c *conn) signIn(arg string) {
	if !c.server.set().AnyLogin {
		c.reply(502, explain.EnhancedCode{5, 5, 1}, "No login is needed here: switch SMTP authentication off in the app")
		return
	}
	mechanism, initial, hasInitial := strings.Cut(arg, " ")
	var prompts []string
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		prompts = []string{""}
	case "LOGIN":
		prompts = []string{"Username:", "Password:"}
	case "CRAM-MD5": // the answer proves a secret that we do not know
		prompts, hasInitial = []string{"<" + rand.Text() + "@" + c.server.opts.Hostname + ">"}, false
	default:
		c.reply(504, explain.EnhancedCode{5, 5, 4}, "Say one of AUTH "+mechanisms)
		return
	}
	switch {
	case c.signedIn:
		c.reply(503, explain.EnhancedCode{5, 5, 1}, "You have signed in")
		return
	case c.open.Load():
		c.reply(503, explain.EnhancedCode{5, 5, 1}, "Not inside a message")
		return
	case initial == "*":
		c.cancelSignIn()
		return
	case hasInitial && strings.TrimSpace(initial) != "":
		prompts = prompts[1:]
	}
	for _, p := range prompts {
		c.out = append(c.out, "334 "+base64.StdEncoding.EncodeToString([]byte(p))+"\r\n"...)
		line, err := c.line()
		if err != nil {
			c.failed(err)
			return
		}
		if strings.TrimSpace(string(line)) == "*" {
			c.cancelSignIn()
			return
		}
	}
	c.signedIn = true
	c.reply(235, explain.EnhancedCode{2, 7, 0}, "Welcome; every login is taken here")
}

func (c *conn) cancelSignIn() {
	c.reply(501, explain.EnhancedCode{5, 7, 0}, "Login cancelled")
}
