package server

import (
	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
)

// inline serves requests without a body from within the poller's read loop, for as long as they
// come: between two of them nothing is read that is not there, see sock.EachRead. What needs to
// read the connection itself, a body or a tunnel, is left for next. It reports whether the
// connection goes on.
func (c *conn) inline() bool {
	if !c.rest(&c.ln.active.Load().cfg.Limits) {
		return false
	}
	if c.inlined == nil {
		c.inlined = c.onBytes
	}
	return c.s.EachRead(http1.Buffers{}, c.inlined) == nil && !c.over
}

// onBytes serves what has come. It returns false when next has to go on, or nobody.
func (c *conn) onBytes(p []byte, n int) bool {
	c.wake(nil)
	c.rd.Lend(p, n)
	start := core.Now()
	lim := &c.ln.active.Load().cfg.Limits
	for c.rd.Buffered() > 0 {
		head, ok, err := c.rd.Head(lim.head())
		if !ok || err != nil {
			return false
		}
		j := c.take(head, start)
		if j.err != nil || j.m.Length != 0 || j.x.Request.Upgrade != "" {
			c.left = j
			return false
		}
		if c.over = !c.do(j); c.over {
			return false
		}
	}
	c.over = !c.rest(lim)
	return !c.over
}
