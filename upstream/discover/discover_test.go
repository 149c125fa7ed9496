package discover_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"kurir/upstream/discover"
)

// A zone plays DNS. A name that is in none of its maps does not exist, except
// in a broken zone, which answers nothing.
type zone struct {
	mx     map[string][]*net.MX
	srv    map[string][]*net.SRV // by "_service._proto.name"
	broken error
	asked  int
}

func (z *zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	z.asked++
	return z.mx[name], z.problem(name, z.mx[name] != nil)
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	full := "_" + service + "._" + proto + "." + name
	return full, z.srv[full], z.problem(full, z.srv[full] != nil)
}

func (z *zone) problem(name string, exists bool) error {
	if z.broken != nil {
		return z.broken
	}
	if !exists {
		return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return nil
}

func mx(hosts ...string) (list []*net.MX) {
	for i, host := range hosts {
		list = append(list, &net.MX{Host: host, Pref: uint16(100 - i)})
	}
	return list
}

func srv(target string, port uint16) []*net.SRV {
	return []*net.SRV{{Target: target, Port: port}}
}

// nowhere is a web in which nothing answers.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nothing answers")
}

// line is a Finding in one line, for tables.
func line(f discover.Finding) string {
	fields := []string{string(f.How), f.Host}
	if f.Candidate.Port != 0 {
		fields = append(fields, string(f.Candidate.TLS))
	}
	if f.Provider != nil {
		fields = append(fields, "("+f.Provider.Name+")")
	}
	if f.Username != "" {
		fields = append(fields, f.Username)
	}
	if f.Foreign {
		fields = append(fields, "foreign")
	}
	if f.Similar != "" {
		fields = append(fields, "similar="+f.Similar)
	}
	if f.MX != "" {
		fields = append(fields, "mx="+f.MX)
	}
	return strings.Join(fields, " ")
}

// What a person with one of these addresses is told. DNS is not believed
// further than it can be, and what is not a host name goes nowhere.
func TestFromAddress(t *testing.T) {
	long := strings.Repeat("a.", 200) + "example.net."
	dns := &zone{
		mx: map[string][]*net.MX{
			"workspace.example": mx("alt1.aspmx.l.google.com.", "aspmx.l.google.com."),
			"m365.example":      mx("m365-example.mail.protection.outlook.com."),
			"zoho.example":      mx("mx2.zoho.eu.", "mx.zoho.eu."),
			"mailgun.example":   mx("mxa.mailgun.org."),
			"null.example":      mx("."),
			"own.example":       mx("backup.host.example.", "Server12.host.example."),
			"evil.example":      mx("a\"b.example.net.", "x\n.example.net.", long, "192.0.2.1", "-a.example.", "mx.evil.example."),
			"gmial.com":         mx("mx.parked.example."),
		},
		srv: map[string][]*net.SRV{
			"_submissions._tcp.srv.example":      srv("mail.srv.example.", 465),
			"_submission._tcp.starttls.example":  srv("SMTP.starttls.example.", 587),
			"_submissions._tcp.unusual.example":  srv("out.unusual.example.", 2465),
			"_submissions._tcp.both.example":     srv("a.both.example.", 2465),
			"_submission._tcp.both.example":      srv("b.both.example.", 587),
			"_submissions._tcp.only587.example":  srv(".", 0),
			"_submission._tcp.only587.example":   srv("mail.only587.example.", 587),
			"_submissions._tcp.not.example":      srv(".", 0),
			"_submission._tcp.not.example":       srv(".", 0),
			"_submissions._tcp.foreign.example":  srv("mail.elsewhere.example.", 465),
			"_submissions._tcp.suffix.example":   srv("mail.notsuffix.example.", 465),
			"_submissions._tcp.fastmail.example": srv("smtp.fastmail.com.", 2465),
			"_submissions._tcp.evil.example":     srv("a\"\n[upstream]\nhost=\"b.example.", 465),
			"_submissions._tcp.gmai.com":         srv("smtp.gmai.com.", 465),
			"_submission._tcp.evil.example":      srv("ok.evil.example.", 0),
		},
	}
	tests := []struct{ address, want string }{
		{"me@workspace.example", "mx smtp.gmail.com (gmail) me@workspace.example"},
		{"me@m365.example", "mx smtp.office365.com (office365) me@m365.example"},
		{"me@ZOHO.example", "mx smtp.zoho.eu (zoho) me@ZOHO.example"},
		{"me@mailgun.example", "mx smtp.mailgun.org (mailgun)"},
		{"me@null.example", "guess mail.null.example me@null.example"},
		{"me@own.example", "guess mail.own.example me@own.example mx=server12.host.example"},
		{"me@nothing.example", "guess mail.nothing.example me@nothing.example"},
		{"me@gmial.com", "guess mail.gmial.com me@gmial.com similar=gmail.com mx=mx.parked.example"},
		{"me@gmai.com", "srv smtp.gmai.com me@gmai.com similar=gmail.com"},
		{"me@srv.example", "srv mail.srv.example me@srv.example"},
		{"me@starttls.example", "srv smtp.starttls.example me@starttls.example"},
		{"me@unusual.example", "srv out.unusual.example implicit me@unusual.example"},
		{"me@both.example", "srv b.both.example me@both.example"},
		{"me@only587.example", "srv mail.only587.example me@only587.example"},
		{"me@not.example", "guess mail.not.example me@not.example"},
		{"me@foreign.example", "srv mail.elsewhere.example me@foreign.example foreign"},
		{"me@suffix.example", "srv mail.notsuffix.example me@suffix.example foreign"},
		{"me@fastmail.example", "srv smtp.fastmail.com (fastmail) me@fastmail.example"},
		{"me@evil.example", "guess mail.evil.example me@evil.example mx=mx.evil.example"},
	}
	for _, tt := range tests {
		f, err := discover.FromAddress(t.Context(), tt.address, discover.Options{Resolver: dns, Transport: nowhere{}})
		if err != nil || line(f) != tt.want || f.Trouble != nil {
			t.Errorf("%s\n got %s\nwant %s\n(%v, %v)", tt.address, line(f), tt.want, err, f.Trouble)
		}
	}
}

// Whoever has an address at a known provider needs no network, and tells it
// to nobody.
func TestKnownDomains(t *testing.T) {
	tests := []struct{ address, want string }{
		{"me@gmail.com", "domain smtp.gmail.com (gmail) me@gmail.com"},
		{"Me@Hotmail.COM", "domain smtp-mail.outlook.com (outlook) Me@Hotmail.COM"},
		{"me@yahoo.fr", "domain smtp.mail.yahoo.com (yahoo) me@yahoo.fr"},
		{"me@gmx.de", "domain mail.gmx.net (gmx) me@gmx.de"},
		{"me@mail.ru", "domain smtp.mail.ru (mailru) me@mail.ru"},
	}
	for _, tt := range tests {
		dns := &zone{}
		f, err := discover.FromAddress(t.Context(), tt.address, discover.Options{Resolver: dns, Transport: nowhere{}})
		if err != nil || line(f) != tt.want || dns.asked > 0 {
			t.Errorf("%s: %s, want %s (%v, DNS asked %d times)", tt.address, line(f), tt.want, err, dns.asked)
		}
	}
}

// A resolver that is down costs the finding, not the configuration; the
// person is told.
func TestTrouble(t *testing.T) {
	down := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	f, err := discover.FromAddress(t.Context(), "me@own.example", discover.Options{Resolver: &zone{broken: down}, Transport: nowhere{}})
	if err != nil || f.How != discover.ByGuess || !errors.Is(f.Trouble, down) {
		t.Errorf("%+v, %v", f, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := discover.FromAddress(ended, "me@own.example", discover.Options{Resolver: &zone{}, Transport: nowhere{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("who is interrupted gets %v", err)
	}
}

// What is typed by hand is answered, not looked up.
func TestAddressErrors(t *testing.T) {
	for _, bad := range []string{
		"", "me", "@example.com", "me@", "me@example", "me@[192.0.2.1]", "me@192.0.2.1", "me@exa mple.com",
		"me you@example.com", "Me <me@example.com>", "me@example.com\n", "me\x00@example.com", "me@bücher.example",
		"me@-example.com", "me@example..com", "me@example.com.", "me@you@example.com", "me@exa_mple.com", strings.Repeat("a", 250) + "@example.com", "\xff@example.com",
	} {
		f, err := discover.FromAddress(t.Context(), bad, discover.Options{Resolver: &zone{}, Transport: nowhere{}})
		var address *discover.AddressError
		if !errors.As(err, &address) {
			t.Errorf("%q: %+v, %v", bad, f, err)
		}
	}
}

// A provider's name is enough, as far as its host and user names are the same
// for everybody; what only the customer knows stays open.
func TestFromProvider(t *testing.T) {
	tests := []struct{ name, address, want string }{
		{"gmail", "", "name smtp.gmail.com (gmail)"},
		{"Google", "me@own.example", "name smtp.gmail.com (gmail) me@own.example"},
		{"microsoft365", "", "name smtp.office365.com (office365)"},
		{"zoho", "me@zoho.eu", "name smtp.zoho.eu (zoho) me@zoho.eu"},
		{"sendgrid", "", "name smtp.sendgrid.net (sendgrid) apikey"},
		{"sendgrid", "me@own.example", "name smtp.sendgrid.net (sendgrid) apikey"},
		{"mailgun", "me@own.example", "name smtp.mailgun.org (mailgun)"},
		{"ses", "me@own.example", "name  (ses)"},
		{"cpanel", "", "name  (cpanel)"},
		{"cpanel", "me@own.example", "name mail.own.example (cpanel) me@own.example"},
	}
	for _, tt := range tests {
		f, err := discover.FromProvider(tt.name, tt.address)
		if err != nil || line(f) != tt.want {
			t.Errorf("%s %s: %q, want %q (%v)", tt.name, tt.address, line(f), tt.want, err)
		}
	}
	if _, err := discover.FromProvider("gmail", "me"); err == nil {
		t.Error("an address that is none was taken")
	}
}

// Who mistypes a name is helped, and who names nobody known is not misled.
func TestUnknownProvider(t *testing.T) {
	tests := []struct {
		name string
		want string // the first of the nearest
	}{
		{"gmial", "gmail"}, {"Gmaill", "gmail"}, {"sengrid", "sendgrid"}, {"sendgrid.net", "sendgrid"},
		{"mail-gun", "mailgun"}, {"fast", "fastmail"}, {"quite-another", ""}, {"", ""}, {strings.Repeat("gmail", 1000), ""},
	}
	for _, tt := range tests {
		_, err := discover.FromProvider(tt.name, "")
		var unknown *discover.UnknownProviderError
		if !errors.As(err, &unknown) {
			t.Fatalf("%q: %v", tt.name, err)
		}
		nearest := ""
		if len(unknown.Nearest) > 0 {
			nearest = unknown.Nearest[0]
		}
		if nearest != tt.want || len(unknown.Nearest) > 3 || slices.Contains(unknown.Nearest, "") {
			t.Errorf("%.20q: %q, want %q first", tt.name, unknown.Nearest, tt.want)
		}
	}
}
