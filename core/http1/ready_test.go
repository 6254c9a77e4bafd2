package http1_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

func TestReadyTellsWhetherAReadWouldWait(t *testing.T) {
	for _, c := range []struct {
		name     string
		length   int64
		buffered string // has arrived; one byte of data has been read
		ready    bool
	}{
		{"a length with more in the buffer", 5, "ab", true},
		{"a length with nothing in the buffer", 5, "a", false},
		{"a length that was read to its end", 1, "a", true},
		{"to close with more in the buffer", http1.ToClose, "ab", true},
		{"to close with nothing in the buffer", http1.ToClose, "a", false},
		{"within a chunk", http1.Chunked, "2\r\nab", true},
		{"within a chunk, nothing in the buffer", http1.Chunked, "2\r\na", false},
		{"between chunks", http1.Chunked, "1\r\na", false},
		{"between chunks, before the size", http1.Chunked, "1\r\na\r\n", false},
		{"between chunks, within the size", http1.Chunked, "1\r\na\r\n1\r", false},
		{"between chunks, before the data", http1.Chunked, "1\r\na\r\n1\r\n", false},
		{"between chunks, with data", http1.Chunked, "1\r\na\r\n1;x=y\r\nb", true},
		{"before the last chunk's end", http1.Chunked, "1\r\na\r\n0\r\n", false},
		{"before a trailer", http1.Chunked, "1\r\na\r\n0\r\nA: b\r\n", false},
		{"at the end", http1.Chunked, "1\r\na\r\n0\r\n\r\n", true},
	} {
		var rd http1.Reader
		rd.Reset(&source{rest: c.buffered, step: len(c.buffered)})
		var b http1.Body
		b.Init(&rd, new(owner), c.length, 0, new(core.Header))
		if n, err := b.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("%s: the first read returned %d, %v", c.name, n, err)
		}
		if got := b.Ready(); got != c.ready {
			t.Errorf("%s: %q arrived, one byte read: ready %v, due %v", c.name, c.buffered, got, c.ready)
		}
	}
}
