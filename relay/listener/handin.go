package listener

import (
	"context"
	"errors"
	"io"

	"kurir/relay/queue"
	"kurir/relay/rewrite"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// localOrigin is how Received names who hands mail in on this host.
const localOrigin = "localhost (local app)"

// HandIn takes a message that came by another way than a session, and does
// with it what Data does: lines may end in LF or CRLF, and the last one in
// nothing. client is who the log says it is from. submit takes the draft over,
// as Options.Submit does; what is refused before that has its answer, and a
// line in the log, as well.
func (s *Server) HandIn(ctx context.Context, env envelope.Envelope, client string, content io.Reader, submit func(context.Context, *spool.Draft) queue.Answer) queue.Answer {
	draft, w, err := s.begin(env, client, localOrigin, "local")
	if err != nil {
		return s.notHandedIn(env, client, err)
	}
	defer w.Release()
	n := &canonical{w: w, limit: s.opts.MaxMessageSize(), fresh: true}
	_, err = io.Copy(n, content)
	if err == nil {
		n.finish()
		err = n.err
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		draft.Close()
		return s.notHandedIn(env, client, err)
	}
	draft.MessageID, draft.Subject = w.Header().MessageID, w.Header().Subject
	return submit(ctx, draft)
}

// Write is text, and tells what has failed.
func (n *canonical) Write(p []byte) (int, error) {
	n.text(p)
	return len(p), n.err
}

// begin makes a draft for a message that comes from origin, under the policy of
// the moment, and what mends its header on the way there. The caller closes the
// draft and releases the writer.
func (s *Server) begin(env envelope.Envelope, client, origin, with string) (*spool.Draft, *rewrite.Writer, error) {
	policy := s.set().Rewrite
	env = policy.Envelope(env)
	draft, err := s.opts.Spool.Draft(env, client)
	if err != nil {
		return nil, nil, err
	}
	return draft, rewrite.NewWriter(draft, rewrite.Options{
		Hostname: s.opts.Hostname,
		ID:       draft.ID().String(),
		Received: draft.Received(),
		Origin:   origin,
		With:     with,
		Sender:   env.From,
		Policy:   policy,
		Reserve:  &s.headers,
	}), nil
}

// Address reads an address of an app as its commands are read.
func (s *Server) Address(mailbox string) (envelope.Path, error) {
	return parseAddress(mailbox, s.opts.Hostname)
}

func (s *Server) notHandedIn(env envelope.Envelope, client string, err error) queue.Answer {
	r := s.contentRefusal(err)
	return queue.Answer{Code: r.code, Enhanced: r.enhanced, Text: s.refuse(explain.StageDot, client, env, r).Title}
}

// contentRefusal says what is wrong with content that could not be written.
func (s *Server) contentRefusal(err error) *refusal {
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge("here", s.opts.MaxMessageSize())
	case errors.Is(err, rewrite.ErrBusy):
		return refuse(452, explain.EnhancedCode{4, 3, 1}, explain.ServerBusy, "here")
	case errors.Is(err, rewrite.ErrHeaderTooLarge):
		return tooLarge("here_header", rewrite.MaxHeader)
	case errors.Is(err, rewrite.ErrLoop):
		return refuse(554, explain.EnhancedCode{5, 4, 6}, explain.MessageMalformed, "here_loop")
	}
	s.opts.Spool.NoRoom(err)
	return spoolRefusal(err)
}
