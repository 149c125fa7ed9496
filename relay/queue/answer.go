package queue

import "kurir/upstream/explain"

// An Answer is what the app is told at the end of its data: 250 when the
// message is sent or safe, 4xx or 5xx when it is not taken.
type Answer struct {
	Code     int
	Enhanced explain.EnhancedCode
	Text     string // without codes; several lines are separated by \n
}

// Info is what the listener saw of a message and the log wants to tell.
type Info struct {
	MessageID string // the Message-ID field, with its angle brackets
}
