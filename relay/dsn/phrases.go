package dsn

import "kurir/upstream/explain"

// phrases are the sentences of one language around those of explain. In
// subject, happened and end the kind chooses.
type phrases struct {
	yours, from     string // what the mail is called: that of the reader, or of another
	more            string // recipients beyond the first, in the subject
	subject         map[Kind]string
	happened        map[Kind]string
	end             map[Kind]string
	at, until       string // when it came in; how long it is tried
	fix, said       string
	number, leftOut string
}

var english = phrases{
	yours: "Your mail",
	from:  "Mail from %s",
	more:  "%s and %d more",
	subject: map[Kind]string{
		Failed:  "%s to %s could not be delivered",
		Delayed: "%s to %s is delayed",
		Relayed: "%s to %s was handed on",
	},
	happened: map[Kind]string{
		Failed:  "%s could not be delivered to:",
		Delayed: "%s has not reached these recipients yet:",
		Relayed: "%s was handed on to the next mail server for:",
	},
	end: map[Kind]string{
		Failed:  "It will not be tried again. If it still matters, please send it anew once the cause is gone.",
		Delayed: "It is kept and tried again by itself. You need not send it anew.",
		Relayed: "That server does not report what becomes of mail, so you may hear no more of it.",
	},
	at:      "Received: %s",
	until:   "Tried until: %s",
	fix:     "What to do: %s",
	said:    "The server %s said:",
	number:  "Number of the mail at %s: %s",
	leftOut: "Left out before this notification, to spare you: %d more about the same cause.",
}

var indonesian = phrases{
	yours: "Email Anda",
	from:  "Email dari %s",
	more:  "%s dan %d lainnya",
	subject: map[Kind]string{
		Failed:  "%s kepada %s tidak dapat dikirim",
		Delayed: "%s kepada %s tertunda",
		Relayed: "%s kepada %s sudah diteruskan",
	},
	happened: map[Kind]string{
		Failed:  "%s tidak dapat dikirim kepada:",
		Delayed: "%s belum sampai kepada:",
		Relayed: "%s sudah diteruskan ke server email berikutnya untuk:",
	},
	end: map[Kind]string{
		Failed:  "Email ini tidak akan dicoba lagi. Jika masih penting, silakan kirim ulang setelah penyebabnya teratasi.",
		Delayed: "Email ini disimpan dan dicoba lagi dengan sendirinya. Anda tidak perlu mengirim ulang.",
		Relayed: "Server itu tidak melaporkan nasib email, jadi mungkin tidak ada kabar lagi.",
	},
	at:      "Diterima: %s",
	until:   "Dicoba sampai: %s",
	fix:     "Solusi: %s",
	said:    "Server %s menjawab:",
	number:  "Nomor email di %s: %s",
	leftOut: "Pemberitahuan lain dengan penyebab yang sama yang tidak dikirim agar Anda tidak terganggu: %d.",
}

func (r *Report) phrases() phrases {
	if r.Language == explain.Indonesian {
		return indonesian
	}
	return english
}
