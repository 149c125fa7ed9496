package relay

import (
	"time"

	"kurir/relay/config"
	"kurir/relay/notice"
	"kurir/relay/queue"
	"kurir/upstream/explain"
)

// newNotifier makes the notifier, and has the log tell it.
func (r *Relay) newNotifier() {
	r.notifier = notice.New(notice.Options{
		Settings: noticeSettings(r.o.Config),
		Host:     ownName(r.o.Config.Hostname),
		Version:  r.o.Version,
		Routes:   func() []queue.RouteState { return r.queue.Routes() },
		Log:      r.o.Log,
	})
	r.o.Log = r.o.Log.Telling(r.notifier.Tell)
}

func noticeSettings(c *config.Config) notice.Settings {
	return notice.Settings{
		Webhook:  c.Notify.Webhook.Reveal(),
		Command:  c.Notify.Command,
		Every:    time.Duration(c.Notify.Every),
		Language: explain.Language(c.Log.Language),
	}
}
