package listener

import "io"

// legacyLines reads what a device sends that ends its lines with LF alone, the
// last one of a message too, as if it had sent CRLF. Behind it LF "." LF ends a
// message: whoever writes content that such a device sends can end it, and
// begin another.
type legacyLines struct {
	r  io.Reader
	cr bool // what came last was CR
}

// Read fills at most half of p with what comes, so that there is room for
// what is added.
func (l *legacyLines) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	from := p[len(p)-len(p)/2:]
	n, err := l.r.Read(from)
	to := 0
	for _, b := range from[:n] {
		if b == '\n' && !l.cr {
			p[to] = '\r'
			to++
		}
		p[to] = b
		to++
		l.cr = b == '\r'
	}
	return to, err
}
