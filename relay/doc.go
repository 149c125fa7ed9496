// Package relay is Kurir as a library: it takes mail from local apps over
// plain SMTP and hands it to an authenticated provider.
//
// New makes a relay of its configuration, Run runs it until its context ends,
// Shutdown ends it from elsewhere. Package main in cmd/kurir is a thin wrapper
// around these three.
//
// # How a message travels
//
//  1. An app connects. listener.Server decides who may (listener/access.go)
//     and go-smtp speaks the protocol with it; listener/session.go has one
//     method for each command: Mail and Rcpt check and remember the envelope.
//
//  2. Data puts senders and recipients into place (rewrite.Policy), asks the
//     spool for a draft, and copies the content into it: line ends made
//     canonical, a Received line and missing fields added, Bcc removed, From
//     as the policy wants it (rewrite.Writer). A small draft stays in memory, a
//     large one goes to a file; nothing is promised yet.
//
//  3. The session hands the draft to queue.Queue.Submit, which chooses the
//     lane of the route that serves the reverse-path. In mode "through" it
//     delivers at once while the app waits; in mode "queue", and whenever the
//     route is busy, slow or in trouble, it calls spool.Draft.Commit first.
//
//  4. Commit appends the message to the journal and waits for the flush that
//     covers it, shared with all others that wait. Only now may the app get
//     its 250: the message survives a power cut (spool/doc.go).
//
//  5. The lane has a slot free: queue.Queue.work takes the message that is
//     due first, reads it back from the spool, and calls
//     upstream.SmartHost.Deliver.
//
//  6. The smart host lends a session from its pool, or races its candidates
//     (587 STARTTLS, 465 implicit TLS, …) for a new one, signs in, and speaks
//     MAIL, RCPT and DATA or BDAT (upstream/doc.go). Just before the final dot
//     it has the spool note that the message is on its way, so that a crash
//     in the next moment can be told of.
//
//  7. What comes back is an explain.Receipt with the provider's words, or an
//     explain.Failure with its cause. queue/outcome.go sorts the recipients
//     into delivered, returned and kept, by the verdicts of the catalogue in
//     upstream/explain; queue/settle.go carries that out: the message is
//     removed (spool.Done), deferred with a time for the next attempt
//     (spool.Defer), or moved to the failed ones (spool.Fail). Trouble of the
//     route holds the lane and leaves its messages alone.
//
//  8. Each of these events is one line of the log, with the same explanation
//     that the app gets in its reply (maillog), and a line of history for
//     "kurir why" (history). Who sent a message that is given up gets a
//     notification (dsn), which goes the same way from step 4; what needs a
//     person is told to a webhook or a command (notice).
//
// A local program may hand a message to "kurir sendmail" (sendmail), which is an
// app like others as long as the relay runs. When it does not, the message is
// left in a directory (drop), from which pickup.go takes it: it joins the way
// at step 2, and at step 4, because nobody waits for an answer.
//
// A person looks in and steps in by the control socket (control) or in a
// browser (control/page), monitoring asks for health and numbers
// (control/metrics), and another configuration is put into place by Reload
// (reload.go) while all this goes on.
//
// After a restart, spool.Open reads back what was not removed, and the queue
// goes on at step 5.
//
// # What is in this package
//
// relay.go has New, Run and Shutdown. The others put one room together from the
// configuration each: listen.go the listeners, hosts.go and tokens.go the smart
// hosts, door.go and page.go the control socket and the status page, history.go
// and notices.go what is told, pickup.go the drop directory; reload.go does it
// again, and names what needs a restart. ends.go watches certificates, and
// inspect.go answers "kurir check", which runs no relay.
package relay
