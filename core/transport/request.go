package transport

import (
	"io"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

// smallBody is up to where a body that is in memory is sent in one write with its head.
const smallBody = 8 << 10

// send writes the request. A body that is not in memory is sent by another goroutine, so that an
// endpoint may answer before it has all of it.
func (c *conn) send(x *core.Exchange, by core.Instant) error {
	req := &x.Request
	length := req.Body.Length()
	out := http1.AppendRequest(http1.Buffers{}.Get()[:0], req, length)
	now := x.LastAttempt().Start
	if req.Body.None() || length == 0 {
		return c.writeAndWait(out, now, by)
	}
	if small, ok, err := appendSmallBody(out, &req.Body, length); err != nil {
		http1.Buffers{}.Put(out)
		return clientBodyError(err)
	} else if ok {
		c.pump.bytes.Store(length)
		return c.writeAndWait(small, now, by)
	}
	return c.stream(x, out, length)
}

// writeAndWait writes the whole request and reads the beginning of the answer in the memory that
// the request was written from.
func (c *conn) writeAndWait(out []byte, now, by core.Instant) error {
	if !c.reused() {
		now = core.Now() // connecting took its time
	}
	c.readBy(now, by)
	c.s.WriteTimeout(c.pool.cfg.Idle)
	room := out[:cap(out)]
	sent, n, err := c.s.WriteRead(out, room)
	c.sent = sent > 0
	if err != nil {
		http1.Buffers{}.Put(room)
		return err
	}
	c.got = true
	c.rd.Lend(room, n)
	return nil
}

// appendSmallBody appends the body when all of it is in memory and it is small.
func appendSmallBody(out []byte, body *core.Body, length int64) ([]byte, bool, error) {
	if length < 0 || length > smallBody {
		return out, false, nil
	}
	r := body.Reader()
	if _, _, ok := body.Buffered(); !ok {
		b, can := r.(interface{ AllBuffered() bool })
		if !can || !b.AllBuffered() {
			return out, false, nil
		}
	}
	head := len(out)
	out = append(out, make([]byte, length)...)
	_, err := io.ReadFull(r, out[head:])
	return out, true, err
}

// stream writes the head and starts the pump.
func (c *conn) stream(x *core.Exchange, head []byte, length int64) error {
	c.s.WriteTimeout(c.pool.cfg.Idle)
	n, err := c.s.Write(head)
	c.sent = n > 0
	http1.Buffers{}.Put(head)
	if err != nil {
		return err
	}
	x.DelegateContinue()
	c.pump.running.Store(true)
	body := x.Request.Body.Reader()
	trailer := &x.Request.Trailer
	x.Go(func() {
		defer c.pump.running.Store(false)
		c.sendBody(body, length, trailer)
	})
	return nil
}

// sendBody copies the body to the endpoint. When the endpoint takes no more, its answer decides;
// when the body cannot be read, the try is over.
func (c *conn) sendBody(body io.ReadCloser, length int64, trailer *core.Header) {
	buf := http1.Buffers{}.Get()
	defer http1.Buffers{}.Put(buf)
	left := length
	for length < 0 || left > 0 {
		room := buf[http1.ChunkHead : len(buf)-2]
		if length >= 0 && int64(len(room)) > left {
			room = room[:left]
		}
		n, err := body.Read(room)
		if n > 0 && !c.sendPart(buf, n, length < 0) {
			return
		}
		left -= int64(n)
		if err == io.EOF {
			c.endBody(length, left, trailer)
			return
		}
		if err != nil {
			c.giveUp(clientBodyError(err))
			return
		}
	}
}

func (c *conn) sendPart(buf []byte, n int, chunked bool) bool {
	out := buf[http1.ChunkHead : http1.ChunkHead+n]
	if chunked {
		out = http1.FrameChunk(buf, n)
	}
	c.s.WriteTimeout(c.pool.cfg.Idle)
	if _, err := c.s.Write(out); err != nil {
		return false
	}
	c.pump.bytes.Add(int64(n))
	return true
}

func (c *conn) endBody(length, left int64, trailer *core.Header) {
	if length >= 0 {
		if left > 0 {
			c.giveUp(core.Errorf(core.CodeFilterFailed, "request body ended %d bytes before its length", left))
		}
		return
	}
	out := http1.AppendLastChunk(make([]byte, 0, 256), trailer)
	c.s.Write(out)
}

// giveUp ends the try from the pump: the reader of the response finds the connection closed.
func (c *conn) giveUp(err *core.Error) {
	c.pump.failed.Store(err)
	c.close()
}

// clientBodyError types an error of reading the request body.
func clientBodyError(err error) *core.Error {
	if e, ok := core.AsError(err); ok {
		return e
	}
	return core.NewError(core.CodeClientClosed, err)
}
