package core_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/sluiceproxy/sluice/core"
)

func TestARecordedBodyIsReplayedWhileItFits(t *testing.T) {
	const content = "hello, world"
	for first := range len(content) + 1 { // how much the first try reads
		b, src := streamed(content, -1)
		b.Record(int64(len(content)))
		if _, err := io.CopyN(io.Discard, b.Reader(), int64(first)); err != nil {
			t.Fatal(err)
		}
		if !b.Replayable() || !b.Rewind() {
			t.Fatalf("after %d bytes: cannot be rewound", first)
		}
		if got := readAll(t, b); got != content {
			t.Errorf("after %d bytes: second try read %q, due %q", first, got, content)
		}
		if b.Close(); !src.closed {
			t.Errorf("after %d bytes: the source was not closed", first)
		}
	}
}

func TestARecordDoesNotReadAhead(t *testing.T) {
	b, src := streamed(strings.Repeat("x", 1000), -1)
	b.Record(1000)
	if src.read != 0 {
		t.Errorf("%d bytes were read before anybody asked", src.read)
	}
	if _, err := io.CopyN(io.Discard, b.Reader(), 10); err != nil {
		t.Fatal(err)
	}
	if src.read > 1000 {
		t.Errorf("%d bytes were read for 10", src.read)
	}
}

func TestABodyThatOutgrowsTheRecordStreamsOnAndCannotBeRewound(t *testing.T) {
	long := strings.Repeat("0123456789", 1000)
	b := new(core.Body)
	b.Set(io.NopCloser(iotest.OneByteReader(strings.NewReader(long))), -1)
	b.Record(100)
	r := b.Reader()
	if _, err := io.CopyN(io.Discard, r, 100); err != nil || !b.Replayable() {
		t.Fatalf("at the limit: replayable %v %v, due true", b.Replayable(), err)
	}
	rest, err := io.ReadAll(r)
	if string(rest) != long[100:] || err != nil {
		t.Errorf("%d bytes and %v after the limit, due %d", len(rest), err, len(long)-100)
	}
	if b.Replayable() || b.Rewind() {
		t.Error("the body was rewound although part of it was let go")
	}
	if b.Reader() != r {
		t.Error("a failed Rewind changed the reader")
	}
}

func TestAStaleReaderEndsAndWhatItsReadBringsGoesToTheNextTry(t *testing.T) {
	client, server := io.Pipe()
	b := new(core.Body)
	b.Set(client, -1)
	b.Record(1 << 10)
	stale := b.Reader()

	var wg sync.WaitGroup
	wg.Go(func() { // the try that was given up, blocked on the client
		p := make([]byte, 4)
		for {
			if _, err := stale.Read(p); err != nil {
				if !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the stale read ended with %v, due %v", err, io.ErrClosedPipe)
				}
				return
			}
		}
	})
	if _, err := io.WriteString(server, "one "); err != nil {
		t.Fatal(err)
	}
	if !b.Rewind() {
		t.Fatal("cannot be rewound")
	}
	next := b.Reader()
	wg.Go(func() {
		for _, s := range []string{"two ", "three"} {
			if _, err := io.WriteString(server, s); err != nil {
				t.Error(err)
			}
		}
		server.Close()
	})
	got, err := io.ReadAll(next)
	if string(got) != "one two three" || err != nil {
		t.Errorf("the next try read %q %v, due \"one two three\"", got, err)
	}
	wg.Wait()
	if err := stale.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Read(nil); errors.Is(err, io.ErrClosedPipe) {
		t.Error("the stale reader closed the source")
	}
}

func TestManyTriesReadTheSameBytesWhileEarlierOnesStillRun(t *testing.T) {
	content := strings.Repeat("0123456789", 500)
	b := new(core.Body)
	b.Set(io.NopCloser(iotest.HalfReader(strings.NewReader(content))), -1)
	b.Record(int64(len(content)))
	var wg sync.WaitGroup
	for range 20 {
		stale := b.Reader()
		wg.Go(func() {
			p := make([]byte, 64)
			for {
				if _, err := stale.Read(p); err != nil {
					return
				}
			}
		})
		if !b.Rewind() {
			t.Fatal("cannot be rewound")
		}
	}
	if got := readAll(t, b); got != content {
		t.Errorf("the last try read %d bytes, due the same %d", len(got), len(content))
	}
	wg.Wait()
}

func TestAPanicInASourceLeavesTheRecordUsable(t *testing.T) {
	b := new(core.Body)
	b.Set(io.NopCloser(panicking{}), -1)
	b.Record(10)
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("recovered %v, due boom", p)
			}
		}()
		b.Reader().Read(make([]byte, 1))
	}()
	if _, err := b.Reader().Read(make([]byte, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read after the panic: %v, due %v", err, io.ErrUnexpectedEOF)
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("boom") }

func TestAnErrorOfTheSourceComesAfterItsBytes(t *testing.T) {
	broken := errors.New("reset")
	b := new(core.Body)
	b.Set(io.NopCloser(iotest.DataErrReader(io.MultiReader(strings.NewReader("ab"), errReader{broken}))), -1)
	b.Record(10)
	for range 2 {
		got, err := io.ReadAll(b.Reader())
		if string(got) != "ab" || !errors.Is(err, broken) {
			t.Errorf("read %q %v, due \"ab\" %v", got, err, broken)
		}
		b.Rewind()
	}
}

func TestAReadIntoNothingReturns(t *testing.T) {
	b, _ := streamed("x", 1)
	b.Record(1)
	if n, err := b.Reader().Read(nil); n != 0 || err != nil {
		t.Errorf("read %d %v, due 0 bytes and no error", n, err)
	}
}
