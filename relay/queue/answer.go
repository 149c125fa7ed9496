package queue

import "kurir/upstream/explain"

// An Answer is what the app is told at the end of its data: 250 when the
// message is sent or safe, 4xx or 5xx when it is not taken.
type Answer struct {
	Code     int
	Enhanced explain.EnhancedCode
	Text     string // without codes; several lines are separated by \n
}
