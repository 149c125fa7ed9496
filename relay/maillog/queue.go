package maillog

import (
	"fmt"

	"github.com/rs/zerolog"
)

// QueueRetry tells that a person has a message tried now; uid is who, -1 if
// that is not known.
func (l *Log) QueueRetry(uid int, id string) {
	l.event(zerolog.InfoLevel, "queue.retry", nil).Str("id", id).Int("uid", uid).Msg("a person has it tried again")
}

// QueueDrop tells that a person removed a message.
func (l *Log) QueueDrop(uid int, id string) {
	l.event(zerolog.WarnLevel, "queue.drop", nil).Str("id", id).Int("uid", uid).Msg("a person removed it")
}

// QueueFlush tells that a person has everything tried now.
func (l *Log) QueueFlush(uid, messages int) {
	l.event(zerolog.InfoLevel, "queue.flush", nil).Int("uid", uid).Int("messages", messages).
		Msg(fmt.Sprintf("a person has %d messages tried now", messages))
}
