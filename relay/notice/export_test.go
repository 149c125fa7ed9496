package notice

import "net/http"

// Through makes a notifier that does not run yet post over web, since time in
// a bubble stands still while a real network is waited for.
func (n *Notifier) Through(web http.RoundTripper) { n.web = web }
