package notice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// tryTime is how long one request may take, and pauses are those between two
// tries: when mail is in trouble, the network often is too.
const tryTime = 10 * time.Second

var pauses = [...]time.Duration{2 * time.Second, 10 * time.Second}

// A refusal is the answer of a webhook that would be the same again.
type refusal int

func (r refusal) Error() string {
	text := fmt.Sprintf("the answer was %d %s", int(r), http.StatusText(int(r)))
	if r < 400 {
		text += ", and notices are not sent on to where that leads"
	}
	return text
}

func isRefusal(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// newTransport makes a connection for each request: the next one is needed in
// minutes or days.
func newTransport() http.RoundTripper {
	return &http.Transport{Proxy: proxy, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
}

// proxy is the one that the environment names. What is wrong with its URL is not
// told, as a password may be in it.
func proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("HTTP_PROXY or HTTPS_PROXY in the environment is no URL")
	}
	return u, nil
}

// post gives body to a webhook, in three tries at most. Once ctx has ended
// there is no further one, and the one under way ends with late. The error
// has no part of the URL in it but the host.
func (n *Notifier) post(ctx, late context.Context, webhook string, body []byte) error {
	for try := 0; ; try++ {
		err := n.postOnce(late, webhook, body)
		if err == nil || isRefusal(err) || try == len(pauses) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pauses[try]):
		}
	}
}

func (n *Notifier) postOnce(ctx context.Context, webhook string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook, bytes.NewReader(body))
	if err != nil {
		return errors.New("it is not a URL") // err shows it
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Kurir/"+n.o.Version)
	client := http.Client{
		Transport: n.web,
		// What is told here is for the host that was configured; and most
		// redirects would turn the POST into a GET, which loses it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // the answer was in the status
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return errors.New("the answer was " + strconv.Itoa(code) + " " + http.StatusText(code))
	default:
		return refusal(code)
	}
}

// withoutURL is what kept a request from being answered. The client's errors
// have the whole URL in them.
func withoutURL(err error) error {
	var whole *url.Error
	if !errors.As(err, &whole) {
		return err
	}
	if whole.Timeout() {
		return fmt.Errorf("there was no answer within %s", tryTime)
	}
	return whole.Err
}
