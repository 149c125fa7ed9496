// Package upstream hands mail to an authenticated provider, the smart host,
// and says why when that fails. It knows nothing of the relay around it and
// can be used alone:
//
//	host, err := upstream.New(upstream.Options{
//		Host:     "smtp.example.com",
//		Username: "app@example.com",
//		Password: password,
//	})
//	…
//	receipt, err := host.Deliver(ctx, message)
//
// # Promises
//
// Mail and credentials travel over TLS only, and the certificate is verified
// against the host name, whatever the network does. Every step has a deadline
// of its own. What follows a reply to AUTH, MAIL, RCPT or DATA is decided by
// the catalogue in package explain; here nothing is judged. A message whose
// fate is unknown, because the connection was lost after its final dot, is
// reported as explain.DeliveryUncertain.
//
// # How a message travels
//
//  1. SmartHost.Deliver (smarthost.go) splits a message with more recipients
//     than the provider takes at once, and asks the pool for a session.
//  2. The pool (pool.go) gives a kept session, or has the route open one,
//     never more than the provider allows.
//  3. The route (route.go) knows the candidates, the ways in: 587 STARTTLS,
//     465 implicit TLS, the provider's other ports. It tries them in order,
//     the next when one fails before the login or is slow (race.go), and
//     remembers what worked (memory.go).
//  4. The session (session.go) walks one candidate: DNS, TCP, greeting, EHLO,
//     STARTTLS, TLS, EHLO; auth.go signs in, with a token of package token
//     where OAuth2 is used; wire.go reads and writes lines.
//  5. The transaction (transaction.go, content.go) is MAIL, RCPT and DATA or
//     BDAT in as few round trips as the server allows. Its end is an
//     explain.Receipt with the provider's words, or an explain.Failure.
//
// SmartHost.Walk (walk.go) goes the same way over every candidate without a
// message, for who wants to see what a delivery would meet (package check).
//
// known.go adds what package provider knows to a failure; transcript.go tells a
// listening log what was said, without credentials and content.
package upstream
