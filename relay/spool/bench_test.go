package spool_test

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"kurir/relay/spool"
	"kurir/upstream/envelope"
)

var kilobyte = bytes.Repeat([]byte("Terima kasih atas pesanan Anda: dikirim besok pagi, tiba lusa.\r\n"), 16)

// share runs one with each of b.N numbers, on that many goroutines.
func share(b *testing.B, writers int, one func()) {
	b.SetBytes(int64(len(kilobyte)))
	b.ReportAllocs()
	var wg sync.WaitGroup
	var n atomic.Int64
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for n.Add(1) <= int64(b.N) {
				one()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func openBench(b *testing.B) *spool.Spool {
	s, _, err := spool.Open(spool.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func commit(tb testing.TB, s *spool.Spool, content []byte) spool.ID {
	d, err := s.Draft(envelope.Envelope{
		From: "toko@example.com", To: []envelope.Recipient{{To: "pelanggan@example.org"}},
	}, "127.0.0.1:40000")
	if err != nil {
		tb.Error(err)
		return 0
	}
	defer d.Close()
	if _, err := d.Write(content); err != nil {
		tb.Error(err)
	}
	if err := d.Commit(); err != nil {
		tb.Error(err)
	}
	return d.ID()
}

// BenchmarkCommit is what intake can reach: messages of 1 KB made durable.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 16, 100} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := openBench(b)
			share(b, writers, func() { commit(b, s, kilobyte) })
		})
	}
}

// BenchmarkCycle puts a message, reads it back and marks it done, as a
// message does that is delivered at the first attempt.
func BenchmarkCycle(b *testing.B) {
	for _, writers := range []int{1, 16, 100} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := openBench(b)
			share(b, writers, func() {
				id := commit(b, s, kilobyte)
				m, _, err := s.Message(id)
				if err != nil {
					b.Error(err)
					return
				}
				r, err := m.Open()
				if err != nil {
					b.Error(err)
					return
				}
				if n, err := io.Copy(io.Discard, r); err != nil || n != m.Size {
					b.Error(n, err)
				}
				r.Close()
				if err := s.Done(id); err != nil {
					b.Error(err)
				}
			})
		})
	}
}
