package main

import (
	"os"
	"runtime/debug"
)

// softLimit is how much memory Kurir likes to stay below: what a burst has left
// behind is given up sooner than the collector would, which is not a bound on
// what is in use. GOMEMLIMIT in the environment takes its place.
const softLimit = 96 << 20

func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softLimit)
	}
}
