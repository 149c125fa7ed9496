package drop

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"kurir/upstream/envelope"
)

// What was taken and cannot be removed, as on a disk that has become
// read-only, is not taken a second time (P6).
func TestTakenOnce(t *testing.T) {
	dir, name := t.TempDir(), newName()
	taken := 0
	taker := NewTaker(Options{Dir: dir, Take: func(context.Context, envelope.Envelope, io.Reader) (Fate, string) {
		taken++
		return Taken, ""
	}})
	inTheWay := filepath.Join(dir, name, "x") // which root cannot remove either
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := taker.remove(name); err == nil {
		t.Fatal("it was removed")
	}
	for range 3 {
		if err := taker.take(t.Context(), name, new(int)); err == nil {
			t.Error("nobody is told")
		}
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if err := taker.take(t.Context(), name, new(int)); err != nil || taken != 0 || len(taker.taken) != 0 {
		t.Errorf("%v; taken %d times, %v", err, taken, taker.taken)
	}
}
