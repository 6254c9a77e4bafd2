package sock

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Conn is a connection with lazy deadlines. One goroutine may read while another writes. On plain
// TCP and Unix sockets it works on the descriptor, on anything else (TLS) through net.Conn.
type Conn struct {
	net.Conn
	raw syscall.RawConn // nil when the bytes on the descriptor are not ours to read

	rd      pending
	wr      outgoing
	readBy  core.Instant // deadlines as set on the socket, 0 for none
	writeBy core.Instant
}

// outgoing carries one write through RawConn.Write.
type outgoing struct {
	call  func(fd uintptr) bool
	buf   []byte
	wrote int
	err   error
	idle  time.Duration // how long the peer may take nothing; 0 for ever
}

// pending carries one read through RawConn.Read, whose callback is made once for each connection.
type pending struct {
	call  func(fd uintptr) bool
	buf   []byte
	from  Buffers
	out   []byte // to write before the first read
	wrote int
	n     int
	err   error
	phase uint8
	take  func(p []byte, n int) bool

	// While take runs the descriptor is ours: what it writes needs no lock of the poller's.
	taking bool
	fd     uintptr
}

const (
	phaseRead  uint8 = iota // read at once, wait when there is nothing
	phaseWrite              // write out, then wait, then read
	phaseEach               // read, hand over, wait, again
)

// New wraps c.
func New(c net.Conn) *Conn {
	s := &Conn{Conn: c}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return s
	}
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return s
	}
	if raw, err := sc.SyscallConn(); err == nil {
		s.raw = raw
		s.rd.call = s.onReady
		s.wr.call = s.onWritable
	}
	return s
}

// Plain reports whether the bytes on the descriptor are those that Read returns.
func (c *Conn) Plain() bool { return c.raw != nil }

// Read reads into p, as net.Conn does.
func (c *Conn) Read(p []byte) (int, error) {
	if c.raw == nil || len(p) == 0 {
		return c.Conn.Read(p)
	}
	c.rd.buf, c.rd.from, c.rd.phase = p, nil, phaseRead
	return c.read()
}

// Buffers lends read buffers.
type Buffers interface {
	Get() []byte
	Put([]byte)
}

// ReadInto waits until there is something to read, borrows a buffer only then, and reads into it.
// It returns the buffer, which the caller gives back; nil with an error.
func (c *Conn) ReadInto(from Buffers) ([]byte, int, error) {
	if c.raw == nil {
		return c.readIntoBuffered(from)
	}
	c.rd.buf, c.rd.from, c.rd.phase = nil, from, phaseRead
	n, err := c.read()
	p := c.rd.buf
	c.rd.buf = nil
	if err != nil && p != nil {
		from.Put(p)
		p = nil
	}
	return p, n, err
}

// readIntoBuffered waits in a read of one byte, since nobody but the connection itself knows
// whether it has decoded bytes in hand.
func (c *Conn) readIntoBuffered(from Buffers) ([]byte, int, error) {
	var one [1]byte
	n, err := c.Conn.Read(one[:])
	if n == 0 {
		return nil, 0, err
	}
	p := from.Get()
	p[0] = one[0]
	if err != nil {
		return p, 1, nil
	}
	if len(p) == 1 {
		return p, 1, nil
	}
	more, err := c.Conn.Read(p[1:])
	if err != nil && more == 0 {
		return p, 1, nil
	}
	return p, 1 + more, nil
}

// WriteRead writes out and reads the beginning of the answer into p. It waits for the answer
// without first trying a read that is bound to fail. sent is how much of out went; n what came.
//
// The caller must have seen to it that nothing was readable before (see Stale): bytes that came
// earlier are not waited for, and would be found only when the answer comes.
func (c *Conn) WriteRead(out, p []byte) (sent, n int, err error) {
	if c.raw == nil {
		sent, err = c.Conn.Write(out)
		if err != nil {
			return sent, 0, err
		}
		n, err = c.Conn.Read(p)
		return sent, n, err
	}
	c.rd.buf, c.rd.from, c.rd.out, c.rd.wrote, c.rd.phase = p, nil, out, 0, phaseWrite
	n, err = c.read()
	sent = c.rd.wrote
	c.rd.out = nil
	if err == errPartialWrite {
		return c.finishWrite(out, sent, p)
	}
	return sent, n, err
}

// EachRead borrows a buffer and reads into it whenever bytes have come, and calls take with it and
// their number; take gives the buffer back. While take returns true it waits for more, again
// without a buffer. It returns nil when take has returned false, io.EOF at the end of the stream.
// Only a plain connection can do this, and take must not read from it.
//
// Between two calls of take it does not first try a read that is bound to find nothing. The price:
// an end of the stream that came in the same moment as the bytes before it is seen only with the
// next deadline. While take runs, only its goroutine may write.
func (c *Conn) EachRead(from Buffers, take func(p []byte, n int) bool) error {
	c.rd.buf, c.rd.from, c.rd.phase, c.rd.take = nil, from, phaseEach, take
	_, err := c.read()
	return err
}

var errPartialWrite = errors.New("partial write")

func (c *Conn) finishWrite(out []byte, sent int, p []byte) (int, int, error) {
	more, err := c.Conn.Write(out[sent:])
	sent += more
	if err != nil {
		return sent, 0, err
	}
	n, err := c.Read(p)
	return sent, n, err
}

// Write writes all of p, as net.Conn does.
func (c *Conn) Write(p []byte) (int, error) {
	if c.raw == nil || len(p) == 0 {
		return c.Conn.Write(p)
	}
	c.wr.buf, c.wr.wrote, c.wr.err = p, 0, nil
	if c.rd.taking && c.onWritable(c.rd.fd) {
		c.wr.buf = nil
		return c.wr.wrote, c.wr.err
	}
	err := c.raw.Write(c.wr.call)
	c.wr.buf = nil
	if err == nil {
		err = c.wr.err
	}
	return c.wr.wrote, err
}

// onWritable writes what the socket takes. A deadline is set only here, where a wait is due.
func (c *Conn) onWritable(fd uintptr) bool {
	w := &c.wr
	for w.wrote < len(w.buf) {
		n, err := rawWrite(int(fd), w.buf[w.wrote:])
		switch err {
		case 0:
			w.wrote += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			c.deadlineForWrite()
			return false
		default:
			w.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

func (c *Conn) deadlineForWrite() {
	if at, change := next(c.writeBy, core.Now(), c.wr.idle); change {
		c.writeBy = at
		c.Conn.SetWriteDeadline(wall(at))
	}
}

func (c *Conn) read() (int, error) {
	c.rd.n, c.rd.err = 0, nil
	if err := c.raw.Read(c.rd.call); err != nil {
		return 0, err
	}
	if c.rd.err != nil {
		return 0, c.rd.err
	}
	if c.rd.n == 0 {
		return 0, io.EOF
	}
	return c.rd.n, nil
}

// onReady is called by the poller's read loop: once at the start, then each time the descriptor
// became readable. False means wait.
func (c *Conn) onReady(fd uintptr) bool {
	r := &c.rd
	switch r.phase {
	case phaseWrite:
		return r.writeOut(int(fd))
	case phaseEach:
		return r.each(int(fd))
	}
	borrow := r.buf == nil
	if borrow {
		r.buf = r.from.Get()
	}
	for {
		n, err := rawRead(int(fd), r.buf)
		switch err {
		case 0:
			r.n = n
			return true
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if borrow {
				r.from.Put(r.buf)
				r.buf = nil
			}
			return false
		default:
			r.err = os.NewSyscallError("read", err)
			return true
		}
	}
}

// each reads and hands over until a read has left room in its buffer: then the socket is empty, and
// its next bytes will wake the poller.
func (r *pending) each(fd int) bool {
	for {
		p := r.from.Get()
		n, err := rawRead(fd, p)
		if n <= 0 || err != 0 {
			r.from.Put(p)
		}
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != 0:
			r.err = os.NewSyscallError("read", err)
			return true
		case n == 0:
			return true
		}
		r.taking, r.fd = true, uintptr(fd)
		more := r.take(p, n)
		r.taking = false
		if !more {
			r.n = n
			return true
		}
		if n < len(p) {
			return false
		}
	}
}

// writeOut sends the request inside the read loop: readiness was reset before, so the answer's
// edge cannot be missed and the usual read that finds nothing is saved.
func (r *pending) writeOut(fd int) bool {
	r.phase = phaseRead
	for {
		n, err := rawWrite(fd, r.out)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			n = 0
		case err != 0:
			r.err = os.NewSyscallError("write", err)
			return true
		}
		r.wrote = n
		if n < len(r.out) {
			r.err = errPartialWrite
			return true
		}
		return false
	}
}

// Stale reports whether an idle connection cannot be used any more: the peer has closed it, or
// has sent bytes that nobody asked for. It does not block.
func (c *Conn) Stale() bool {
	if c.raw == nil {
		return c.staleTLS()
	}
	stale := false
	err := c.raw.Control(func(fd uintptr) { stale = peekStale(int(fd)) })
	return err != nil || stale
}

func (c *Conn) staleTLS() bool {
	nc, ok := c.Conn.(interface{ NetConn() net.Conn })
	if !ok {
		return false
	}
	sc, ok := nc.NetConn().(syscall.Conn)
	if !ok {
		return false
	}
	// Session tickets and key updates may lie unread on a healthy connection, so only the end
	// of the stream tells.
	return PeerClosed(sc)
}

// PeerClosed reports whether the peer has closed its side of the connection. It does not block,
// reads nothing, and may be called while another goroutine reads.
func PeerClosed(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	err = raw.Control(func(fd uintptr) { closed = peekClosed(int(fd)) })
	return err != nil || closed
}

func peekStale(fd int) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err != syscall.EAGAIN && err != syscall.EINTR
}

func peekClosed(fd int) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return false
	}
	return err != nil || n == 0
}

// slack is how much later than asked a deadline may fire: an eighth. It lets a connection that is
// in use go on for many exchanges without touching a timer.
func slack(d time.Duration) time.Duration { return d / 8 }

// ReadTimeout makes reads fail after d from now, or up to an eighth later; 0 for never.
func (c *Conn) ReadTimeout(d time.Duration) { c.ReadTimeoutFrom(core.Now(), d) }

// ReadTimeoutFrom is ReadTimeout for a caller that has read the clock.
func (c *Conn) ReadTimeoutFrom(now core.Instant, d time.Duration) {
	if at, change := next(c.readBy, now, d); change {
		c.readBy = at
		c.Conn.SetReadDeadline(wall(at))
	}
}

// WriteTimeout makes a write fail when the peer takes nothing for d, or up to an eighth longer; 0
// for never.
func (c *Conn) WriteTimeout(d time.Duration) {
	c.wr.idle = d
	if c.raw == nil {
		c.deadlineForWrite()
	}
}

// Interrupt makes a read that is blocked, and every later one, fail with a timeout until the next
// ReadTimeout. It may be called from any goroutine that does not read.
func (c *Conn) Interrupt() { c.Conn.SetReadDeadline(time.Unix(1, 0)) }

// Uninterrupt forgets what deadline was set, after an Interrupt.
func (c *Conn) Uninterrupt() {
	c.readBy = 0
	c.Conn.SetReadDeadline(time.Time{})
}

func next(set, now core.Instant, d time.Duration) (core.Instant, bool) {
	if d <= 0 {
		return 0, set != 0
	}
	want := now.Add(d)
	if set >= want && set <= want.Add(slack(d)) {
		return set, false
	}
	return want.Add(slack(d)), true
}

func wall(at core.Instant) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Now().Add(at.Sub(core.Now()))
}

// CloseWrite ends the outgoing direction where the connection can do that, else closes it.
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Conn.Close()
}

// Reset closes the connection so that the peer sees an error, never a clean end.
func (c *Conn) Reset() error {
	conn := c.Conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	if t, ok := conn.(interface{ SetLinger(int) error }); ok {
		t.SetLinger(0)
	}
	return conn.Close()
}

// IsTimeout reports whether err is a deadline that has passed.
func IsTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
