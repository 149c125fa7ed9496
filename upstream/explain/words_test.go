package explain

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever reads Indonesian is told the same, of the same: the languages have
// the same rows with the same things filled in. Replies to apps are ASCII.
func TestLanguagesAgree(t *testing.T) {
	holes := regexp.MustCompile(`\{[a-z]+\}`)
	filled := func(e Explanation) []string {
		list := holes.FindAllString(e.Title+e.Meaning+e.Fix, -1)
		slices.Sort(list)
		return slices.Compact(list)
	}
	en, id := english(), indonesian()
	causes := Causes()
	for name, e := range en {
		cause, _, _ := strings.Cut(name, "/")
		if !slices.Contains(causes, Cause(cause)) {
			t.Errorf("%s is about no cause", name)
		}
		other, ok := id[name]
		if !ok {
			t.Errorf("%s is missing in Indonesian", name)
			continue
		}
		if a, b := filled(e), filled(other); !slices.Equal(a, b) {
			t.Errorf("%s: English fills in %q, Indonesian %q", name, a, b)
		}
		for _, text := range []string{e.Title, e.Meaning, e.Fix, other.Title, other.Meaning, other.Fix} {
			if strings.Count(text, "{port}") != strings.Count(text, "port {port}") {
				t.Errorf("%s: {port} stands without its word", name)
			}
		}
		for _, pair := range [][2]string{{e.Title, other.Title}, {e.Meaning, other.Meaning}, {e.Fix, other.Fix}} {
			for _, text := range pair {
				if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("%s: empty or not ASCII: %q", name, text)
				}
			}
			if pair[0] == pair[1] {
				t.Errorf("%s: not translated: %q", name, pair[0])
			}
		}
	}
	for name := range id {
		if _, ok := en[name]; !ok {
			t.Errorf("%s is missing in English", name)
		}
	}
}

// The whole context counts: what is known chooses the words.
func TestVariants(t *testing.T) {
	loopback := &net.DNSError{Server: "[::1]:53", Err: "connection refused"}
	docker := &net.DNSError{Server: "127.0.0.11:53", Err: "server misbehaving"}
	dial := &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv6loopback, Port: 25}, Err: errors.New("refused")}
	clock := func(side string) error {
		return fmt.Errorf("x: %w", x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 2026-03-14T19:05:07Z is " + side + " 2026-03-08T21:19:04Z"})
	}
	silent := &Failure{Cause: ConnectTimeout}
	cases := []struct {
		f    Failure
		want string // within the words
	}{
		{Failure{Cause: DNSNotFound, Facts: []Fact{{FactNearestHost, "smtp.gmail.com"}}}, "Did you mean smtp.gmail.com?"},
		{Failure{Cause: DNSFailure, Err: loopback}, "no DNS server is configured"},
		{Failure{Cause: DNSFailure, Err: docker}, "did not answer, or answered with an error"},
		{Failure{Cause: ConnectRefused, Err: dial}, "In a container, localhost is the container"},
		{*FromText("dial tcp [::1]:25: connect: connection refused", "", ""), "In a container, localhost is the container"},
		{Failure{Cause: ConnectTimeout, Candidates: []*Failure{silent, silent}}, "DigitalOcean"},
		{Failure{Cause: ConnectTimeout, Candidates: []*Failure{silent, silent}, Facts: []Fact{{FactOtherPorts, "465 2525"}}}, "also listens on 465, 2525"},
		{Failure{Cause: ConnectTimeout, Facts: []Fact{{FactOtherPorts, "2525"}}}, "also listens on 2525"},
		{Failure{Cause: TLSCertificateExpired, Err: clock("before")}, "not valid yet"},
		{Failure{Cause: TLSCertificateExpired, Err: clock("after")}, "The clock says 2026-03-14"},
		{Failure{Cause: AuthRejected, Provider: "sendgrid"}, "the word apikey"},
		{Failure{Cause: AuthRejected, Provider: "ses"}, "region"},
		{Failure{Cause: AuthRejected, Provider: "office365"}, "December 2026"},
		{Failure{Cause: AuthRejected, Provider: "gmail", Facts: []Fact{{FactPasswordKind, "an app password (needs 2-Step Verification)"}, {FactAppPassword, "yes"}}}, "Make an app password"},
		{Failure{Cause: AuthRejected, Provider: "x", Facts: []Fact{{FactUserKind, "the server id"}, {FactPasswordKind, "the SMTP password"}}}, "user name: the server id."},
		{Failure{Cause: AuthRejected}, "Many providers want an app password"},
		{Failure{Cause: AuthRejected, Provider: "zoho", Facts: []Fact{{FactPasswordKind, "an app password"}, {FactAppPassword, "yes"}}}, "the host of another region"},
		{Failure{Cause: AuthRequired, Facts: []Fact{{FactAuthMechanism, "PLAIN"}}}, "may the account send"},
		{Failure{Cause: TLSRequired, Stage: StageAuth, Candidate: Candidate{Host: "h", Port: 587, TLS: STARTTLS}}, "ends TLS in front of the server"},
		{*FromText("530 5.7.0 Must issue a STARTTLS command first", StageAuth, ""), "Remove upstream.port and upstream.tls"},
		{Failure{Cause: ConnectTimeout, Stage: StageMail}, "in the middle of the conversation"},
		{*FromText("554 5.4.6 Too many hops 27 (25 max)", StageDot, ""), "round in circles"},
		{*FromText("554 Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: a@example.com", StageDot, ""), "production access"},
		{*FromText("550 Domain example.com has exceeded the max emails per hour (9/5) allowed. Message discarded.", StageDot, ""), "passes within"},
		{*FromText("454 4.7.0 Too many login attempts, please try again later", StageAuth, ""), "sign in less often"},
		{*FromText("451 Requested mail action not taken: too much fail authentication", StageAuth, ""), "lifts this by itself"},
		{*FromText("550 bad", StageDot, ""), "most often a spam filter"},
		{*FromText("550 5.7.1 Message rejected as spam", StageDot, ""), "takes the message for spam"},
		{*FromText("554 nope", StageGreeting, ""), "most often about the address of this machine"},
		{*FromText("550 nope", StageRcpt, ""), "no such mailbox"},
		{*FromText("551 nope", StageRcpt, ""), "not one of the server's own"},
		{*FromText("501 nope", StageRcpt, ""), "the way the address is written"},
		{*FromText("501 nope", StageMail, ""), "Other mail is not concerned"},
		{*FromText("550 nope", StageMail, ""), "may not send with this address"},
		{*FromText("552 nope", StageDot, ""), "probably for its size"},
		{*FromText("500 nope", StageDot, ""), "answered with an error"},
		{*FromText("Could not connect to SMTP host.", "", ""), "does not say why"},
		{*FromText("the quick brown fox", "", ""), "no failure in this line"},
		{*FromText("250 OK", "", ""), "no refusal"},
		{Failure{Cause: Unknown, Stage: StageData, Reply: NewReply(250, []string{"OK"}), Candidate: Candidate{Host: "h", Port: 465, TLS: Implicit}}, "out of step"},
		{Failure{Cause: ConnectRefused}, "on the port that was tried"},
		{Failure{Cause: ConnectTimeout, Stage: StageGreeting}, "said nothing"},
		{*FromText("450 4.1.8 <www-data@web1.local>: Sender address rejected: Domain not found", StageRcpt, ""), "Other mail is not concerned"},
		{Failure{Cause: ConnectRefused, Candidate: Candidate{Host: "h", Port: 465}}, "on port 465"},
	}
	for _, c := range cases {
		e := c.f.Explanation()
		if words := e.Title + " " + e.Meaning + " " + e.Fix; !strings.Contains(words, c.want) || strings.ContainsAny(words, "{}") {
			t.Errorf("%s: %q, want %q in it", c.f.Cause, words, c.want)
		}
	}
}

// What a person reads has one form everywhere.
func TestDetails(t *testing.T) {
	f := FromText("535-5.7.8 no\n535 5.7.8 not\x1b[1m accepted", StageAuth, "")
	f.Candidate = Candidate{Host: "smtp.example.com", Port: 587, TLS: STARTTLS, Addr: "192.0.2.7"}
	f.Facts = []Fact{{FactKept, "5d"}}
	want := `smtp.example.com does not accept the user name or password.
  where:  smtp.example.com:587 STARTTLS (192.0.2.7), at auth
  reply:  535 5.7.8 no not [1m accepted
  why:    The login was refused. All mail is kept until it works, for 5d at most.
  do:     Check upstream.username and the password. Many providers want an app password or an API key instead of the password of the website.
`
	if got := f.Details(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if id := f.DetailsIn(Indonesian); !strings.Contains(id, "\n  balasan:  535 5.7.8 no") {
		t.Errorf("in Indonesian:\n%s", id)
	}
}

// Where the stage is not told, the text often tells it.
func TestStageIsInferred(t *testing.T) {
	for text, want := range map[string]Stage{
		"535 5.7.8 no":                              StageAuth,
		"dial tcp: lookup x: no such host":          StageDNS,
		"550 5.1.1 no such user":                    StageRcpt,
		"dial tcp 192.0.2.1:587: i/o timeout":       StageConnect,
		"450 4.7.1 x (in reply to RCPT TO command)": StageRcpt,
		"421 busy": "",
	} {
		if f := FromText(text, "", ""); f.Stage != want {
			t.Errorf("%q: stage %q, want %q", text, f.Stage, want)
		}
	}
}
