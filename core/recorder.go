package core

import (
	"io"
	"sync"
)

// Record lets the body stream on and keeps what has been read, up to limit bytes, so that Rewind
// can start over while it fits. This is what a retry uses: it never waits for a body.
func (b *Body) Record(limit int64) {
	if b.r == nil || b.memory() != nil || b.rec != nil {
		return
	}
	b.rec = &recorder{src: b.r, limit: limit}
	b.rec.cond.L = &b.rec.mu
	b.r = b.rec.session()
}

// Rewind makes the next Reader start at the first byte. It returns false, and changes nothing,
// when that is impossible: the body was neither buffered nor recorded, or outgrew the limit.
func (b *Body) Rewind() bool {
	if b.r == nil {
		return true
	}
	if m := b.memory(); m != nil {
		b.restart(m)
		return true
	}
	if b.rec == nil || !b.rec.replayable() {
		return false
	}
	b.r = b.rec.session()
	return true
}

// Replayable reports whether Rewind would succeed now.
func (b *Body) Replayable() bool {
	return b.r == nil || b.memory() != nil || (b.rec != nil && b.rec.replayable())
}

// recorder shares one source among the sessions of consecutive tries. A try that was given up may
// still be blocked in a read on another goroutine; what that read brings goes into the record, so
// the try that follows misses nothing.
type recorder struct {
	src   io.ReadCloser
	limit int64

	mu      sync.Mutex // guards all below
	cond    sync.Cond  // signalled when a read of src has ended
	current *session
	buf     []byte // recorded bytes, from offset base of the stream
	base    int64
	lost    bool // some recorded byte was let go: no rewind any more
	reading bool // a session is in src.Read
	err     error
}

func (r *recorder) session() *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = &session{r: r}
	return r.current
}

func (r *recorder) replayable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.lost && r.base == 0 && int64(len(r.buf)) <= r.limit
}

// session is one try's view of the body.
type session struct {
	r   *recorder
	off int64
}

func (s *session) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if s != r.current {
			return 0, io.ErrClosedPipe
		}
		if have := r.buf[min(s.off-r.base, int64(len(r.buf))):]; len(have) > 0 {
			n := copy(p, have)
			s.off += int64(n)
			r.forget(s.off)
			return n, nil
		}
		if r.err != nil {
			return 0, r.err
		}
		if r.reading {
			r.cond.Wait()
			continue
		}
		r.fill(p)
	}
}

// fill reads into p with the lock released and appends what came to the record. The lock is held
// again also after a panic of src, which has a filter's reader in it.
func (r *recorder) fill(p []byte) {
	n, err := 0, io.ErrUnexpectedEOF
	defer func() {
		r.mu.Lock()
		r.reading = false
		r.buf = append(r.buf, p[:n]...)
		r.err = err
		r.cond.Broadcast()
	}()
	r.reading = true
	r.mu.Unlock()
	n, err = r.src.Read(p)
}

// forget drops what the current session has read once the record is above its limit.
func (r *recorder) forget(off int64) {
	if !r.lost && int64(len(r.buf)) <= r.limit {
		return
	}
	r.lost = true
	r.buf = r.buf[:copy(r.buf, r.buf[off-r.base:])]
	r.base = off
}

// AllBuffered reports whether the source has all that is left in memory.
func (s *session) AllBuffered() bool {
	b, ok := s.r.src.(interface{ AllBuffered() bool })
	if !ok {
		return false
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return !s.r.reading && b.AllBuffered()
}

// Close ends the session. The source is closed only by the session that is current.
func (s *session) Close() error {
	s.r.mu.Lock()
	current := s == s.r.current
	s.r.mu.Unlock()
	if !current {
		return nil
	}
	return s.r.src.Close()
}
