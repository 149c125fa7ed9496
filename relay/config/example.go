package config

import _ "embed"

//go:embed example.toml
var exampleText string

// Example is config.example.toml: every key with its default, and comments
// that say what it is for. The manual page is made of them.
func Example() string { return exampleText }
