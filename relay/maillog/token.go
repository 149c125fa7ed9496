package maillog

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"kurir/upstream/explain"
)

// TokenRefreshed tells that account has a new OAuth2 token, good until then.
func (l *Log) TokenRefreshed(account string, until time.Time) {
	l.event(zerolog.InfoLevel, "token.refreshed", nil).Str("account", account).Time("until", until).
		Msg("got a new OAuth2 token for " + account)
}

// TokenFailed tells that no new OAuth2 token could be got for account, which is
// tried again not before next; good is the end of the one that is used until
// then, zero if there is none.
func (l *Log) TokenFailed(account string, f *explain.Failure, next, good time.Time) {
	e := l.event(levelOf(f), "token.failed", f).Str("account", account)
	l.failure(e, f).Time("next", next)
	message := fmt.Sprintf("no OAuth2 token for %s: %s", account, l.explain(f).Title)
	if !good.IsZero() {
		e.Time("until", good)
		message = fmt.Sprintf("no new OAuth2 token for %s, whose old one is still good: %s", account, l.explain(f).Title)
	}
	e.Msg(message)
}
