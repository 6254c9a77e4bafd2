package core

import (
	"errors"
	"io"
)

// ErrBodyTooLarge is returned by Body.Buffer when the body is longer than its limit.
var ErrBodyTooLarge = errors.New("body is longer than the limit")

// Body is the body of a request or a response. It is pulled: nothing is read before somebody
// reads, and nothing is kept unless a filter asks with Buffer or Record. The zero value is no body.
//
// A filter that changes a body calls Wrap. A request body may be read on another goroutine after
// next has returned; the methods of Body itself belong to the exchange's goroutine.
type Body struct {
	r      io.ReadCloser // a *memReader when all of the body is in memory
	length int64
	rec    *recorder
}

// None reports whether there is no body at all: no Content-Length and nothing to read.
func (b *Body) None() bool { return b.r == nil }

// Length returns the number of bytes, or -1 when only the end of the stream will tell.
// It is 0 when there is no body.
func (b *Body) Length() int64 {
	if b.r == nil {
		return 0
	}
	return b.length
}

// Reader returns the stream, nil when there is no body. After Rewind it must be asked for anew.
func (b *Body) Reader() io.ReadCloser { return b.r }

// Set makes r the body; length is -1 when it is not known. The former stream is not closed.
func (b *Body) Set(r io.ReadCloser, length int64) {
	b.r, b.length, b.rec = r, length, nil
}

// SetBytes makes p the body. p is not copied and must not change before the exchange ends.
func (b *Body) SetBytes(p []byte) {
	b.r, b.length, b.rec = &memReader{bytes: p}, int64(len(p)), nil
}

// SetString makes s the body.
func (b *Body) SetString(s string) {
	b.r, b.length, b.rec = &memReader{text: s}, int64(len(s)), nil
}

// memory returns the reader of a body that is in memory, nil for any other.
func (b *Body) memory() *memReader {
	m, _ := b.r.(*memReader)
	return m
}

// restart makes the next Reader of a body in memory start at its first byte. The reader before is
// left alone: a try that was given up may be in it on another goroutine.
func (b *Body) restart(m *memReader) { b.r = &memReader{bytes: m.bytes, text: m.text} }

// Clear makes it no body. The former stream is not closed.
func (b *Body) Clear() { *b = Body{} }

// Close closes the stream, if there is one; what was not read is given up.
func (b *Body) Close() error {
	if b.r == nil {
		return nil
	}
	return b.r.Close()
}

// Wrap puts a filter's reader over the stream. length is the new length, -1 when it is not known.
// It does nothing when there is no body.
func (b *Body) Wrap(length int64, wrap func(io.ReadCloser) io.ReadCloser) {
	if b.r == nil {
		return
	}
	b.r, b.length, b.rec = wrap(b.r), length, nil
}

// Buffered returns the body when all of it is in memory, as after SetBytes, SetString and Buffer.
func (b *Body) Buffered() (p []byte, text string, ok bool) {
	m := b.memory()
	if m == nil {
		return nil, "", b.r == nil
	}
	return m.bytes, m.text, true
}

// Buffer reads all of the body, up to limit bytes, and keeps it, so that it can be read and
// replayed any number of times. The result must not be changed and is valid until the exchange
// ends. When the body is longer it returns ErrBodyTooLarge, and what was read is still there to
// be streamed.
func (b *Body) Buffer(limit int64) ([]byte, error) {
	if b.r == nil {
		return nil, nil
	}
	if m := b.memory(); m != nil {
		return b.bufferedBytes(m, limit)
	}
	if b.length > limit {
		return nil, ErrBodyTooLarge
	}
	p, err := readUpTo(b.r, limit, b.length)
	if errors.Is(err, ErrBodyTooLarge) {
		b.r = &joined{head: memReader{bytes: p}, rest: b.r}
		b.rec = nil
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if err := b.r.Close(); err != nil {
		return nil, err
	}
	b.SetBytes(p)
	return p, nil
}

func (b *Body) bufferedBytes(m *memReader, limit int64) ([]byte, error) {
	if b.length > limit {
		return nil, ErrBodyTooLarge
	}
	if m.bytes == nil && m.text != "" {
		m = &memReader{bytes: []byte(m.text)}
	}
	b.restart(m)
	return m.bytes, nil
}

// firstRead is how much room readUpTo makes at first, however long the body says it is: a client
// must not claim memory by a Content-Length alone.
const firstRead = 1 << 20

// readUpTo reads r to its end. With ErrBodyTooLarge it returns what it has read so far.
func readUpTo(r io.Reader, limit, hint int64) ([]byte, error) {
	size := int64(4096)
	if hint >= 0 {
		size = min(hint, firstRead) + 1
	}
	p := make([]byte, 0, size)
	for {
		if len(p) == cap(p) {
			p = append(p, 0)[:len(p)]
		}
		n, err := r.Read(p[len(p):cap(p)])
		p = p[:len(p)+n]
		if int64(len(p)) > limit {
			return p, ErrBodyTooLarge
		}
		if err == io.EOF {
			return p, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// memReader reads a body that is in memory.
type memReader struct {
	bytes []byte
	text  string
	off   int
}

func (m *memReader) Read(p []byte) (int, error) {
	var n int
	if m.bytes != nil {
		n = copy(p, m.bytes[m.off:])
	} else {
		n = copy(p, m.text[m.off:])
	}
	m.off += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (m *memReader) Close() error { return nil }

// joined reads head, then rest.
type joined struct {
	head memReader
	rest io.ReadCloser
}

func (j *joined) Read(p []byte) (int, error) {
	if n, err := j.head.Read(p); n > 0 || err == nil {
		return n, nil
	}
	return j.rest.Read(p)
}

func (j *joined) Close() error { return j.rest.Close() }
