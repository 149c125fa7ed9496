// Package queue decides what is tried when, and what becomes of each outcome.
//
// A message comes in through Submit. Depending on the delivery mode it is
// delivered while the app waits, or made durable first; what cannot be
// delivered at once waits in the spool and is tried again. Whether a failure
// means to retry, to give up or to hold the route is decided by the catalogue
// in package explain; here the verdict is carried out.
//
// # Promises
//
// A message leaves the spool only when each recipient was delivered, or was
// moved to the failed messages. Trouble of the route (network, login,
// certificate, quota) is counted once for the route: it is probed with one
// message at a time, and the others wait untouched. A sender domain that the
// provider does not send for holds its own mail alone. A message is being
// delivered at most once at any moment, also when the app stopped waiting in
// the middle of it. The mail of one sender does not wait behind another's.
//
// # Reading order
//
// queue.go (Options, Run), submit.go (the three modes and their answers),
// passage.go (a delivery that an app waits for), lane.go (the state of a
// route), sender.go (of a sender), throttle.go (how much a route bears, and
// may), backlog.go (the order of what waits for it), outcome.go (from what
// Deliver returned to what it means), settle.go (from there to the spool and
// the log), notify.go (and to the sender), room.go (where a message becomes
// durable, or finds no room), operate.go (what a person may do).
package queue
