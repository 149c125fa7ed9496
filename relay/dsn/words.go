package dsn

import (
	_ "embed"

	"kurir/upstream/explain"
)

var (
	//go:embed words.en.toml
	english string
	//go:embed words.id.toml
	indonesian string
)

// words are what a notification says in its language.
func (r *Report) words() explain.Words { return r.Language.Words(english, indonesian) }
