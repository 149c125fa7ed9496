package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// block is how much of a file is read at once, and about the longest line.
const block = 1 << 20

// needle is what the lines that may be meant have in them: a text as the log
// writes it in JSON, which is without an escape for <, > and &, and without its
// quotes.
func needle(text string) []byte {
	text = strings.Trim(text, "<>")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return []byte(text)
	}
	quoted := bytes.TrimSpace(b.Bytes())
	return quoted[1 : len(quoted)-1]
}

// grep gives the lines of a file that have the needle in them, in whatever
// case if none has it as it is written.
func grep(dir string, f part, needle []byte, take func(line []byte)) error {
	found := false
	err := lines(dir, f, 0, func(b []byte) { found = search(b, b, needle, take) || found })
	if err != nil || found {
		return err
	}
	needle = toLower(nil, needle)
	var lower []byte
	return lines(dir, f, 0, func(b []byte) {
		lower = toLower(lower, b)
		search(b, lower, needle, take)
	})
}

// search gives the lines of b where text, which is as long, has the needle, and
// tells whether there was one.
func search(b, text, needle []byte, take func(line []byte)) (found bool) {
	for from := 0; ; {
		i := bytes.Index(text[from:], needle)
		if i < 0 {
			return found
		}
		found = true
		start, end := around(b, from+i)
		take(b[start:end])
		from = end
	}
}

// toLower gives b with the letters of ASCII in lower case, in room if it fits.
func toLower(room, b []byte) []byte {
	lower := append(room[:0], b...)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c | 0x20
		}
	}
	return lower
}

// around are the ends of the line that an octet is in.
func around(b []byte, at int) (start, end int) {
	start = bytes.LastIndexByte(b[:at], '\n') + 1
	end = len(b)
	if i := bytes.IndexByte(b[at:], '\n'); i >= 0 {
		end = at + i
	}
	return start, end
}

// lines gives a file from an offset in pieces of whole lines, which are valid
// until take returns. A last line without its end is left out: it is being
// written, or was torn.
func lines(dir string, f part, offset int64, take func(b []byte)) error {
	file, err := os.Open(filepath.Join(dir, f.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it went just now
	}
	if err != nil {
		return err
	}
	defer file.Close()
	buf := make([]byte, block)
	for have := 0; ; {
		n, err := file.ReadAt(buf[have:], offset)
		offset += int64(n)
		have += n
		end := bytes.LastIndexByte(buf[:have], '\n') + 1
		if end > 0 {
			take(buf[:end])
		} else if have == len(buf) {
			have = 0 // no line of ours is that long
			continue
		}
		have = copy(buf, buf[end:have])
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// tail gives the last lines of a file, at least as many as are wanted if it
// has them; 0 wants all.
func tail(dir string, f part, want int, take func(line []byte)) error {
	offset := int64(0)
	const about = 512 // octets of a line
	if back := int64(want) * 2 * about; want > 0 && back < f.size {
		offset = f.size - back
	}
	for {
		n, first := 0, offset > 0
		var all [][]byte
		err := lines(dir, f, offset, func(b []byte) {
			for line := range bytes.Lines(b) {
				if first { // its beginning may be missing
					first = false
					continue
				}
				n++
				all = append(all, bytes.Clone(line))
			}
		})
		if err != nil || offset == 0 || n >= want {
			for _, line := range all {
				take(line)
			}
			return err
		}
		offset = max(0, offset-(f.size-offset))
	}
}
