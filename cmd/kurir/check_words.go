package main

import (
	_ "embed"

	"kurir/upstream/explain"
)

var (
	//go:embed check.en.toml
	checkEnglish string
	//go:embed check.id.toml
	checkIndonesian string
)

// checkWords are what "kurir check" says in one language.
func checkWords(l explain.Language) explain.Words { return l.Words(checkEnglish, checkIndonesian) }
