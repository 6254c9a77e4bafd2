package http1

import "sync"

// BufferSize is the size of a read buffer. A head that is longer gets a larger one of its own.
const BufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { return new([BufferSize]byte) }}

// Buffers lends read buffers of BufferSize.
type Buffers struct{}

// Get borrows a buffer.
func (Buffers) Get() []byte { return buffers.Get().(*[BufferSize]byte)[:] }

// Put gives one back. Buffers of any other size are left to the collector.
func (Buffers) Put(p []byte) {
	if cap(p) == BufferSize {
		buffers.Put((*[BufferSize]byte)(p[:BufferSize]))
	}
}
