package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// enough is how much memory Kurir may have without looking after it. It is no
// limit: a long queue needs more, and a collector that cannot reach its limit
// takes half of the processor.
const enough = 64 << 20

// little is what Kurir allocates in a minute in which it has nothing to do, but
// for a mail now and then and somebody who looks.
const little = 4 << 20

// giveBack returns what a burst leaves behind, until ctx ends: what is too much
// once a minute, sooner than the collector would, and all of it when the burst
// is over. An idle Kurir is so as small as one that has just started.
func giveBack(ctx context.Context) {
	look := time.NewTicker(time.Minute)
	defer look.Stop()
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	var before uint64
	var busy bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		metrics.Read(memory)
		held, allocated := memory[0].Value.Uint64()-memory[1].Value.Uint64(), memory[2].Value.Uint64()
		was := busy
		busy, before = allocated-before > little, allocated
		switch {
		case was && !busy:
			runtime.GC() // what a pool holds outlives one collection
			settle()
		case held > enough:
			debug.FreeOSMemory()
		}
	}
}
