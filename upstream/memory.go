package upstream

import (
	"encoding/json"
	"os"
	"time"

	"kurir/upstream/explain"
)

// memory is what survives a restart, as JSON in Options.StateFile.
type memory struct {
	Host  string             `json:"host"`
	Way   *explain.Candidate `json:"way,omitempty"`
	Since time.Time          `json:"since"`
	Size  int64              `json:"size,omitempty"` // what EHLO announced
}

// readMemory treats a file that is missing or damaged as no memory: it only
// saves time.
func readMemory(path string) (m memory) {
	if path == "" {
		return m
	}
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &m) != nil {
		return memory{}
	}
	if m.Size < leastSize {
		m.Size = 0
	}
	return m
}

func (r *route) rememberSize(size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory.Size = size
	r.save()
}

// save replaces the state file. Losing it costs a search, so its errors are
// not worth a failed delivery.
func (r *route) save() {
	if r.o.StateFile == "" {
		return
	}
	data, err := json.Marshal(r.memory)
	if err != nil {
		return
	}
	draft := r.o.StateFile + ".new"
	if os.WriteFile(draft, append(data, '\n'), 0o600) == nil {
		_ = os.Rename(draft, r.o.StateFile)
	}
}
