package paste_test

import (
	"fmt"
	"strings"
	"testing"

	"kurir/upstream/explain"
	"kurir/upstream/paste"
)

// found is what is made of a text, a failure a line: "cause at stage of
// host:port", what is not known left out.
func found(read func(string) ([]*explain.Failure, int), text string) string {
	failures, _ := read(text)
	lines := make([]string, len(failures))
	for i, f := range failures {
		lines[i] = string(f.Cause)
		if f.Stage != "" {
			lines[i] += " at " + string(f.Stage)
		}
		if f.Candidate.Host != "" {
			lines[i] += " of " + f.Candidate.Host
		}
		if f.Candidate.Port != 0 {
			lines[i] += fmt.Sprintf(":%d", f.Candidate.Port)
		}
	}
	return strings.Join(lines, "\n")
}

// What the programs that send mail write when it fails, each in its own way:
// the cause, the stage and the server that the line names.
func TestPrograms(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// msmtp, ssmtp, curl, swaks, s-nail
		{"msmtp: cannot connect to smtp.foo.tld, port 587: Connection refused", "connect.refused at connect of smtp.foo.tld:587"},
		{"msmtp: cannot locate host smtp.foo.tld: Name or service not known", "dns.not_found at dns of smtp.foo.tld"},
		{"host=smtp.gmail.com tls=on auth=on user=me from=me@example.org recipients=a@example.org smtpstatus=535 smtpmsg='535-5.7.8 not accepted.' errormsg='authentication failed (method PLAIN)' exitcode=EX_NOPERM", "auth.rejected at auth of smtp.gmail.com"},
		{"ssmtp: Authorization failed (535 5.7.8  no - gsmtp)", "auth.rejected at auth"},
		{"curl: (6) Could not resolve host: smtp.foo.tld", "dns.not_found at dns of smtp.foo.tld"},
		{"curl: (28) Failed to connect to smtp.foo.tld port 465 after 130000 ms: Connection timed out", "connect.timeout at connect of smtp.foo.tld:465"},
		{"*** Error connecting to smtp.foo.tld:587: \tIO::Socket::INET6: connect: Connection refused", "connect.refused at connect of smtp.foo.tld:587"},
		{"<** 535 5.7.8 Error: authentication failed", "auth.rejected at auth"},
		{"s-nail: smtp.foo.tld:587: connect: Connection refused", "connect.refused at connect of smtp.foo.tld:587"},
		// Postfix, Exim, what a DSN says
		{"Nov 22 10:25:01 mx postfix/smtp[7]: 4F: to=<a@b.tld>, relay=smtp.foo.tld[192.0.2.1]:465, status=deferred (lost connection with smtp.foo.tld[192.0.2.1] while receiving the initial server greeting)", "connect.closed at greeting of smtp.foo.tld:465"},
		{"Nov 22 10:25:01 mx postfix/smtp[7]: 4F: to=<a@b.tld>, relay=none, status=deferred (Host or domain name not found. Name service error for name=smtp.foo.tld type=A: Host not found)", "dns.not_found at dns of smtp.foo.tld"},
		{"to=<user@smtp.gmail.com>, status=bounced (host mx.foo.tld[192.0.2.7] said: 550 5.1.1 <user@smtp.gmail.com>: User unknown (in reply to RCPT TO command))", "recipient.unknown at rcpt of mx.foo.tld"},
		{"connect to [192.0.2.1]:465: Connection timed out", "connect.timeout at connect of 192.0.2.1:465"},
		{"2026-11-22 10:25:30 1sAbcd-000123-Xy ** u@foo.tld R=dnslookup T=remote_smtp H=mx.foo.tld [192.0.2.7]: SMTP error from remote mail server after RCPT TO:<u@foo.tld>: 550 5.1.1 User unknown", "recipient.unknown at rcpt of mx.foo.tld"},
		{"2026-11-22 10:25:30 1sAbcd-000123-Xy == u@foo.tld R=smarthost T=remote_smtp defer (110): Connection timed out", "connect.timeout at connect"},
		{"Diagnostic-Code: smtp;550 5.1.1 <u@foo.tld>: User unknown", "recipient.unknown at rcpt"},
		// PHP
		{"SMTP Error: The following recipients failed: a@b.tld: SMTP server error: RCPT TO command failed Detail: User unknown SMTP code: 550 Additional SMTP info: 5.1.1", "recipient.unknown at rcpt"},
		{`PHP Warning:  mail(): Failed to connect to mailserver at "localhost" port 25, verify your "SMTP" setting`, "connect.refused at connect of localhost:25"},
		{`Expected response code "250" but got code "535", with message "535-5.7.8 Username and Password not accepted. 535 5.7.8 x gsmtp".`, "auth.rejected at auth"},
		{`Connection could not be established with host "ssl://smtp.foo.tld:465": stream_socket_client(): Unable to connect (Connection timed out)`, "connect.timeout at connect of smtp.foo.tld:465"},
		// Python, Go, Node.js, Java, .NET, Ruby
		{"SMTPAuthenticationError(535, b'5.7.8 Username and Password not accepted.')", "auth.rejected at auth"},
		{"(535, b'5.7.8 Error: authentication failed')", "auth.rejected at auth"},
		{"dial tcp: lookup mailhog on 127.0.0.11:53: no such host", "dns.not_found at dns of mailhog"},
		{"dial tcp 192.0.2.10:465: i/o timeout", "connect.timeout at connect of 192.0.2.10:465"},
		{"tls: failed to verify certificate: x509: certificate is valid for *.foo.tld, not smtp.foo.tld", "tls.certificate_name at tls of smtp.foo.tld"},
		{"Error: getaddrinfo ENOTFOUND smtp.foo.tld", "dns.not_found at dns of smtp.foo.tld"},
		{"Error: connect ECONNREFUSED ::1:587", "connect.refused at connect of ::1:587"},
		{"com.sun.mail.util.MailConnectException: Couldn't connect to host, port: smtp.foo.tld, 587; timeout -1;", "connect.timeout at connect of smtp.foo.tld:587"},
		{"SmtpException: The SMTP server requires a secure connection or the client was not authenticated. The server response was: 5.7.57 Client not authenticated to send mail.", "auth.required at mail"},
		{"SmtpException: Failure sending mail. ---> SocketException: the target machine actively refused it 127.0.0.1:25", "connect.refused at connect of 127.0.0.1:25"},
		{"Net::OpenTimeout (Failed to open TCP connection to smtp.foo.tld:587 (execution expired))", "connect.timeout at connect of smtp.foo.tld:587"},
		// no server, no port, no failure
		{"Nov 22 10:25:01 app[450]: smtp.php:587 SMTP Error: Could not authenticate for u@smtp.gmail.com", "auth.rejected at auth"},
		{"550 5.7.1 see smtp.gmail.com:587", "message.spam"},
		{"334 VXNlcm5hbWU6", ""},
		{"334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=", "auth.token at auth"},
		{"hello world", "unknown"},
	} {
		got := found(paste.Known{}.Text, c.text)
		if strings.HasPrefix(c.text, "550 5.7.1") { // its cause is for the rules to say
			if strings.Contains(got, " of ") {
				t.Errorf("%s\ngot  %s, want no host", c.text, got)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

// Logs and libraries wrap errors in JSON, of many shapes.
func TestJSON(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"code":"EAUTH","responseCode":535,"command":"AUTH PLAIN"}`, "auth.rejected at auth"},
		{`{"code":"ECONNECTION","errno":-111,"syscall":"connect","address":"192.0.2.9","port":587,"command":"CONN"}`, "connect.refused at connect of 192.0.2.9:587"},
		{`{"code":"ESOCKET"}`, "connect.closed at connect"},
		{`{"code":"ETIMEDOUT","command":"CONN"}`, "connect.timeout at connect"},
		{`{"code":"EDNS","errno":-3008,"syscall":"getaddrinfo","hostname":"smtp.foo.tld","command":"CONN"}`, "dns.not_found at dns of smtp.foo.tld"},
		{`{"code":"EENVELOPE","response":"550 5.1.1 no such user","responseCode":550,"command":"RCPT TO"}`, "recipient.unknown at rcpt"},
		{`{"code":"EMESSAGE","response":"554 5.7.1 Spam","responseCode":554,"command":"DATA"}`, "message.spam at data"},
		{`{"level":50,"pid":2,"hostname":"web.foo.tld","err":{"message":"Invalid login","code":"EAUTH","responseCode":535},"msg":"mail failed"}`, "auth.rejected at auth"},
		{`{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired."}`, "auth.token at auth"},
		{`{"error":"unauthorized_client","error_description":"Client is unauthorized to retrieve access tokens using this method."}`, "auth.token at auth"},
		{`{"event":"failed","delivery-status":{"code":550,"message":"No such user"}}`, "recipient.unknown at rcpt"},
		{`{"MESSAGE":"4F: to=<a@b.tld>, relay=smtp.foo.tld[192.0.2.1]:587, status=deferred (connect to smtp.foo.tld[192.0.2.1]:587: Connection refused)"}`, "connect.refused at connect of smtp.foo.tld:587"},
		{`{"log":"SMTP ERROR: Failed to connect to server: Connection refused (111)\n","stream":"stderr","time":"x"}`, "connect.refused at connect"},
		{`{"log":"{\"event\":\"delivery.failed\",\"level\":\"error\",\"upstream\":\"smtp.foo.tld:587\",\"stage\":\"rcpt\",\"cause\":\"recipient.unknown\",\"reply\":\"550 no\"}\n","stream":"stderr"}`, "recipient.unknown at rcpt of smtp.foo.tld:587"},
		{`php_1  | {"level":"warn","event":"delivery.deferred","upstream":"smtp.foo.tld:465","stage":"connect","cause":"connect.timeout"}`, "connect.timeout at connect of smtp.foo.tld:465"},
		{`10:15:30 ERR no event=delivery.held upstream=smtp.foo.tld:587 stage=auth cause=auth.rejected reply="535 5.7.8 no"`, "auth.rejected at auth of smtp.foo.tld:587"},
		{`{"level":"error","event":"spool.full","cause":"spool.full"}`, "spool.full"},
		{`{"level":"info","event":"upstream.recovered","cause":"connect.timeout"}`, ""},
		{`{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`, "auth.token at auth"},
		{`{"accepted":["a@b.tld"],"response":"250 2.0.0 OK"}`, ""},
	} {
		if got := found(paste.Known{}.Text, c.text); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
	f, _ := paste.Known{}.Text(`{"event":"upstream.unavailable","level":"error","cause":"connect.timeout","candidates":[` +
		`{"upstream":"smtp.foo.tld:587","tls":"starttls","stage":"connect","cause":"connect.timeout"},` +
		`{"upstream":"smtp.foo.tld:465","tls":"implicit","stage":"connect","cause":"connect.timeout"}]}`)
	if len(f) != 1 || len(f[0].Candidates) != 2 || f[0].Candidates[1].Candidate.TLS != explain.Implicit {
		t.Errorf("candidates: got %+v", f)
	}
}

// A failure goes over several lines, and what terminals, web pages and logs
// put around it does not matter.
func TestLines(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"terminal", "\ufeff\x1b[31m550 5.1.1 no such user\x1b[0m\r\n\r\n\t\"421 4.7.0 too many connections\"\r\n", "recipient.unknown at rcpt\nlimit.connections"},
		{"web page", "550 5.1.1 &lt;a@b.tld&gt;: User unknown<br />\n", "recipient.unknown at rcpt"},
		{"wrapped", "550-5.7.26 Unauthenticated email is not accepted due to domain\nDMARC policy\n550 5.7.26 end\n450 4.7.1 Greylisted\n", "message.authentication at dot\ngreylisted at rcpt"},
		{"log", "2026-11-22T10:00:00.123Z 550-5.1.1 no such user\n2026-11-22T10:00:01.123Z 550 5.1.1 end\n", "recipient.unknown at rcpt"},
		{"Python", "Traceback (most recent call last):\n  File \"x.py\", line 3, in f\n    raise SMTPAuthenticationError(code, resp)\nsmtplib.SMTPAuthenticationError: (535, b'5.7.8 no')\n", "auth.rejected at auth"},
		{"Node.js", "Error: Invalid login: 535-5.7.8 no. See\n535 5.7.8 here\n    at SMTPConnection.x (/a/b.js:1:2) {\n  code: 'EAUTH',\n  response: '535-5.7.8 no\\n' +\n    '535 5.7.8 here',\n  responseCode: 535\n}\n", "auth.rejected at auth"},
		{"swaks", "=== Trying smtp.foo.tld:587...\n<-  220 mx\n -> RCPT TO:<a@b.tld>\n<** 550-no\n<** 550 no\n -> RCPT TO:<c@b.tld>\n<** 550 no\n -> QUIT\n<-  221 Bye\n=== Connection closed with remote host.\n", "recipient.unknown at rcpt of smtp.foo.tld:587\nrecipient.unknown at rcpt of smtp.foo.tld:587"},
		{"logs behind it", "C: RCPT TO:<a@b.tld>\nS: 550 no\nNov 22 10:25:01 mx postfix/smtp[7]: 4F: to=<a@b.tld>, status=bounced (host mx.b.tld[192.0.2.7] said: 550 5.1.1 User unknown)\nNov 22 10:25:02 mx postfix/smtp[7]: 5F: to=<c@b.tld>, status=bounced (host mx.b.tld[192.0.2.7] said: 550 5.1.1 User unknown)\n", "recipient.unknown at rcpt\nrecipient.unknown at rcpt of mx.b.tld\nrecipient.unknown at rcpt of mx.b.tld"},
		{"smtplib", "send: 'AUTH PLAIN AGFi\\r\\n'\nreply: b'535-5.7.8 no\\r\\n'\nreply: b'535 5.7.8 end\\r\\n'\nreply: retcode (535); Msg: b'5.7.8 no'\n", "auth.rejected at auth"},
		{"message", "> DATA\n< 354 go\n> .\n< 554 5.6.0 no\n", "message.malformed at dot"},
		{"curl", "* Connected to smtp.gmail.com (192.0.2.1) port 587\n> AUTH PLAIN\n< 334 \n> AGFi\n< 535 5.7.8 no\ncurl: (67) Login denied\n", "auth.rejected at auth of smtp.gmail.com:587"},
	} {
		if got := found(paste.Known{}.Log, c.text); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// Anything may be pasted, and no words of it reach a terminal as commands.
func FuzzLog(f *testing.F) {
	for _, s := range []string{"550-a\nb\n550 c", "{\"log\":\"{\\\"log\\\":\\\"x\\\"}\"}", "C: AUTH PLAIN x\nS: 535 no", "a=\"b\" msg=1 c=2", "\x1b]0;x\x07 550 no", "Traceback (most recent call last):\n x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		failures, _ := paste.Known{}.Log(text)
		for _, f := range failures {
			if details := f.Details(); strings.ContainsRune(details, 0x1b) {
				t.Fatalf("%q", details)
			}
		}
	})
}

// BenchmarkLog is a log of mail that mostly goes out.
func BenchmarkLog(b *testing.B) {
	log := strings.Repeat("Nov 22 10:00:01 mx postfix/smtp[7]: 4F: to=<a@example.org>, relay=smtp.gmail.com[192.0.2.1]:587, dsn=2.0.0, status=sent (250 2.0.0 OK)\n"+
		"Nov 22 10:00:02 mx postfix/qmgr[450]: 4F: from=<a@example.org>, size=550, nrcpt=1 (queue active)\n", 1000)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		paste.Known{}.Log(log)
	}
}
