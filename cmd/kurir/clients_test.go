//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A mailer is a program that hands in mail, as its users have it. It is run
// in a directory with the files of composition, and told host, port and
// recipient; what it needs is a program or a file. $KURIR_PEER_ROOT has
// packages unpacked that cannot be installed beside the others.
type mailer struct {
	name  string
	needs []string
	argv  []string
}

// mailers are mail libraries, each with a short program around it, and
// programs that send by themselves. All is set as their manuals have it,
// nothing for Kurir's sake.
func mailers() []mailer {
	const php, packages = "/usr/share/php/", "/usr/lib/python3/dist-packages/"
	java := []string{"java", "-Dfile.encoding=UTF-8", "-cp", "/usr/share/java/bsh.jar:/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar", "bsh.Interpreter", "javamail.bsh"}
	return []mailer{
		{"PHPMailer", []string{php + "libphp-phpmailer"}, []string{"php", "phpmailer.php"}},
		{"WordPress", []string{"$KURIR_PEER_ROOT/usr/share/wordpress"}, []string{"php", "wordpress.php"}},
		{"Symfony Mailer", []string{php + "Symfony/Component/Mailer"}, []string{"php", "symfony.php"}},
		{"SwiftMailer", []string{php + "Swift"}, []string{"php", "swift.php"}},
		{"smtplib", nil, []string{"/usr/bin/python3", "python_smtplib.py"}},
		{"aiosmtplib", []string{packages + "aiosmtplib"}, []string{"/usr/bin/python3", "python_aiosmtplib.py"}},
		{"Django", []string{packages + "django"}, []string{"/usr/bin/python3", "django_mail.py"}},
		{"nodemailer", []string{"$NODE_PATH/nodemailer"}, []string{"node", "nodemailer.js"}},
		{"emailjs", []string{"$NODE_PATH/emailjs"}, []string{"node", "emailjs.mjs"}},
		{"Ruby mail", []string{"/usr/share/rubygems-integration/*/specifications/mail-*.gemspec"}, []string{"ruby", "ruby_mail.rb"}},
		{"Ruby Net::SMTP", nil, []string{"ruby", "ruby_net_smtp.rb"}},
		{"Perl Net::SMTP", nil, []string{"perl", "perl_net_smtp.pl"}},
		{"MIME::Lite", []string{"/usr/share/perl5/MIME/Lite.pm"}, []string{"perl", "mime_lite.pl"}},
		{"JavaMail", []string{"/usr/share/java/javax.mail.jar", "/usr/share/java/bsh.jar"}, java},
		{"Go net/smtp", nil, []string{"go", "run", "net_smtp.go"}},
		{"curl", []string{"curl"}, []string{"sh", "curl.sh"}},
		{"curl -F", []string{"curl"}, []string{"sh", "curl_form.sh"}},
		{"swaks", []string{"swaks"}, []string{"sh", "swaks.sh"}},
		{"msmtp", []string{"msmtp"}, []string{"sh", "msmtp.sh"}},
		{"s-nail", []string{"s-nail"}, []string{"sh", "s-nail.sh"}},
		{"mutt", []string{"mutt"}, []string{"sh", "mutt.sh"}},
		{"git send-email", []string{"/usr/lib/git-core/git-send-email"}, []string{"sh", "git.sh"}},
		{"ssmtp", []string{"$KURIR_PEER_ROOT/usr/sbin/ssmtp"}, []string{"sh", "ssmtp.sh"}},
		{"nullmailer", []string{"$KURIR_PEER_ROOT/usr/lib/nullmailer/smtp"}, []string{"sh", "nullmailer.sh"}},
		{"Exim", []string{"$KURIR_PEER_ROOT/usr/sbin/exim4"}, []string{"sh", "exim.sh"}},
	}
}

// Apps are as they are: what the mail libraries and programs of many years
// hand in, in whatever way they have it, arrives once and says what it said
// (promises P1 and P2), with all that is awkward in mail: umlauts in each
// place, dots at the start of lines and alone, a long line, all octets.
func TestMailers(t *testing.T) {
	ctx := within(t, time.Minute)
	relay := newRelay(t, newScene(), "kurir", "serve", "--sandbox")
	relay.environ = append(relay.environ, "KURIR_LISTEN_SMTP=127.0.0.1:0", "KURIR_STATE_DIR="+t.TempDir())
	if err := relay.start(ctx); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(relay.started().SMTP[0])
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	// arrives looks at what comes of a message that is sent to the recipient.
	arrives := func(t *testing.T, to string) {
		relay.change(func() { sent = append(sent, to) })
		err := relay.until(ctx, "the message to be sent", func() bool {
			return slices.ContainsFunc(relay.events, func(e event) bool {
				return e.Event == "delivery.sent" && slices.Contains(e.To, to)
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		messages := delivered(t, relay.started().Maildir, to)
		if len(messages) != 1 {
			t.Fatalf("%d messages arrived", len(messages))
		}
		judge(t, messages[0])
	}
	t.Run("send", func(t *testing.T) {
		t.Run("Postfix", func(t *testing.T) {
			t.Parallel()
			const to = "postfix@example.net"
			sendThroughPostfix(ctx, t, host, port, to)
			arrives(t, to)
		})
		for i, m := range mailers() {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				m.look(t)
				to := fmt.Sprintf("mailer%d@example.net", i)
				m.send(ctx, t, host, port, to)
				arrives(t, to)
			})
		}
	})
	if err := relay.stop(); err != nil { // what has been sent twice is there now
		t.Error(err)
	}
	for _, to := range sent {
		if n := len(delivered(t, relay.started().Maildir, to)); n != 1 {
			t.Errorf("%s: %d messages arrived", to, n)
		}
	}
}

// look skips the test when something is missing, or fails it where all must
// be there.
func (m mailer) look(t *testing.T) {
	t.Helper()
	needPeers(t, m.argv[0])
	for _, what := range m.needs {
		path := os.ExpandEnv(what)
		if !strings.Contains(path, "/") {
			needPeers(t, path)
		} else if found, err := filepath.Glob(path); err != nil || len(found) == 0 {
			missingPeer(t, what+" is not installed")
		}
	}
}

// send has it send the composition, and wait for the answer.
func (m mailer) send(ctx context.Context, t *testing.T, host, port, to string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range composition(to) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	argv := slices.Clone(m.argv)
	script, err := filepath.Abs(filepath.Join("testdata", "clients", argv[len(argv)-1]))
	if err != nil {
		t.Fatal(err)
	}
	argv[len(argv)-1] = script
	argv = append(argv, host, port, to)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

// sendThroughPostfix is a machine whose Postfix has a smart host: a program
// hands it the composition by way of sendmail. Left alone, it would break long
// lines by itself.
func sendThroughPostfix(ctx context.Context, t *testing.T, host, port, to string) {
	t.Helper()
	p := newPostfix(t, newScene(), nil)
	for name, more := range map[string]string{
		"main.cf":   "virtual_mailbox_domains =\nsmtp_line_length_limit = 0\nrelayhost = [" + host + "]:" + port + "\n",
		"master.cf": "pickup unix n - n - 1 pickup\nsmtp unix - - n - - smtp\n",
	} {
		f, err := os.OpenFile(filepath.Join(p.dir, "etc", name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(more)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.start(ctx); err != nil {
		t.Fatal(err)
	}
	handIn := exec.CommandContext(ctx, "/usr/sbin/sendmail", "-C", filepath.Join(p.dir, "etc"), "-i", "-f", "app@example.com", to)
	handIn.Stdin = strings.NewReader(composition(to)["message.eml"])
	if said, err := handIn.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	err := p.until(ctx, "Postfix to send it", func() bool {
		return strings.Contains(strings.Join(p.lines, "\n"), ": removed")
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(p.lines, "\n"))
	}
}

const (
	composedSubject = "Grüße & Küsse – Nº 5"
	composedName    = "Müller & Söhne"
)

// The text has 5000 characters in one line.
var composedText = "Grüße aus Köln, für 5 € das Stück.\n.\n..\n.versteckt\n\n." + strings.Repeat("äußer", 999) + "Ende\n.\nSchluß\n"

// composition are the files that a mailer finds: the parts, and for those that
// write none themselves the whole message.
func composition(to string) map[string]string {
	octets := string(allOctets())
	return map[string]string{
		"text":       composedText,
		"octets.bin": octets,
		"message.eml": "From: " + composedName + " <app@example.com>\nTo: " + to + "\nSubject: " + composedSubject + "\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n" +
			"Content-Type: multipart/mixed; boundary=\"=-x\"\n\n--=-x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" +
			composedText + "\n--=-x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n" +
			"Content-Disposition: attachment; filename=octets.bin\n\n" + wrapped(base64.StdEncoding.EncodeToString([]byte(octets))) + "--=-x--\n",
	}
}

func allOctets() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

// delivered are the messages for a recipient in the Maildir.
func delivered(t *testing.T, maildir, to string) (messages [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(maildir, "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("\nDelivered-To: <"+to+">\r\n")) {
			messages = append(messages, content)
		}
	}
	return messages
}

// judge compares what arrived with what was composed.
func judge(t *testing.T, content []byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	words := mime.WordDecoder{}
	if got, err := words.DecodeHeader(m.Header.Get("Subject")); err != nil || got != composedSubject {
		t.Errorf("subject %q: %v", got, err)
	}
	if from, err := words.DecodeHeader(m.Header.Get("From")); err != nil || strings.ReplaceAll(from, `"`, "") != composedName+" <app@example.com>" {
		t.Errorf("from %q: %v", from, err)
	}
	var text, octets []byte
	if err := leaves(textproto.MIMEHeader(m.Header), m.Body, func(h textproto.MIMEHeader, content []byte) {
		if kind, p, _ := mime.ParseMediaType(h.Get("Content-Type")); kind == "text/plain" && strings.EqualFold(p["charset"], "utf-8") && text == nil {
			text = content
		} else {
			octets = content
		}
	}); err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	got, want := bytes.TrimRight(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), "\n"), bytes.TrimRight([]byte(composedText), "\n")
	if !bytes.Equal(got, want) {
		t.Errorf("the text is another, %s", firstDifference(want, got))
	}
	if !bytes.Equal(octets, allOctets()) {
		t.Errorf("the attachment is another, %s", firstDifference(allOctets(), octets))
	}
	if t.Failed() {
		t.Logf("%s", content)
	}
}

// leaves calls f for each part that has no parts.
func leaves(h textproto.MIMEHeader, body io.Reader, f func(textproto.MIMEHeader, []byte)) error {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return err
	}
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err == io.EOF {
				return nil
			}
			if err == nil {
				err = leaves(part.Header, part, f)
			}
			if err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	content, err := io.ReadAll(body)
	if err == nil {
		f(h, content)
	}
	return err
}
