package sock

import (
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is how much one pipe takes: enough that a body of 64 KiB moves in one go.
const pipeSize = 256 << 10

// Splice moves n bytes from src to c inside the kernel. Each wait for c ends after writeIdle; 0 for
// never. An error of src, or of its waiter, is a *SrcError, io.EOF included.
func (c *Conn) Splice(src *Conn, n int64, waiter Waiter, writeIdle time.Duration) (int64, error) {
	if c.raw == nil || src.raw == nil {
		return 0, ErrNoSplice
	}
	s, err := newSplicer()
	if err != nil {
		return 0, ErrNoSplice
	}
	var moved int64
	for moved < n {
		err := waiter.BeforeRead()
		if err == nil {
			err = s.fill(src, n-moved)
		}
		if err != nil {
			s.release()
			return moved, &SrcError{err}
		}
		c.wr.idle = writeIdle
		c.deadlineForWrite()
		k, err := s.drain(c)
		moved += k
		if err != nil {
			s.discard()
			return moved, err
		}
	}
	s.release()
	return moved, nil
}

// splicer is a pipe with the callbacks that fill and drain it.
type splicer struct {
	r, w    int
	held    int // bytes in the pipe
	want    int
	moved   int64
	err     error
	onFill  func(fd uintptr) bool
	onDrain func(fd uintptr) bool
}

var splicers sync.Pool

func newSplicer() (*splicer, error) {
	if s, ok := splicers.Get().(*splicer); ok {
		return s, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	// A smaller pipe than asked for (fs.pipe-user-pages-soft) only means more rounds.
	unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	s := &splicer{r: fds[0], w: fds[1]}
	s.onFill, s.onDrain = s.tryFill, s.tryDrain
	// The pool forgets what a collection finds idle; the descriptors must not be forgotten.
	runtime.SetFinalizer(s, (*splicer).discard)
	return s, nil
}

func (s *splicer) release() { splicers.Put(s) }

func (s *splicer) discard() {
	runtime.SetFinalizer(s, nil)
	unix.Close(s.r)
	unix.Close(s.w)
}

func (s *splicer) fill(src *Conn, n int64) error {
	s.want, s.err = int(min(n, pipeSize)), nil
	if err := src.raw.Read(s.onFill); err != nil {
		return err
	}
	return s.err
}

func (s *splicer) tryFill(fd uintptr) bool {
	for {
		n, err := unix.Splice(int(fd), nil, s.w, nil, s.want, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			s.err = os.NewSyscallError("splice", err)
		case n == 0:
			s.err = io.EOF
		default:
			s.held = int(n)
		}
		return true
	}
}

func (s *splicer) drain(dst *Conn) (int64, error) {
	s.moved, s.err = 0, nil
	if err := dst.raw.Write(s.onDrain); err != nil {
		return s.moved, err
	}
	return s.moved, s.err
}

func (s *splicer) tryDrain(fd uintptr) bool {
	for s.held > 0 {
		n, err := unix.Splice(s.r, nil, int(fd), nil, s.held, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			s.err = os.NewSyscallError("splice", err)
			return true
		}
		s.held -= int(n)
		s.moved += n
	}
	return true
}
