package explain_test

import (
	"slices"
	"strings"
	"testing"

	"kurir/upstream/explain"
)

// People paste replies from logs, terminals, source code and JSON.
func TestParseReply(t *testing.T) {
	for _, c := range []struct {
		text, code, enhanced string
		lines                []string // nil: not a reply
	}{
		{"535 5.7.8 no", "535", "5.7.8", []string{"5.7.8 no"}},
		{"550-5.1.1 foo\n550 5.1.1 bar", "550", "5.1.1", []string{"5.1.1 foo", "5.1.1 bar"}},
		{`550-5.1.1 foo\n550 5.1.1 bar`, "550", "5.1.1", []string{"5.1.1 foo", "5.1.1 bar"}},
		{`"550-5.1.1 foo\r\n550 5.1.1 bar\r\n"`, "550", "5.1.1", []string{"5.1.1 foo", "5.1.1 bar"}},
		{"  '421 busy' ", "421", "", []string{"busy"}},
		{"S: 454 4.7.0 later", "454", "4.7.0", []string{"4.7.0 later"}},
		{"< 550-first\r\n< 550 second", "550", "", []string{"first", "second"}},
		{"550-5.7.1 a long line that a mail program\nwrapped\n550 5.7.1 end", "550", "5.7.1", []string{"5.7.1 a long line that a mail program", "wrapped", "5.7.1 end"}},
		{"554", "554", "", []string{""}},
		{"550 4.1.1 classes disagree", "550", "5.0.0", []string{"4.1.1 classes disagree"}},
		{"550-one\n554 two", "", "", nil},
		{"5501 not a code", "", "", nil},
		{"150 no SMTP code", "", "", nil},
		{"dial tcp 192.0.2.10:465: i/o timeout", "", "", nil},
		{"Error: 550 no", "", "", nil},
		{"", "", "", nil},
		{`""`, "", "", nil},
	} {
		r, ok := explain.ParseReply(c.text)
		if ok != (c.lines != nil) {
			t.Errorf("ParseReply(%q): got %v", c.text, ok)
			continue
		}
		if !ok {
			continue
		}
		if !slices.Equal(r.Lines, c.lines) || r.Enhanced.String() != c.enhanced || !strings.HasPrefix(r.String(), c.code) {
			t.Errorf("ParseReply(%q): got %d, %s, %q", c.text, r.Code, r.Enhanced, r.Lines)
		}
	}
}

// The error lines of other programs hold the server's words, or those of a
// library that is not Go's; the stage is theirs to tell.
func TestFromText(t *testing.T) {
	for _, c := range []struct {
		text string
		want explain.Cause
	}{
		{"550 5.1.1 user unknown", explain.RecipientUnknown},
		{"530 5.7.0 Authentication Required", explain.AuthRequired},
		{"smtplib.SMTPAuthenticationError: (535, b'5.7.8 Username and Password not accepted.')", explain.AuthRejected},
		{"smtplib.SMTPRecipientsRefused: {'a@example.com': (550, b'5.1.1 <a@example.com>: User unknown')}", explain.RecipientUnknown},
		{"Error: Invalid login: 535-5.7.8 Username and Password not accepted", explain.AuthRejected},
		{"Error: Can't send mail - all recipients were rejected: 554 5.7.1 <a@example.com>: Relay access denied", explain.RelayDenied},
		{"Error: Mail command failed: 553 5.7.1 Sender address rejected: not owned by user b@example.com", explain.SenderNotAllowed},
		{"SMTP ERROR: Failed to connect to server: Connection refused (111)", explain.ConnectRefused},
		{"SMTP Error: Could not authenticate.", explain.AuthRejected},
		{"php_network_getaddresses: getaddrinfo failed: Name or service not known", explain.DNSNotFound},
		{"status=deferred (connect to smtp.example.com[192.0.2.10]:465: Connection timed out)", explain.ConnectTimeout},
		{"status=bounced (host mx.example.com[192.0.2.7] said: 552 5.3.4 Message size exceeds fixed limit (in reply to MAIL FROM command))", explain.MessageTooLarge},
		{"lost connection with smtp.example.com[192.0.2.7] while sending end of data -- message may be sent more than once", explain.DeliveryUncertain},
		{"connect ETIMEDOUT 192.0.2.10:465", explain.ConnectTimeout},
		{"error:1408F10B:SSL routines:ssl3_get_record:wrong version number", explain.ProtocolWrongPort},
		{"javax.net.ssl.SSLHandshakeException: PKIX path building failed", explain.TLSCertificateUntrusted},
		{"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch", explain.TLSCertificateName},
		{"PHPMailer: SMTP Error: Could not connect to SMTP host. Failed to connect to server", explain.ConnectRefused},
		{`mail(): Failed to connect to mailserver at "localhost" port 25, verify your "SMTP" and "smtp_port" setting in php.ini or use ini_set()`, explain.ConnectRefused},
		{"SMTP connect() failed. https://github.com/PHPMailer/PHPMailer/wiki/Troubleshooting", explain.ConnectRefused},
		{`Connection could not be established with host "smtp.example.com:587": stream_socket_client(): Unable to connect to smtp.example.com:587 (Connection timed out)`, explain.ConnectTimeout},
		{`Connection could not be established with host smtp.example.com :stream_socket_client(): unable to connect`, explain.ConnectRefused},
		{"fsockopen(): unable to connect to smtp.example.com:25 (Connection refused)", explain.ConnectRefused},
		{"fsockopen(): unable to connect to smtp.example.com:25", explain.ConnectRefused},
		{"504 5.7.4 Unrecognized authentication type", explain.AuthMechanism},
		{"503 AUTH command used when not advertised", explain.AuthMechanism},
		{"503 5.5.1 Error: authentication not enabled", explain.AuthMechanism},
		{"503 5.5.1 Error: authentication required", explain.AuthRequired},
		{"503 5.5.4 Error: send AUTH command first", explain.AuthRequired},
		{"421 4.7.28 [192.0.2.7 15] Gmail has detected an unusual rate of unsolicited mail originating from your DKIM domain [example.com 35]. To protect our users from spam, mail sent from your domain has been temporarily rate limited.", explain.LimitRate},
		{"454 4.7.0 Too many login attempts, please try again later.", explain.LimitRate},
		{"550 5.7.1 Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients in Account Settings.", explain.SenderDomain},
		{"550 5.7.1 Service unavailable, MailFrom domain is listed in Spamhaus. (S8002)", explain.SenderDomain},
		{"554 5.7.1 <a@example.com>: Sender address rejected: Blocked by this recipient (GE)", explain.RecipientBlocked},
		{"550 SPF Sender Invalid - envelope rejected.", explain.MessageAuthentication},
		{"421 4.7.32 This mail has been rate limited because there is no DMARC alignment", explain.MessageAuthentication},
		{"451 4.7.1 Received too many messages from a new or untrusted IP (G28)", explain.LimitRate},
		{"452 4.5.3 rate limit exceeded", explain.LimitRate},
		{"451 4.3.2 Temporary server error. Please try again later ATTR17", explain.ServerBusy},
		{"451 Open relay not allowed - https://community.mimecast.com/docs/DOC-1369#451", explain.RelayDenied},
		{"550 5.7.0 Multi-part MIME messages are rejected as dangerous (G19)", explain.MessageSpam},
		{"550 5.7.0 Tageslimit für ausgehende E-Mails erreicht", explain.LimitQuota},
		{"550 5.7.1 Limite quotidienne d'envoi atteinte", explain.LimitQuota},
		{"554 IP-Adresse gesperrt", explain.IPBlocked},
		{"250 2.0.0 OK: queued as 12345", explain.Unknown},
		{"354 Start mail input; end with <CRLF>.<CRLF>", explain.Unknown},
		{"the quick brown fox", explain.Unknown},
		{"", explain.Unknown},
	} {
		f := explain.FromText(c.text, "", "")
		if f.Cause != c.want {
			t.Errorf("FromText(%q): got %s, want %s", c.text, f.Cause, c.want)
		}
		if (f.Reply == nil) == (f.Err == nil) {
			t.Errorf("FromText(%q) keeps reply %v and error %v, want one of them", c.text, f.Reply, f.Err)
		}
	}
}

// The same at the stage where they are said; a bare code is read as RFC 5321
// means it there.
func TestFromTextAtStage(t *testing.T) {
	for _, c := range []struct {
		text      string
		stage     explain.Stage
		want      explain.Cause
		permanent bool
	}{
		{"504 5.7.4 Unrecognized authentication type", explain.StageAuth, explain.AuthMechanism, true},
		{"503 AUTH command used when not advertised", explain.StageAuth, explain.AuthMechanism, true},
		{"535 5.7.0 Too many login attempts", explain.StageAuth, explain.AuthLocked, true},
		{"454 4.7.0 Too many login attempts, please try again later", explain.StageAuth, explain.LimitRate, false},
		{"552 No", explain.StageRcpt, explain.LimitRecipients, false},
		{"552 Too many recipients", explain.StageRcpt, explain.LimitRecipients, false},
		{"552 5.2.2 Mailbox full", explain.StageRcpt, explain.RecipientMailboxFull, true},
		{"552 No", explain.StageDot, explain.MessageTooLarge, true},
		{"501 5.5.4 Invalid parameter", explain.StageMail, explain.SenderDomain, true},
		{"550 5.7.1 Access denied", explain.StageMail, explain.SenderNotAllowed, true},
		{"250 2.0.0 OK", explain.StageData, explain.Unknown, false},
		{"354 Go ahead", explain.StageMail, explain.Unknown, false},
		{"334 eyJzdGF0dXMiOiI0MDAifQ==", explain.StageAuth, explain.AuthToken, true},
	} {
		f := explain.FromText(c.text, c.stage, "")
		if f.Cause != c.want || f.Permanent() != c.permanent {
			t.Errorf("%q at %s: got %s, permanent %v, want %s, %v", c.text, c.stage, f.Cause, f.Permanent(), c.want, c.permanent)
		}
	}
}

// The address of a person says nothing about the cause.
func TestFromTextIgnoresAddresses(t *testing.T) {
	f := explain.FromText("550 5.1.1 <spam.quota@blacklist.example>: no such user", explain.StageRcpt, "")
	if f.Cause != explain.RecipientUnknown {
		t.Errorf("got %s", f.Cause)
	}
}

// Anything may be pasted.
func FuzzParseReply(f *testing.F) {
	for _, s := range []string{"", "550 no", "550-5.1.1 a\n550 5.1.1 b", `"454 4.7.0 a\r\n"`, "S: 220 x", "250", "999 x", "550-a\nb\n550 c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := explain.ParseReply(text)
		if ok != (r != nil) {
			t.Fatalf("reply %v, ok %v", r, ok)
		}
		if ok && (r.Code < 200 || r.Code > 599 || len(r.Lines) == 0) {
			t.Fatalf("code %d, lines %q", r.Code, r.Lines)
		}
	})
}

// Whatever is pasted has an explanation, and nothing of it ends the program.
func FuzzFromText(f *testing.F) {
	for _, s := range []string{"", "550 5.1.1 no such user", "dial tcp: lookup x: no such host", "(535, b'5.7.8 no')", "\xff\x00 421", "ÜÉ ß"} {
		f.Add(s, "rcpt", "gmail")
		f.Add(s, "", "")
	}
	known := explain.Causes()
	f.Fuzz(func(t *testing.T, text, stage, provider string) {
		if got := explain.FromText(text, explain.Stage(stage), provider).Cause; !slices.Contains(known, got) {
			t.Fatalf("cause %q", got)
		}
	})
}

// Some programs take a reply apart, or quote its code twice; one knows only
// the enhanced code.
func TestFromTextTakenApart(t *testing.T) {
	for _, c := range []struct {
		text  string
		cause explain.Cause
		stage explain.Stage
	}{
		{`Expected response code "354" but got code "550", with message "550 5.7.60 SMTP; Client does not have permissions to send as this sender"`, explain.SenderNotAllowed, ""},
		{"SMTP server error: RCPT TO command failed Detail: User unknown SMTP code: 550 Additional SMTP info: 5.1.1", explain.RecipientUnknown, explain.StageRcpt},
		{"SMTP server error: DATA END command failed Detail: Spam message rejected SMTP code: 554", explain.MessageSpam, ""},
		{"The server response was: 5.7.57 Client not authenticated to send mail.", explain.AuthRequired, ""},
		{"Diagnostic-Code: smtp;550 5.1.1 User unknown", explain.RecipientUnknown, explain.StageRcpt},
		{"334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=", explain.AuthToken, explain.StageAuth},
		{"Failure sending mail. Connection refused", explain.ConnectRefused, explain.StageConnect},
		{"listening on 10.0.0.1:5550, version 5.1.1", explain.Unknown, ""},
	} {
		f := explain.FromText(c.text, "", "")
		if f.Cause != c.cause || c.stage != "" && f.Stage != c.stage {
			t.Errorf("FromText(%q): got %s at %s, want %s at %s", c.text, f.Cause, f.Stage, c.cause, c.stage)
		}
	}
}
