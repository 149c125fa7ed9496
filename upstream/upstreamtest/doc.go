// Package upstreamtest plays scripted SMTP dialogues, as httptest plays
// servers, so that a report from the field becomes a test without any Go.
//
// A script is a txtar file. Its comment says why the case exists. Then:
//
//	-- dialogue --
//	S: 220 smtp.example.com ESMTP
//	C: EHLO *
//	S: 250-smtp.example.com
//	S: 250 STARTTLS
//	C: STARTTLS
//	S: 220 go ahead
//	S: * tls
//	...
//	-- explanation --
//	What the person reading the log should see.
//
// S: lines are said by the server, as they stand; C: lines are expected from
// the client, and * in them stands for anything. Further:
//
//	S: * tls          handshake here; it must fail unless the certificate is good
//	S: * close        the connection is closed
//	S: * silence      nothing is said until the client leaves
//	S: * bytes "..."  octets as a Go string, with no line end of their own
//	C: * body         DATA content up to its final dot
//	C: * close        the client leaves
//
// The octets that follow a BDAT command are read with it. When a dialogue is
// over, the client may say QUIT or just leave; anything else is a mismatch.
//
// A dialogue is one connection: a second one on the same port needs a second
// section of the same name. It is the candidate 587 STARTTLS; a section
// "-- candidate 465 --" is a further way in, with implicit TLS when its
// number is 465, 2465, 8465 or 443. The number is a name only, the real port
// is the system's choice; Server.Public puts the names back into a text.
// Before the first line of a dialogue may stand, each on a line:
//
//	mode: starttls | implicit
//	certificate: good | expired | wrong-name | untrusted
//	version: 1.0 | 1.1 | 1.2      TLS no newer than this
//	closed                        connections are refused
//	unreachable                   no network leads there
//	resolve: not-found | failure  the host name does not exist, or DNS is broken
//	repeat                        any number of connections is like this one
//	optional                      the client may leave early, or never come
//
// Empty lines and lines that begin with # are skipped. Read script.go for
// the file, server.go for the ports, play.go for the dialogue, dns.go
// for names that cannot be resolved.
package upstreamtest
