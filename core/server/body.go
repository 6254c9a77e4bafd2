package server

import (
	"errors"
	"io"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/sock"
)

// maxDiscard is how much of a request body that nobody wanted is read to keep the connection.
const maxDiscard = 64 << 10

// settleBody stops whoever still reads the request body and reads the little that may be left.
func (c *conn) settleBody(x *core.Exchange) bool {
	c.s.Interrupt()
	x.Wait()
	c.s.Uninterrupt()
	if c.bodyDone.Load() {
		return c.bodyErr.Load() == nil
	}
	if x.Expects() || c.body.Ended() || c.body.Left() > maxDiscard || c.body.Left() < 0 {
		return false
	}
	buf := http1.Buffers{}.Get()
	defer http1.Buffers{}.Put(buf)
	for {
		if _, err := c.body.Read(buf); err != nil {
			return err == io.EOF
		}
	}
}

// BeforeRead implements http1.Owner for the request body.
func (c *conn) BeforeRead() error {
	if c.x.MeetExpectation(false) {
		if _, err := c.nc.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return err
		}
	}
	c.s.ReadTimeout(c.limits.BodyIdle.Std())
	return nil
}

// BodyEnded implements http1.Owner for the request body.
func (c *conn) BodyEnded(err error) error {
	if err == nil {
		c.bodyDone.Store(true)
		return nil
	}
	if errors.Is(err, http1.ErrBodyClosed) {
		return err
	}
	e, ok := core.AsError(err)
	switch {
	case ok:
	case sock.IsTimeout(err):
		e = core.Errorf(core.CodeClientTimeout, "request body paused for longer than %s", c.limits.BodyIdle)
	default:
		e = core.NewError(core.CodeClientClosed, err)
	}
	c.bodyErr.Store(e)
	return e
}
