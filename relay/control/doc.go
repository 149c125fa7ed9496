// Package control is the local door to a running relay: a unix socket over
// which a person at the same machine sees what waits and why, and can send,
// retry or drop it.
//
// It promises that nobody but the user and group of the socket get in, that a
// list of very many messages is streamed and never held in memory, and that
// nothing is removed without an ID or the word "all". Content of messages does
// not pass this door.
//
// Package page puts the same into a browser, for those whom the socket has told
// a token; package metrics has the numbers.
//
// Read Message, Filter and Status (message.go) first. A Desk (desk.go) answers
// the questions, from a queue that runs or from the files of one that does
// not; Server (server.go) puts it on the socket (socket.go), and Client
// (client.go) asks there.
package control
