package server

import (
	"errors"
	"io"
	"runtime/debug"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/sock"
)

func stack() string { return string(debug.Stack()) }

// respond writes x.Response and reports whether the connection can go on.
func (c *conn) respond(x *core.Exchange, keep bool) bool {
	resp := &x.Response
	if resp.Tunnel != nil {
		c.tunnel(x)
		return false
	}
	if x.Expects() || c.bodyErr.Load() != nil || c.ln.closing() {
		// In the first two cases what the client sends next may be the body or a request: it cannot
		// be told.
		keep = false
	}
	f := framing(x, keep)
	c.s.WriteTimeout(c.limits.WriteIdle.Std())
	buf := http1.Buffers{}.Get()
	out := http1.AppendResponse(buf[:0], resp, f)
	err := c.writeBody(x, out, f)
	http1.Buffers{}.Put(buf)
	if err == nil {
		return f.KeepAlive
	}
	c.aborted(x, err, f)
	return false
}

// framing decides how the response's body ends.
func framing(x *core.Exchange, keep bool) http1.ResponseFraming {
	resp := &x.Response
	f := http1.ResponseFraming{KeepAlive: keep, ClientProto: x.Request.Proto}
	switch {
	case http1.NoBody(x.Request.Method, resp.Status):
		f.Length = headLength(x)
		resp.Body.Close()
		resp.Body.Clear()
	case resp.Body.Length() >= 0:
		f.Length = resp.Body.Length()
	case x.Request.Proto == core.HTTP11:
		f.Length = http1.Chunked
	default:
		f.Length, f.KeepAlive = http1.ToClose, false
	}
	return f
}

// headLength returns the Content-Length that a response without a body may still have: that of the
// body a GET would have got.
func headLength(x *core.Exchange) int64 {
	resp := &x.Response
	if resp.Status < 200 || resp.Status == 204 {
		return http1.NoLength
	}
	if !resp.Body.None() && resp.Body.Length() >= 0 {
		return resp.Body.Length()
	}
	if n, ok := http1.ParseLength(resp.Header.Get("Content-Length")); ok {
		return n
	}
	return http1.NoLength
}

// writeBody writes the head, which is in out, and the body.
func (c *conn) writeBody(x *core.Exchange, out []byte, f http1.ResponseFraming) error {
	r := x.Response.Body.Reader()
	switch {
	case r == nil || f.Length == 0:
		x.Response.Body.Close()
		return c.write(x, out, 0)
	case f.Length == http1.Chunked:
		return c.writeChunks(x, out, r)
	case f.Length > 0 && f.Length <= int64(cap(out)-len(out)) && inMemory(r, &x.Response.Body):
		return c.writeSmall(x, out, r, f.Length)
	}
	return c.writeStream(x, out, r, f.Length)
}

// write writes p, of which body bytes belong to the body.
func (c *conn) write(x *core.Exchange, p []byte, body int) error {
	n, err := c.s.Write(p)
	x.BytesOut += int64(n)
	if err != nil {
		return err
	}
	x.BodyBytesOut += int64(body)
	return nil
}

func inMemory(r io.ReadCloser, b *core.Body) bool {
	if m, ok := r.(*http1.Body); ok {
		return m.AllBuffered()
	}
	_, _, ok := b.Buffered()
	return ok
}

// writeSmall sends head and body in one write.
func (c *conn) writeSmall(x *core.Exchange, out []byte, r io.ReadCloser, length int64) error {
	head := len(out)
	out = out[:head+int(length)]
	if _, err := io.ReadFull(r, out[head:]); err != nil {
		return &bodyError{err}
	}
	r.Close()
	return c.write(x, out, int(length))
}

// bodyError marks an error of reading the response's body rather than of writing it.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }

// writeChunks sends what each read brings at once, framed; the head goes with the first chunk and
// the end with the last where it is known by then.
func (c *conn) writeChunks(x *core.Exchange, out []byte, r io.ReadCloser) error {
	buf := http1.Buffers{}.Get()
	defer http1.Buffers{}.Put(buf)
	room := buf[http1.ChunkHead : len(buf)-2]
	out, err := c.sendHeadFirst(x, out, r)
	if err != nil {
		return err
	}
	for {
		n, err := r.Read(room)
		body := n
		if n > 0 {
			out = append(out, http1.FrameChunk(buf, n)...)
		}
		if err == nil && ended(r) {
			err = io.EOF
		}
		switch {
		case err == io.EOF:
			out = http1.AppendLastChunk(out, &x.Response.Trailer)
			r.Close()
			return c.write(x, out, body)
		case err != nil:
			c.write(x, out, body)
			return &bodyError{err}
		}
		c.s.WriteTimeout(c.limits.WriteIdle.Std())
		if err := c.write(x, out, body); err != nil {
			r.Close()
			return err
		}
		out = out[:0]
	}
}

// sendHeadFirst sends the head alone when the body's first bytes may be long in coming: a client
// must not wait for an event to learn that the stream is there.
func (c *conn) sendHeadFirst(x *core.Exchange, head []byte, r io.ReadCloser) (rest []byte, err error) {
	if b, ok := r.(interface{ Ready() bool }); ok && b.Ready() {
		return head, nil
	}
	return head[:0], c.write(x, head, 0)
}

func ended(r io.ReadCloser) bool {
	b, ok := r.(*http1.Body)
	return ok && b.Ended() && !b.Failed()
}

// writeStream sends a body of known length, or one that ends with the connection. What comes from
// a socket and goes to a socket stays in the kernel.
func (c *conn) writeStream(x *core.Exchange, out []byte, r io.ReadCloser, length int64) error {
	if b, ok := r.(*http1.Body); ok && length > 0 && c.s.Plain() {
		err := c.splice(x, out, b)
		if !errors.Is(err, sock.ErrNoSplice) {
			return err
		}
		out = out[:0]
	}
	return c.copy(x, out, r, length)
}

// splice sends the head with the bytes that are in the endpoint's buffer, then moves the rest. It
// returns sock.ErrNoSplice when the rest has to be copied.
func (c *conn) splice(x *core.Exchange, out []byte, b *http1.Body) error {
	for b.Buffered() > 0 && !b.Ended() {
		free := out[len(out):cap(out)]
		if len(free) == 0 {
			break
		}
		n, err := b.Read(free[:min(len(free), b.Buffered())])
		if err != nil {
			return &bodyError{err}
		}
		out = out[:len(out)+n]
		x.BodyBytesOut += int64(n)
	}
	if err := c.write(x, out, 0); err != nil {
		return err
	}
	if b.Ended() {
		return nil
	}
	n, err := b.Splice(c.s, c.limits.WriteIdle.Std())
	x.BytesOut += n
	x.BodyBytesOut += n
	var src *sock.SrcError
	if errors.As(err, &src) {
		return &bodyError{src.Err}
	}
	return err
}

func (c *conn) copy(x *core.Exchange, out []byte, r io.ReadCloser, length int64) error {
	buf := http1.Buffers{}.Get()
	defer http1.Buffers{}.Put(buf)
	left := length - x.BodyBytesOut
	if len(out) > 0 {
		var err error
		if out, err = c.sendHeadFirst(x, out, r); err != nil {
			return err
		}
	}
	for length < 0 || left > 0 {
		n, err := r.Read(buf[:])
		if length >= 0 && int64(n) > left {
			n = int(left)
		}
		left -= int64(n)
		c.s.WriteTimeout(c.limits.WriteIdle.Std())
		if werr := c.writeTwo(x, out, buf[:n]); werr != nil {
			r.Close()
			return werr
		}
		out = out[:0]
		switch {
		case err == io.EOF && length >= 0 && left > 0:
			return &bodyError{io.ErrUnexpectedEOF}
		case err == io.EOF:
			return r.Close()
		case err != nil:
			return &bodyError{err}
		}
	}
	return r.Close()
}

// writeTwo writes the head, where it has not gone yet, and body bytes, together when they fit.
func (c *conn) writeTwo(x *core.Exchange, head, body []byte) error {
	if len(head) > 0 && len(body) <= cap(head)-len(head) {
		return c.write(x, append(head, body...), len(body))
	}
	if len(head) > 0 {
		if err := c.write(x, head, 0); err != nil {
			return err
		}
	}
	if len(body) == 0 {
		return nil
	}
	return c.write(x, body, len(body))
}

// aborted notes why the response is not complete and sees to it that the client can tell.
func (c *conn) aborted(x *core.Exchange, err error, f http1.ResponseFraming) {
	x.Aborted = true
	x.Response.Body.Close()
	var be *bodyError
	if !errors.As(err, &be) {
		if x.Err == nil {
			x.Err = core.NewError(core.CodeClientClosed, err)
		}
		return
	}
	if e, ok := core.AsError(be.err); ok {
		x.Err = e
	} else {
		x.Err = core.NewError(core.CodeFilterFailed, be.err)
	}
	c.srv.log.Warn("response cut", "listener", x.Listener, "error", x.Err.Error(),
		"path", x.Request.RawPath(), "client", x.Client.Addr)
	if f.Length == http1.ToClose {
		c.s.Reset()
	}
}
