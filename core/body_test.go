package core_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/core"
)

// source is a stream that tells whether it was closed and how much of it was read.
type source struct {
	io.Reader
	closed bool
	read   int
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.read += n
	return n, err
}

func (s *source) Close() error {
	s.closed = true
	return nil
}

func streamed(content string, length int64) (*core.Body, *source) {
	src := &source{Reader: strings.NewReader(content)}
	b := new(core.Body)
	b.Set(src, length)
	return b, src
}

func readAll(t *testing.T, b *core.Body) string {
	t.Helper()
	if b.Reader() == nil {
		return ""
	}
	p, err := io.ReadAll(b.Reader())
	if err != nil {
		t.Fatalf("read the body: %v after %q", err, p)
	}
	return string(p)
}

func TestTheZeroBodyIsNone(t *testing.T) {
	var b core.Body
	p, err := b.Buffer(0)
	if !b.None() || b.Length() != 0 || b.Reader() != nil || b.Close() != nil || p != nil || err != nil || !b.Rewind() || !b.Replayable() {
		t.Errorf("none %v length %d reader %v buffer %q %v", b.None(), b.Length(), b.Reader(), p, err)
	}
	b.Wrap(-1, func(io.ReadCloser) io.ReadCloser {
		t.Error("a body that is none was wrapped")
		return nil
	})
	b.Record(10)
}

func TestABodyInMemoryIsReadAnyNumberOfTimes(t *testing.T) {
	for name, set := range map[string]func(b *core.Body){
		"bytes":  func(b *core.Body) { b.SetBytes([]byte("hello")) },
		"string": func(b *core.Body) { b.SetString("hello") },
	} {
		var b core.Body
		set(&b)
		for range 2 {
			if got := readAll(t, &b); got != "hello" || b.Length() != 5 {
				t.Errorf("%s: read %q of length %d, due \"hello\"", name, got, b.Length())
			}
			if !b.Replayable() || !b.Rewind() {
				t.Errorf("%s: cannot be rewound", name)
			}
		}
		readAll(t, &b)
		if p, err := b.Buffer(5); string(p) != "hello" || err != nil {
			t.Errorf("%s: buffer %q %v", name, p, err)
		}
		if got := readAll(t, &b); got != "hello" {
			t.Errorf("%s: read %q after Buffer, due \"hello\"", name, got)
		}
		if _, err := b.Buffer(4); !errors.Is(err, core.ErrBodyTooLarge) {
			t.Errorf("%s: buffer of 4: %v, due too large", name, err)
		}
	}
}

func TestBufferKeepsWhatFits(t *testing.T) {
	for _, length := range []int64{-1, 5} {
		for _, limit := range []int64{5, 6, math.MaxInt64} {
			b, src := streamed("hello", length)
			p, err := b.Buffer(limit)
			if string(p) != "hello" || err != nil || !src.closed || b.Length() != 5 {
				t.Errorf("length %d limit %d: %q %v, closed %v, length %d", length, limit, p, err, src.closed, b.Length())
			}
			for range 2 {
				if got := readAll(t, b); got != "hello" {
					t.Errorf("length %d limit %d: read %q, due \"hello\"", length, limit, got)
				}
				b.Rewind()
			}
		}
	}
}

func TestABodyAboveTheLimitOfBufferStillStreams(t *testing.T) {
	long := strings.Repeat("0123456789", 10_000)
	for _, length := range []int64{-1, int64(len(long))} {
		b, src := streamed(long, length)
		if p, err := b.Buffer(99_999); p != nil || !errors.Is(err, core.ErrBodyTooLarge) {
			t.Fatalf("length %d: %d bytes, %v, due too large", length, len(p), err)
		}
		if _, _, ok := b.Buffered(); ok {
			t.Errorf("length %d: the body is in memory", length)
		}
		if got := readAll(t, b); got != long {
			t.Errorf("length %d: %d bytes streamed, due all %d", length, len(got), len(long))
		}
		if b.Close(); !src.closed {
			t.Errorf("length %d: the source was not closed", length)
		}
	}
}

func TestBufferTrustsNoLengthWithItsMemory(t *testing.T) {
	b, _ := streamed("short", 1<<40)
	if p, err := b.Buffer(1 << 41); string(p) != "short" || err != nil || cap(p) > 2<<20 {
		t.Errorf("%q %v with room for %d bytes", p, err, cap(p))
	}
}

func TestBufferReportsTheErrorOfTheStream(t *testing.T) {
	broken := errors.New("reset")
	var b core.Body
	b.Set(io.NopCloser(io.MultiReader(strings.NewReader("he"), errReader{broken})), -1)
	if _, err := b.Buffer(10); !errors.Is(err, broken) {
		t.Errorf("error %v, due %v", err, broken)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestWrapPutsAReaderOverTheStream(t *testing.T) {
	b, src := streamed("hello", 5)
	b.Wrap(-1, func(r io.ReadCloser) io.ReadCloser { return upper{r} })
	if got := readAll(t, b); got != "HELLO" || b.Length() != -1 {
		t.Errorf("read %q of length %d, due HELLO and -1", got, b.Length())
	}
	if b.Rewind() {
		t.Error("a wrapped stream was rewound")
	}
	if b.Close(); !src.closed {
		t.Error("the source was not closed")
	}
}

type upper struct{ io.ReadCloser }

func (u upper) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

func TestAReaderOfABodyInMemoryIsNotMovedByRewind(t *testing.T) {
	var b core.Body
	b.SetString(strings.Repeat("x", 100_000))
	stale := b.Reader()
	done := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, struct{ io.Reader }{stale})
		done <- n
	}()
	for range 100 {
		b.Rewind()
		if _, err := b.Buffer(1 << 20); err != nil {
			t.Error(err)
		}
	}
	b.SetString("y")
	if n := <-done; n != 100_000 {
		t.Errorf("the stale reader read %d bytes, due 100000", n)
	}
	if got := readAll(t, &b); got != "y" {
		t.Errorf("read %q, due y", got)
	}
}
