package relay

import (
	"fmt"
	"path/filepath"

	"kurir/relay/config"
	"kurir/relay/history"
)

// HistoryDir is where a relay of that configuration remembers what happened to
// mail; "" if it has no place for that.
func HistoryDir(c *config.Config) string {
	if c.StateDir == "" {
		return ""
	}
	return filepath.Join(c.StateDir, "history")
}

// keepHistory has the log's lines about mail kept. Mail flows without history.
func (r *Relay) keepHistory() {
	dir := HistoryDir(r.o.Config)
	if dir == "" {
		return
	}
	log := r.o.Log
	trouble := func(err error) {
		log.Warning("state_dir", fmt.Sprintf("what happens to mail is not remembered: %v", err))
	}
	var err error
	if r.history, err = history.Open(history.Options{Dir: dir, Trouble: trouble}); err != nil {
		trouble(err)
		return
	}
	r.o.Log = log.Keeping(r.history)
}
