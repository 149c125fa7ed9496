package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"

	"kurir/relay/spool"
)

// A Client asks a relay over its socket. It keeps no connection.
type Client struct{ http http.Client }

// ErrNotRunning says that no relay answers on the socket.
var ErrNotRunning = errors.New("no Kurir runs, or its control socket cannot be reached")

// NewClient makes a client of the relay that answers on the first of the
// paths where one does.
func NewClient(paths []string) *Client {
	return &Client{http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, paths) },
	}}}
}

// do asks; the caller closes the answer. Its errors wrap ErrNotRunning, or
// spool.ErrNotFound, where that is what happened.
func (c *Client) do(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://kurir/v1/"+path, &b)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(r)
	var network *net.OpError
	switch {
	case errors.As(err, &network) && network.Op == "dial":
		if where, ok := errors.AsType[*url.Error](err); ok { // which names a host that is none
			err = where.Err
		}
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusOK:
		return res.Body, nil
	}
	defer res.Body.Close()
	var p problem
	if err := json.NewDecoder(io.LimitReader(res.Body, requestOctets)).Decode(&p); err != nil {
		return nil, fmt.Errorf("the relay answers %s", res.Status)
	}
	if res.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %s", spool.ErrNotFound, p.Error)
	}
	return nil, errors.New(p.Error)
}

func ask[T any](ctx context.Context, c *Client, method, path string, body any) (v T, err error) {
	r, err := c.do(ctx, method, path, body)
	if err != nil {
		return v, err
	}
	defer r.Close()
	err = json.NewDecoder(r).Decode(&v)
	return v, err
}

// Status tells how the relay is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "status", nil)
}

// Show tells the story of a message. It fails with spool.ErrNotFound.
func (c *Client) Show(ctx context.Context, id spool.ID) (*Story, error) {
	return ask[*Story](ctx, c, http.MethodGet, "queue/"+url.PathEscape(id.String()), nil)
}

// Reload has the relay read its configuration again. needRestart are the keys
// that changed and are not in use before that; an error says why the relay goes
// on with the old configuration.
func (c *Client) Reload(ctx context.Context) (needRestart []string, err error) {
	done, err := ask[Reloaded](ctx, c, http.MethodPost, "reload", nil)
	return done.NeedRestart, err
}

// FlushHistory has what happened just now written to the history.
func (c *Client) FlushHistory(ctx context.Context) error {
	_, err := ask[Done](ctx, c, http.MethodPost, "history/flush", nil)
	return err
}

// Flush has everything tried now.
func (c *Client) Flush(ctx context.Context) (Done, error) {
	return ask[Done](ctx, c, http.MethodPost, "queue/flush", nil)
}

// Retry has messages tried now; those that have failed wait again. sofar hears
// what is done, from time to time.
func (c *Client) Retry(ctx context.Context, choice Choice, sofar func(Done)) (Done, error) {
	return c.act(ctx, "queue/retry", choice, sofar)
}

// Drop removes messages for good. sofar hears what is done, from time to time.
func (c *Client) Drop(ctx context.Context, choice Choice, sofar func(Done)) (Done, error) {
	return c.act(ctx, "queue/drop", choice, sofar)
}

func (c *Client) act(ctx context.Context, path string, choice Choice, sofar func(Done)) (done Done, err error) {
	for now, err := range lines[Done](ctx, c, path, choice) {
		if err != nil {
			return done, err
		}
		done = now
		sofar(done)
	}
	return done, nil
}

// List gives the messages that fit, oldest first, as the relay sends them.
func (c *Client) List(ctx context.Context, f Filter) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for m, err := range lines[Message](ctx, c, "queue/list", f) {
			if err == nil && m.ID == 0 { // a problem
				err = errors.New(m.Error)
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// lines gives an answer of one JSON object a line, up to the first error.
func lines[T any](ctx context.Context, c *Client, path string, body any) iter.Seq2[T, error] {
	return func(yield func(v T, err error) bool) {
		var v T
		r, err := c.do(ctx, http.MethodPost, path, body)
		if err != nil {
			yield(v, err)
			return
		}
		defer r.Close()
		for next := json.NewDecoder(r); ; {
			var v T
			if err := next.Decode(&v); err == io.EOF || !yield(v, err) || err != nil {
				return
			}
		}
	}
}
