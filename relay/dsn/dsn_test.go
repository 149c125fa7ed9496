package dsn_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"kurir/relay/dsn"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

var update = flag.Bool("update", false, "write what testdata should hold")

const content = "Message-ID: <1@app.example.org>\r\nFrom: shop@example.org\r\nTo: anna@example.com\r\nSubject: Your order\r\n\r\nThank you.\r\n"

func reads(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func refused(to envelope.Path, code int, lines ...string) dsn.Recipient {
	return dsn.Recipient{
		Recipient: envelope.Recipient{To: to},
		Failure: explain.Explain(explain.Failure{
			Stage: explain.StageRcpt, Recipient: to, Reply: explain.NewReply(code, lines),
			Candidate: explain.Candidate{Host: "smtp.example.com", Port: 587, TLS: explain.STARTTLS},
		}),
	}
}

func report(k dsn.Kind, to ...dsn.Recipient) *dsn.Report {
	arrived := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	return &dsn.Report{
		Kind: k, To: "shop@example.org", Sender: "shop@example.org", Host: "relay.example.org",
		OurID: "6h0b0hk25jjmm", MessageID: "<1@app.example.org>",
		Arrived: arrived, Now: arrived.Add(90 * time.Minute), Recipients: to,
		Original: reads(content), Size: int64(len(content)),
	}
}

// cases are the notifications of the golden files, each named after its file.
func cases() map[string]*dsn.Report {
	unknown := refused("anna@example.com", 550, "5.1.1 No such user here")

	several := report(dsn.Failed,
		unknown,
		refused("budi@example.com", 552, "5.2.2 The mailbox is over quota", "5.2.2 See https://example.com/full"),
		refused("citra@example.com", 550, "5.1.1 No such user here"),
	)
	several.LeftOut = 3

	late := refused("anna@example.com", 451, "4.7.1 Greylisted, come back later")
	delayed := report(dsn.Delayed, late)
	delayed.RetryUntil = delayed.Arrived.Add(72 * time.Hour)

	on := dsn.Recipient{
		Recipient: envelope.Recipient{To: "anna@example.com", Original: "rfc822;anna+2Bnews@example.com"},
		Receipt: &explain.Receipt{
			Candidate: explain.Candidate{Host: "smtp.example.com", Port: 587},
			Reply:     *explain.NewReply(250, []string{"2.0.0 Ok: queued as 4F2"}),
		},
	}
	relayed := report(dsn.Relayed, on)
	relayed.EnvelopeID = "order+2B4711"

	bahasa := report(dsn.Failed, unknown)
	bahasa.Language = explain.Indonesian

	full := report(dsn.Failed, unknown)
	full.Return = "FULL"
	headers := report(dsn.Failed, unknown)
	headers.Return = "HDRS"

	watched := report(dsn.Failed, unknown)
	watched.To, watched.From = "postmaster@example.org", "relay@example.org"

	international := report(dsn.Failed, refused("用户@例え.jp", 550, "5.1.1 Kein Postfach für 用户"))
	international.Original = reads("Subject: Grüße\r\n\r\nHallo\r\n")
	international.Return, international.EightBit = "FULL", true

	evil := "x\r\nBcc: all@example.net\n\r\n--b\x00\x1b[2J\u202egpj\u0085\xff"
	hostile := refused("a@b\r\nBcc: all@example.net", 550, evil, strings.Repeat("w", 3000))
	hostile.To, hostile.Original = envelope.Path("a@b\r\nBcc: all@example.net"), "rfc822;a+0D+0ABcc:+20all@example.net"
	bad := report(dsn.Failed, hostile)
	bad.To, bad.Sender, bad.From = "a@b\r\nBcc: all@example.net", "c@d\r\nBcc: all@example.net", "x@y>\r\nBcc: z"
	bad.Host, bad.OurID, bad.MessageID, bad.EnvelopeID = "h\r\nBcc: z", evil, "<a\r\nBcc: z>", "x+0D+0ABcc:+20z"
	bad.Original = reads("Subject: a\rBcc: z\nX: " + strings.Repeat("y", 2500) + "\x00\xff\r\n\r\nbody\r\n")

	return map[string]*dsn.Report{
		"failed": report(dsn.Failed, unknown), "several": several, "delayed": delayed, "relayed": relayed,
		"indonesian": bahasa, "full": full, "headers": headers, "watched": watched,
		"utf8": international, "hostile": bad,
	}
}

var messageID = regexp.MustCompile(`Message-ID: <[A-Z2-7]{26}@`)

// TestGolden holds each kind of notification as it goes out; a change of words
// is seen, and read, there.
func TestGolden(t *testing.T) {
	all := cases()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			raw := write(t, all[name])
			m := parse(t, raw)
			got := strings.ReplaceAll(string(raw), m.boundary, "BOUNDARY")
			got = messageID.ReplaceAllString(got, "Message-ID: <RANDOM@")
			got = strings.ReplaceAll(got, "\r\n", "\n")
			file := filepath.Join("testdata", name+".eml")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs:\n%s", file, got)
			}
		})
	}
}

func write(t *testing.T, r *dsn.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := dsn.Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A message is a notification as another program reads it.
type message struct {
	header   mail.Header
	boundary string
	types    []string
	bodies   []string
}

// parse reads raw back and checks what holds of each notification.
func parse(t *testing.T, raw []byte) message {
	t.Helper()
	for line := range bytes.Lines(raw) {
		text, whole := bytes.CutSuffix(line, []byte("\r\n"))
		if !whole || bytes.ContainsAny(text, "\r\n\x00") {
			t.Fatalf("a bare CR or LF, or NUL: %q", line)
		}
		if len(text) > 998 {
			t.Fatalf("a line of %d octets", len(text))
		}
	}
	if !utf8.Valid(raw) {
		t.Fatal("not UTF-8")
	}
	got, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatal(kind, params, err)
	}
	if (len(bytes.Trim(raw, ascii)) > 0) && got.Header.Get("Content-Transfer-Encoding") != "8bit" {
		t.Fatal("octets above 127 that its header does not announce")
	}
	known := []string{"From", "To", "Subject", "Date", "Message-Id", "In-Reply-To", "References", "Auto-Submitted", "Mime-Version", "Content-Type", "Content-Transfer-Encoding"}
	for name, values := range got.Header {
		if !slices.Contains(known, name) || len(values) != 1 {
			t.Fatalf("field %s: %q", name, values)
		}
	}
	m := message{header: got.Header, boundary: params["boundary"]}
	parts := multipart.NewReader(got.Body, m.boundary)
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Header) > 2 {
			t.Fatalf("header of a part: %q", p.Header)
		}
		m.types = append(m.types, p.Header.Get("Content-Type"))
		m.bodies = append(m.bodies, string(body))
	}
	if len(m.types) != 3 {
		t.Fatalf("%d parts: %q", len(m.types), m.types)
	}
	return m
}

// ascii is all octets below 128.
var ascii = func() string {
	b := make([]byte, 128)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}()
