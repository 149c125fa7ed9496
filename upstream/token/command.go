package token

import (
	"context"
	"time"

	"kurir/upstream/explain"
)

// A token of a command does not say how long it lives. Its life is set so that
// the command runs again after half an hour.
const commandLife = 30*time.Minute + aheadOfNeed

// NewCommand makes a source of tokens that somebody else gets and run hands
// over, such as a command that prints one. It runs when a token is first
// wanted, every 30 minutes, and when the provider refuses a token. What its
// error says is shown, and must not be secret.
func NewCommand(account string, log Log, run func(context.Context) (string, error)) *Source {
	s := newSource(account, log)
	s.renew = func(ctx context.Context, _ access) (access, error) {
		t, err := run(ctx)
		if err != nil {
			return access{}, &Error{Code: commandFailed, Description: harmless(err.Error(), nil)}
		}
		now := time.Now()
		return access{token: t, got: now, end: now.Add(commandLife)}, nil
	}
	s.failure = func(err error) *explain.Failure { return (&endpoint{}).failure(err) }
	return s
}
