package maillog

import (
	"fmt"
	"time"

	"kurir/upstream/explain"
)

// TokenRefreshed tells that account has a new OAuth2 token, good until then.
func (l *Log) TokenRefreshed(account string, until time.Time) {
	l.count(Count{Event: "token.refreshed"})
	l.z.Info().Str("event", "token.refreshed").Str("account", account).Time("until", until).
		Msg("got a new OAuth2 token for " + account)
}

// TokenFailed tells that no new OAuth2 token could be got for account, which is
// tried again not before next; good is the end of the one that is used until
// then, zero if there is none.
func (l *Log) TokenFailed(account string, f *explain.Failure, next, good time.Time) {
	l.countFailure("token.failed", f)
	e := l.z.WithLevel(levelOf(f)).Str("event", "token.failed").Str("account", account)
	l.failure(e, f).Time("next", next)
	message := fmt.Sprintf("no OAuth2 token for %s: %s", account, l.explain(f).Title)
	if !good.IsZero() {
		e.Time("until", good)
		message = fmt.Sprintf("no new OAuth2 token for %s, whose old one is still good: %s", account, l.explain(f).Title)
	}
	e.Msg(message)
}
