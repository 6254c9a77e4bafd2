package compress

import "io"

// chunk is how much is read from the source at once.
const chunk = 32 << 10

// worker is an encoder with its buffers, which are lent to one response at a time.
type worker struct {
	enc encoder
	in  [chunk]byte
	out []byte // encoded bytes
	off int    // of out, up to which they have been read
}

// Write takes what the encoder puts out.
func (w *worker) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

// stream is the encoded body of one response.
type stream struct {
	src    io.ReadCloser
	left   int64 // of the source, below 0 when its length is not known
	coding *coding
	worker *worker // nil once the last byte was read or the body was closed
	err    error   // what follows the bytes in worker.out
}

func newStream(c *coding, src io.ReadCloser, length int64) *stream {
	w := c.workers.Get().(*worker)
	w.out, w.off = w.out[:0], 0
	w.enc.Reset(w)
	return &stream{src: src, left: length, coding: c, worker: w}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w := s.worker
	if w == nil {
		return 0, s.err
	}
	for w.off == len(w.out) {
		if s.err != nil {
			s.release()
			return 0, s.err
		}
		w.out, w.off = w.out[:0], 0
		s.err = s.encode()
	}
	n := copy(p, w.out[w.off:])
	w.off += n
	return n, nil
}

// encode reads from the source once. Where the next read would have to wait, all that came is
// encoded to the last byte: an event must not wait for the next one.
func (s *stream) encode() error {
	w := s.worker
	n, err := s.src.Read(w.in[:])
	s.left -= int64(n)
	if _, werr := w.enc.Write(w.in[:n]); werr != nil {
		return werr
	}
	switch {
	case err == io.EOF:
		if cerr := w.enc.Close(); cerr != nil {
			return cerr
		}
	case err != nil:
	case n > 0 && !s.ready():
		return w.enc.Flush()
	}
	return err
}

// ready reports whether the source can be read without waiting, as far as it can tell.
func (s *stream) ready() bool {
	if s.left == 0 {
		return true // its end is next
	}
	r, ok := s.src.(interface{ Ready() bool })
	return ok && r.Ready()
}

func (s *stream) release() {
	if s.worker == nil {
		return
	}
	if s.err == nil {
		s.err = io.ErrClosedPipe
	}
	s.coding.workers.Put(s.worker)
	s.worker = nil
}

// Close gives the encoder back and closes the source.
func (s *stream) Close() error {
	s.release()
	return s.src.Close()
}
