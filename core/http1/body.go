package http1

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/sock"
)

// Owner is who reads a Body's connection.
type Owner interface {
	// BeforeRead is called when a read of the body is about to wait for the connection. An error
	// ends the body.
	BeforeRead() error
	// BodyEnded is called once: with nil when the last byte and trailer were read, with
	// ErrBodyClosed when the body was closed before, else with why the read failed.
	// What it returns for an error is what readers of the body see.
	BodyEnded(err error) error
}

// ErrBodyClosed is what BodyEnded gets when nobody read the body to its end.
var ErrBodyClosed = errors.New("body closed before its end")

// Limits of what chunked framing may cost beside the data.
const (
	maxChunkLine = 4 << 10  // one chunk-size line with its extensions
	maxChunkExt  = 64 << 10 // all extensions of a message
	maxTrailer   = 16 << 10 // bytes of a trailer section
	maxFields    = 100      // fields of a trailer section
)

// Body reads a message's body from a Reader. It is an io.ReadCloser; Init makes it ready, again
// for each message. Once it has ended it touches neither Reader nor Owner any more, which may by
// then serve somebody else.
type Body struct {
	rd      *Reader
	owner   Owner
	trailer *core.Header
	left    int64 // of the body, or of the current chunk
	total   int64
	max     int64
	ext     int // bytes of chunk extensions so far
	kind    bodyKind
	ended   bool
	err     error
}

type bodyKind uint8

const (
	byLength bodyKind = iota
	byChunk
	byClose
	inChunk // within a chunk's data
)

// Init prepares b for a body of the length (or Chunked, ToClose). Above max bytes, when max is
// not 0, reading fails with body_too_large. Trailer fields go to trailer.
func (b *Body) Init(rd *Reader, owner Owner, length, max int64, trailer *core.Header) {
	*b = Body{rd: rd, owner: owner, trailer: trailer, max: max}
	switch length {
	case Chunked:
		b.kind = byChunk
	case ToClose:
		b.kind = byClose
	default:
		b.left = length
	}
}

// Read reads body bytes. When the end was reached it is known before the call that returns the
// last bytes has returned, so the connection is free by then.
func (b *Body) Read(p []byte) (int, error) {
	if b.ended {
		return 0, b.after()
	}
	if len(p) == 0 {
		return 0, nil
	}
	for b.kind == byChunk {
		if err := b.nextChunk(); err != nil {
			return 0, b.end(err)
		}
		if b.ended {
			return 0, io.EOF
		}
	}
	n, err := b.data(p)
	if err != nil {
		return n, b.end(err)
	}
	return n, nil
}

func (b *Body) after() error {
	if b.err != nil {
		return b.err
	}
	return io.EOF
}

func (b *Body) data(p []byte) (int, error) {
	if b.kind != byClose && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.readSome(p)
	b.total += int64(n)
	if b.max > 0 && b.total > b.max {
		return 0, core.Errorf(core.CodeBodyTooLarge, "body is above the limit of %d bytes", b.max)
	}
	if b.kind == byClose {
		return n, err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.left -= int64(n)
	if err == nil && b.left == 0 {
		return n, b.dataEnd()
	}
	return n, err
}

func (b *Body) readSome(p []byte) (int, error) {
	if b.rd.Buffered() == 0 {
		if err := b.owner.BeforeRead(); err != nil {
			return 0, err
		}
	}
	return b.rd.Read(p)
}

// dataEnd is called when a length, or a chunk, is used up.
func (b *Body) dataEnd() error {
	if b.kind == byLength {
		b.end(io.EOF)
		return nil
	}
	b.kind = byChunk
	b.left = -1 // the CRLF behind the data is due
	// The last chunk is often in the buffer already: reading it now frees the connection.
	if b.lastBuffered() {
		return b.nextChunk()
	}
	return nil
}

func (b *Body) lastBuffered() bool {
	return bytes.HasPrefix(b.rd.Peek(), []byte("\r\n0\r\n\r\n"))
}

// end notes why no more comes, once, and tells the owner.
func (b *Body) end(err error) error {
	if b.ended {
		return b.after()
	}
	b.ended = true
	if err == io.EOF {
		b.owner.BodyEnded(nil)
		return io.EOF
	}
	b.err = err
	if seen := b.owner.BodyEnded(err); seen != nil {
		b.err = seen
	}
	return b.err
}

// Close gives up what was not read. Where all of that is in the buffer already it is dropped, so
// that the connection can go on.
func (b *Body) Close() error {
	if b.ended {
		return nil
	}
	if b.AllBuffered() {
		b.rd.Skip(int(b.left))
		b.left = 0
		b.end(io.EOF)
		return nil
	}
	b.end(ErrBodyClosed)
	return nil
}

// Ended reports whether the last byte has been read, or reading has failed.
func (b *Body) Ended() bool { return b.ended }

// Failed reports whether reading has failed.
func (b *Body) Failed() bool { return b.err != nil }

// Buffered returns how many bytes of the body can be read without waiting, at least, when its
// length is known.
func (b *Body) Buffered() int {
	if b.ended || b.kind != byLength {
		return 0
	}
	return int(min(int64(b.rd.Buffered()), b.left))
}

// Total returns how many bytes have been read.
func (b *Body) Total() int64 { return b.total }

// Left returns how many bytes of a body of known length are still to be read; -1 otherwise.
func (b *Body) Left() int64 {
	switch {
	case b.ended:
		return 0
	case b.kind != byLength:
		return -1
	}
	return b.left
}

// AllBuffered reports whether the rest of the body is of known length and in the buffer, so that
// one Read into enough memory returns all of it without waiting.
func (b *Body) AllBuffered() bool {
	return b.ended || b.kind == byLength && b.left <= int64(b.rd.Buffered())
}

// Ready reports whether the next Read returns without waiting for the connection. It may be false
// where that is not sure.
func (b *Body) Ready() bool {
	switch {
	case b.ended:
		return true
	case b.kind == byChunk:
		return b.chunkBuffered()
	}
	return b.rd.Buffered() > 0
}

// Splice moves the rest of a body of known length to dst inside the kernel. It returns
// sock.ErrNoSplice, with nothing moved, where that is not possible. An error of the body's own
// connection is a *sock.SrcError.
func (b *Body) Splice(dst *sock.Conn, writeIdle time.Duration) (int64, error) {
	src, ok := b.rd.src.(*sock.Conn)
	if !ok || b.ended || b.kind != byLength || b.rd.Buffered() > 0 {
		return 0, sock.ErrNoSplice
	}
	n, err := dst.Splice(src, b.left, b.owner, writeIdle)
	if errors.Is(err, sock.ErrNoSplice) {
		return 0, err
	}
	b.left -= n
	b.total += n
	if b.left == 0 {
		b.end(io.EOF)
		return n, nil
	}
	var se *sock.SrcError
	if !errors.As(err, &se) {
		b.end(ErrBodyClosed)
		return n, err
	}
	if se.Err == io.EOF {
		se.Err = io.ErrUnexpectedEOF
	}
	return n, &sock.SrcError{Err: b.end(se.Err)}
}
