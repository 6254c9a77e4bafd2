package http1

import (
	"bytes"
	"errors"
	"io"

	"github.com/sluiceproxy/sluice/core/sock"
)

// Source is where a Reader reads. *sock.Conn is one.
type Source interface {
	Read(p []byte) (int, error)
	// ReadInto waits for bytes before it borrows a buffer for them; see sock.Conn.
	ReadInto(from sock.Buffers) (p []byte, n int, err error)
}

// maxEmptyLines is how many empty lines before a head are forgiven: old clients send one.
const maxEmptyLines = 2

// Errors of Reader.Head. Both mean that the connection cannot go on.
var (
	// ErrHeadTooLarge: the head is above the limit.
	ErrHeadTooLarge = errors.New("head is larger than the limit")
	// ErrLineEnd: a line of the head does not end in CRLF (RFC 9112 2.2), or holds a bare CR.
	ErrLineEnd = errors.New("line does not end in CRLF")
)

// Reader reads messages from a connection. It holds a buffer only while there are bytes in it or a
// message is being read. The zero value is ready after Reset.
type Reader struct {
	src  Source
	buf  []byte
	r, w int
	scan int // offset from r up to which the head has been looked through
	line int // offset from r where the line at scan begins
	skip int // empty lines skipped before the head
}

// Reset makes r read from src.
func (r *Reader) Reset(src Source) {
	r.giveBack()
	*r = Reader{src: src}
}

// Buffered returns how many bytes were read from the connection and not yet used.
func (r *Reader) Buffered() int { return r.w - r.r }

// Release gives the buffer back when nothing is in it.
func (r *Reader) Release() {
	if r.r == r.w {
		r.giveBack()
	}
}

func (r *Reader) giveBack() {
	if r.buf != nil {
		Buffers{}.Put(r.buf)
		r.buf, r.r, r.w = nil, 0, 0
	}
}

// Fill reads more from the connection. Without a buffer it waits without one.
func (r *Reader) Fill() error {
	if r.buf == nil {
		p, n, err := r.src.ReadInto(Buffers{})
		if n > 0 {
			r.buf, r.r, r.w = p, 0, n
			return nil
		}
		return noProgress(err)
	}
	n, err := r.src.Read(r.Space())
	r.Advance(n)
	if n > 0 {
		return nil
	}
	return noProgress(err)
}

func noProgress(err error) error {
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// Space returns free room in the buffer, for a read that the caller makes itself.
func (r *Reader) Space() []byte {
	if r.buf == nil {
		r.buf = Buffers{}.Get()
		r.r, r.w = 0, 0
	}
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.w == len(r.buf) {
		r.makeRoom()
	}
	return r.buf[r.w:]
}

// Lend gives the reader a buffer of the caller's, of BufferSize or larger, with the first n bytes
// to be read. It must have none. The reader gives it back to the pool in time.
func (r *Reader) Lend(buf []byte, n int) { r.buf, r.r, r.w = buf, 0, n }

// WriteTo copies to w until the connection ends. Between reads it holds no buffer.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if r.r == r.w {
			r.giveBack()
			if err := r.Fill(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		n, err := w.Write(r.Peek())
		r.r += n
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// Advance says that n bytes were read into Space.
func (r *Reader) Advance(n int) { r.w += n }

func (r *Reader) makeRoom() {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
		return
	}
	larger := make([]byte, 2*len(r.buf))
	copy(larger, r.buf[:r.w])
	Buffers{}.Put(r.buf)
	r.buf = larger
}

// Head returns the next message head, up to and with its empty line, as one string, once all of it
// is in the buffer. Until then ok is false and the caller calls Fill. Empty lines before the head
// are skipped (RFC 9112 2.2), maxEmptyLines at most. A head above limit bytes is ErrHeadTooLarge.
func (r *Reader) Head(limit int) (head string, ok bool, err error) {
	for r.r+r.scan < r.w {
		i := bytes.IndexByte(r.buf[r.r+r.scan:r.w], '\n')
		if i < 0 {
			r.scan = r.w - r.r
			break
		}
		end := r.scan + i
		if end == r.line || r.buf[r.r+end-1] != '\r' {
			return "", false, ErrLineEnd
		}
		r.scan = end + 1
		if end == 1 && r.line == 0 {
			if r.skip++; r.skip > maxEmptyLines {
				return "", false, ErrLineEnd
			}
			r.r, r.scan = r.r+2, 0
			continue
		}
		if end == r.line+1 {
			return r.take(r.scan, limit)
		}
		r.line = r.scan
	}
	if r.w-r.r > limit {
		return "", false, ErrHeadTooLarge
	}
	return "", false, nil
}

func (r *Reader) take(n, limit int) (string, bool, error) {
	if n > limit {
		return "", false, ErrHeadTooLarge
	}
	head := string(r.buf[r.r : r.r+n])
	r.r += n
	r.scan, r.line, r.skip = 0, 0, 0
	return head, true, nil
}

// Peek returns what is in the buffer. It is valid until the next call.
func (r *Reader) Peek() []byte { return r.buf[r.r:r.w] }

// Skip drops n buffered bytes.
func (r *Reader) Skip(n int) { r.r += n }

// directRead is the size from which a body read goes to the caller's memory, not over the buffer.
const directRead = 2 << 10

// Read reads body bytes: what is buffered first.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r == r.w {
		if len(p) >= directRead {
			return r.src.Read(p)
		}
		if err := r.Fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}
