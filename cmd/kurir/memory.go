package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// enough is how much memory Kurir may have without looking after it. It is no
// limit: a long queue needs more, and a collector that cannot reach its limit
// takes half of the processor.
const enough = 64 << 20

// giveBack returns what a burst has left behind, once a minute and sooner than
// the collector would, until ctx ends.
func giveBack(ctx context.Context) {
	look := time.NewTicker(time.Minute)
	defer look.Stop()
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		metrics.Read(memory)
		if memory[0].Value.Uint64()-memory[1].Value.Uint64() > enough {
			debug.FreeOSMemory()
		}
	}
}
