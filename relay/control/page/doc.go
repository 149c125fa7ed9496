// Package page is Kurir in a browser: a status page, three health checks and
// the metrics, at one address of loopback.
//
// Any user of the machine can reach loopback, and so can any web page that
// its browser shows. So the page promises:
//
//   - Without the token, which the control socket tells to those who may use
//     it, there are routes, numbers and a graph: no address, no ID, no subject
//     and no words of a server; and nothing can be changed.
//   - Only a request for a name of loopback with our port is answered, so that
//     no foreign name that points here reads anything (DNS rebinding), and
//     nothing is changed by a request that another site had the browser make.
//   - Whatever an app or a server has said is shown as text. The page loads
//     nothing from elsewhere and can be put into no frame.
//   - It works without script, with the keyboard alone, and in the dark.
//   - Probes of health and metrics need no token, write no line into the log,
//     and answer three questions apart: does the process live (/livez), does
//     it take mail (/readyz), do the providers take ours (/upstreamz).
//
// Read Server (server.go) first, then guard.go (who may), front.go, mails.go
// and message.go (what is shown, each with how it looks), layout.go (what all
// pages have), act.go (what can be done) and health.go. words.go has the texts
// of each language.
package page
