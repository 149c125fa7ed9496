package explain

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A vocabulary is all texts of one language, each named by its cause or by
// cause/variant.
type vocabulary map[string]Explanation

var (
	english    = sync.OnceValue(func() vocabulary { return readTexts(englishData) })
	indonesian = sync.OnceValue(func() vocabulary { return readTexts(indonesianData) })
)

func readTexts(data string) vocabulary {
	var v vocabulary
	mustDecode(data, &v)
	return v
}

// small are the words of a language around and within its texts.
type small struct {
	where, at, reply, err, why, do                                                              string
	provider, recipient, thePort, otherName, notKnown, unknownDay, none, noneOfThem, kept, said string
}

func (l Language) words() (vocabulary, small) {
	if l == Indonesian {
		return indonesian(), small{
			"letak", "tahap", "balasan", "galat", "sebab", "solusi",
			"penyedia", "penerima", "port yang dipakai", "nama lain", "tidak diketahui di sini", "tanggal yang tidak diketahui", "tidak satu pun", "tidak satu pun dari itu", "Semua email disimpan sampai berhasil, paling lama %s.", "%s menjawab: %s",
		}
	}
	return english(), small{
		"where", "at", "reply", "error", "why", "do",
		"the provider", "the recipient", "the port that was tried", "another name", "not known here", "an unknown day", "none", "none of them", "All mail is kept until it works, for %s at most.", "%s said: %s",
	}
}

// Explanation is the failure in English words, with what was observed filled
// in.
func (f *Failure) Explanation() Explanation { return f.ExplanationIn(English) }

// ExplanationIn is the failure in words of l.
func (f *Failure) ExplanationIn(l Language) Explanation {
	texts, words := l.words()
	text := texts[string(f.Cause)]
	for _, v := range f.variants() {
		if better, ok := texts[string(f.Cause)+"/"+v]; ok {
			text = better
			break
		}
	}
	fill := strings.NewReplacer(f.placeholders(words)...)
	title := fill.Replace(text.Title)
	if strings.HasPrefix(title, words.provider) || strings.HasPrefix(title, words.recipient) {
		title = strings.ToUpper(title[:1]) + title[1:]
	}
	meaning := fill.Replace(text.Meaning)
	if s, kept := f.Scope(), f.Fact(FactKept); kept != "" && (s == ScopeRoute || s == ScopeSender) {
		meaning += " " + fmt.Sprintf(words.kept, kept)
	}
	return Explanation{
		Title: title, Meaning: meaning, Fix: fill.Replace(text.Fix),
		Actor: row(f.Cause).Actor,
	}
}

// Details is the failure as people read it in English, in several lines:
//
//	The smart host does not accept the user name or password.
//	  where:  smtp.example.com:587 STARTTLS (192.0.2.7), at auth
//	  reply:  535 5.7.8 Username and Password not accepted
//	  why:    The login was refused. All mail is kept until it works, for 5d at most.
//	  do:     Check upstream.username and the password.
//
// What is not known is left out. It ends with a line feed.
func (f *Failure) Details() string { return f.DetailsIn(English) }

// DetailsIn is Details in l.
func (f *Failure) DetailsIn(l Language) string {
	_, words := l.words()
	e := f.ExplanationIn(l)
	var b strings.Builder
	b.WriteString(e.Title + "\n")
	width := 1 + max(len(words.where), len(words.reply), len(words.err), len(words.why), len(words.do))
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, label+":", Printable(text))
		}
	}
	where := f.Candidate.String()
	if f.Candidate.Port == 0 {
		where = f.Candidate.Host
	}
	if f.Stage != "" {
		if where != "" {
			where += ", "
		}
		where += words.at + " " + string(f.Stage)
	}
	line(words.where, where)
	if f.Reply != nil {
		line(words.reply, f.Reply.Line())
	} else if f.Err != nil {
		line(words.err, f.Err.Error())
	}
	line(words.why, e.Meaning)
	line(words.do, e.Fix)
	return b.String()
}

// LinesIn is the failure in l as an app is told: what is wrong, what to do, and
// the server's words.
func (f *Failure) LinesIn(l Language) []string {
	_, words := l.words()
	e := f.ExplanationIn(l)
	lines := []string{e.Title, e.Fix}
	if f.Reply != nil {
		lines = append(lines, fmt.Sprintf(words.said, f.Candidate.Host, f.Reply.Line()))
	}
	return lines
}

// variants name the texts that fit better than the cause's own, the best
// first; not each cause has them all.
func (f *Failure) variants() []string {
	var names []string
	add := func(fits bool, name string) {
		if fits {
			names = append(names, name)
		}
	}
	add(f.Fact(FactHere) != "", f.Fact(FactHere))
	add(f.Fact(FactInjected) != "", "injected")
	add(f.Fact(FactOnce) != "", "once")
	switch f.Cause {
	case DNSFailure, DNSNotFound, ConnectRefused:
		add(f.asksItself(), "loopback")
	case ConnectTimeout:
		add(f.Stage == StageGreeting, "greeting")
	}
	said := f.variant()
	add(said != "", said)
	add(f.aboutToken(), "token")
	add(f.Provider != "", f.Provider)
	add(f.Fact(FactNearestHost) != "", "nearest")
	add(f.Fact(FactOtherPorts) != "" && !f.secured() && (f.everywhere() || len(f.Candidates) == 0), "ports") // a pinned port is alone
	add(f.everywhere() && !f.secured() && f.onePort(), "pinned")
	add(f.everywhere() && !f.secured() && !f.onePort(), "everywhere")
	switch f.Cause {
	case Unknown:
		agreed := f.class() == 2 || f.class() == 3
		add(agreed && f.Candidate.TLS == "", "agreed")
		add(agreed, "out_of_step")
		add(f.isPasted() && f.code() == 0, "words")
		add(f.Reply == nil && f.Candidate.Host == "" && !f.isPasted(), "local")
	case ConnectTimeout:
		add(f.secured(), "session")
	case TLSRequired:
		add(f.Candidate.TLS != "" && f.secured(), "secured")
	case AuthRequired:
		add(f.Fact(FactAuthMechanism) != "", "signed_in")
	case AuthLocked:
		add(!f.Permanent(), "for_now")
	case TLSCertificateExpired:
		_, side := f.clock()
		add(side != "", side)
	case AuthRejected:
		kind := f.Fact(FactPasswordKind)
		add(f.Fact(FactAppPassword) != "", "app_password")
		add(kind != "" && f.Fact(FactUserKind) != "", "kind")
	case LimitRate, LimitQuota:
		add(f.Fact(FactRate) != "" && !f.ofBusyRecipient(), "known")
	case SenderNotAllowed, SenderDomain:
		add(f.Fact(FactSenderRule) != "", "known")
	}
	return names
}

func (f *Failure) isPasted() bool {
	var line pasted
	return errors.As(f.Err, &line)
}

var loopbackPort = regexp.MustCompile(`(?:^|[ \[])(::1|127\.0\.0\.1)\]?:\d`)

// asksItself tells that this machine, or the container, was asked where
// another one was meant: a resolver without configuration asks itself, and a
// name may stand for it. The resolvers of systemd and Docker, which are
// loopback addresses too, have others.
func (f *Failure) asksItself() bool {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(f.Err, &dns):
		return isLoopback(dns.Server)
	case errors.As(f.Err, &op) && op.Addr != nil:
		return isLoopback(op.Addr.String())
	case f.isPasted():
		return loopbackPort.MatchString(f.Err.Error())
	}
	return false
}

func isLoopback(hostPort string) bool {
	a, err := netip.ParseAddrPort(hostPort)
	return err == nil && (a.Addr() == netip.IPv6Loopback() || a.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

var certificateTime = regexp.MustCompile(`current time (\S+) is (before|after) (\S+)`)

// clock is what this machine's clock said when it looked at a certificate, and
// on which side of its validity that is, in the words of crypto/x509.
func (f *Failure) clock() (now, side string) {
	if f.Err == nil {
		return "", ""
	}
	m := certificateTime.FindStringSubmatch(f.Err.Error())
	if m == nil {
		return "", ""
	}
	return m[1], m[2]
}

// placeholders are pairs of a name in braces and what it stands for here.
func (f *Failure) placeholders(words small) []string {
	or := func(value, otherwise string) string { return cmp.Or(Printable(value), otherwise) }
	list := func(value, otherwise string) string {
		return or(strings.Join(strings.Fields(value), ", "), otherwise)
	}
	port := words.thePort
	if f.Candidate.Port != 0 {
		port = "port " + strconv.Itoa(f.Candidate.Port)
	}
	now, _ := f.clock()
	return []string{
		"{host}", or(f.Candidate.Host, words.provider),
		"port {port}", port,
		"{recipient}", or(string(f.Recipient), words.recipient),
		"{names}", list(f.Fact(FactCertNames), words.otherName),
		"{issuer}", or(f.Fact(FactCertIssuer), words.notKnown),
		"{from}", or(day(f.Fact(FactCertNotBefore)), words.unknownDay),
		"{until}", or(day(f.Fact(FactCertNotAfter)), words.unknownDay),
		"{clock}", or(day(now), words.unknownDay),
		"{offered}", list(f.Fact(FactAuthOffered), words.none),
		"{wanted}", list(f.Fact(FactAuthWanted), words.noneOfThem),
		"{nearest}", f.Fact(FactNearestHost),
		"{ports}", list(f.Fact(FactOtherPorts), words.none),
		"{user}", f.Fact(FactUserKind),
		"{password}", f.Fact(FactPasswordKind),
		"{rate}", f.Fact(FactRate),
		"{sender}", f.Fact(FactSenderRule),
		"{limit}", f.Fact(FactLimit),
		"{parameter}", Printable(f.Fact(FactParameter)),
		"{fault}", Printable(f.Fact(FactFault)),
		"{client}", f.Fact(FactClient),
		"{allow}", f.Fact(FactAllow),
	}
}

// day is the date of an RFC 3339 time.
func day(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return ""
	}
	return t.Format(time.DateOnly)
}
