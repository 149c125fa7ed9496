package listener_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kurir/relay/listener"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// P5: what the listener refuses is explained to the app and in the log, in the
// language that the operator has chosen.
func TestRefusalsInEachLanguage(t *testing.T) {
	begin := []string{"< 220", "> EHLO x", "< 250"}
	mail := append(begin, transaction[:2]...)
	data := append(begin, transaction...)
	few := func(o *listener.Options) { o.MaxRecipients = 1 }
	small := func(o *listener.Options) { o.MaxMessageSize = func() int64 { return 10 } }
	spoolSays := func(err error) func(*listener.Options) {
		return func(o *listener.Options) { o.Spool = faulty{o.Spool, err, nil} }
	}
	cases := []struct {
		name   string
		change func(*listener.Options)
		before []string
		send   string
		code   string // none: nothing is answered
		en, id string // how the reply begins
		fixEn  string // in the log
		fixID  string
	}{
		{"size announced", small, begin, "MAIL FROM:<a@example.org> SIZE=11", "552 5.3.4",
			"The message is too large: at most 10 B.", "Pesan terlalu besar: paling banyak 10 B.", "Send less", "Kirim lebih sedikit"},
		{"size", small, data, `0123456789\r\n.`, "552 5.3.4",
			"The message is too large: at most 10 B.", "Pesan terlalu besar: paling banyak 10 B.", "Send less", "Kirim lebih sedikit"},
		{"header", nil, data, "X: " + strings.Repeat("x", 300_000) + `\r\n\r\n.`, "552 5.3.4",
			"The header is too large", "Header terlalu besar", "empty line", "baris kosong"},
		{"loop", nil, data, strings.Repeat(`Received: from x by y; Thu, 1 Jan 2026 00:00:00 +0000\r\n`, 101) + `\r\n.`, "554 5.4.6",
			"Mail loop", "Pesan berputar-putar", "upstream.host", "Pastikan upstream.host"},
		{"MAIL", nil, begin, "MAIL a@example.org", "501 5.5.2",
			"The command cannot be read: say MAIL FROM:", "Perintah tidak bisa dibaca: tulis MAIL FROM:", "Correct the sender", "Perbaiki alamat pengirim"},
		{"sender", nil, begin, "MAIL FROM:<root@>", "501 5.1.7",
			`The sender's address "root@": it has no @domain.`, `Alamat pengirim salah: address "root@": it has no @domain.`, "Set a sender", "Isi alamat pengirim"},
		{"value", nil, begin, "MAIL FROM:<a@example.org> SIZE=x", "501 5.5.4",
			"The value of SIZE is malformed.", "Nilai SIZE salah bentuk.", "Let the app", "Atur aplikasi"},
		{"parameter", nil, begin, "MAIL FROM:<a@example.org> REQUIRETLS", "555 5.5.4",
			"REQUIRETLS is not offered here.", "REQUIRETLS tidak ditawarkan di sini.", "Let the app", "Atur aplikasi"},
		{"RCPT", nil, mail, "RCPT b@example.net", "501 5.5.2",
			"The command cannot be read: say RCPT TO:", "Perintah tidak bisa dibaca: tulis RCPT TO:", "Correct the address", "Perbaiki alamatnya"},
		{"recipient", nil, mail, "RCPT TO:<b@>", "501 5.1.3",
			`The recipient's address "b@": it has no @domain.`, `Alamat penerima salah: address "b@": it has no @domain.`, "Correct the address", "Perbaiki alamatnya"},
		{"no recipient", nil, mail, "RCPT TO:<>", "501 5.1.3",
			"The recipient's address is missing.", "Alamat penerima salah: address is missing.", "Correct the address", "Perbaiki alamatnya"},
		{"recipients", few, append(mail, "> RCPT TO:<b@example.net>", "< 250"), "RCPT TO:<c@example.net>", "452 4.5.3",
			"At most 1 recipients a message.", "Paling banyak 1 penerima dalam satu pesan.", "raise listen.max_recipients", "besarkan listen.max_recipients"},
		{"full", spoolSays(fmt.Errorf("x: %w", spool.ErrFull)), begin, "MAIL FROM:<a@example.org>", "452 4.3.1",
			"The spool is full", "Spool penuh", "Make room", "Kosongkan tempat"},
		{"disk", spoolSays(errors.New("broken")), begin, "MAIL FROM:<a@example.org>", "451 4.3.0",
			"The message could not be stored: send it again later.", "Pesan tidak bisa disimpan: kirim lagi nanti.", "Look at the disk", "Periksa disk"},
		{"stranger", func(o *listener.Options) { o.Allow = []string{"192.0.2.1"} }, nil, "", "554 5.7.1",
			`127.0.0.1 may not use this relay. If it is an app of yours, set listen.allow = ["192.0.2.1", "loopback"]`,
			`127.0.0.1 tidak boleh memakai relay ini. Jika itu aplikasi Anda, isi listen.allow = ["192.0.2.1", "loopback"]`, "set listen.allow", "isi listen.allow"},
		{"connections", func(o *listener.Options) { o.MaxConnections = 0 }, nil, "", "421 4.3.2",
			"Too many connections: all 0 are in use.", "Terlalu banyak koneksi: semua 0 sedang dipakai.", "Raise listen.max_connections", "Besarkan listen.max_connections"},
		{"long line", nil, begin, "NOOP " + strings.Repeat("x", 9000), "500 5.5.2",
			"Line too long", "Baris terlalu panjang", "mail settings", "pengaturan email"},
		{"HTTP", nil, []string{"< 220"}, "GET / HTTP/1.1", "", "", "", "Find out which app", "Cari tahu aplikasi"},
		{"TLS", nil, []string{"< 220"}, `\x16\x03\x01`, "", "", "", "Switch TLS", "Matikan TLS"},
	}
	for _, c := range cases {
		for language, want := range map[explain.Language][2]string{
			explain.English: {c.en, c.fixEn}, explain.Indonesian: {c.id, c.fixID},
		} {
			t.Run(c.name+" "+string(language), func(t *testing.T) {
				r := start(t, func(o *listener.Options) {
					o.Language = language
					if c.change != nil {
						c.change(o)
					}
				})
				cl := r.dial(t)
				cl.run(c.before...)
				if c.send != "" {
					cl.run(">> " + c.send + `\r\n`)
				}
				cl.run(strings.TrimRight("< "+strings.TrimSpace(c.code+" "+want[0]), " "))
				rejected, refused, _ := r.logs()
				if all := strings.Join(append(rejected, refused...), "\n"); !strings.Contains(all, want[1]) || strings.ContainsAny(all, "{}\n") {
					t.Errorf("log: %q, want %q", all, want[1])
				}
			})
		}
	}
}
