package server

import (
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/sock"
)

// What inline has come to.
type inlineEnd uint8

const (
	inlineNext inlineEnd = iota // next has to go on
	inlineOver                  // the connection ends
	inlinePark                  // idle for parkAfter
)

// parkAfter is how long an idle connection stays on the goroutine that has served it, whose stack
// has grown; after that it waits on a fresh one, which takes half the memory.
const parkAfter = time.Second

// inline serves requests without a body from within the poller's read loop, for as long as they
// come: between two of them nothing is read that is not there, see sock.EachRead. What needs to
// read the connection itself, a body or a tunnel, is left for next.
func (c *conn) inline(parked bool) inlineEnd {
	lim := &c.ln.active.Load().cfg.Limits
	if !c.restInline(lim, parked) {
		return inlineOver
	}
	if c.inlined == nil {
		c.inlined = c.onBytes
	}
	err := c.s.EachRead(http1.Buffers{}, c.inlined)
	switch {
	case err == nil && !c.over:
		return inlineNext
	case !parked && parks(lim) && sock.IsTimeout(err) && c.state.Load() == stateIdle:
		return inlinePark
	}
	return inlineOver
}

// restInline makes the connection idle: first for parkAfter, once parked for what is left of
// limits.keep_alive.
func (c *conn) restInline(lim *Limits, parked bool) bool {
	switch {
	case !parks(lim):
		return c.rest(lim)
	case !parked:
		return c.restFor(parkAfter)
	case lim.KeepAlive == 0:
		return c.restFor(0)
	}
	return c.restFor(lim.KeepAlive.Std()) // from the end of the last exchange
}

func parks(lim *Limits) bool { return lim.KeepAlive == 0 || lim.KeepAlive.Std() > 2*parkAfter }

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
	c.over = !c.restInline(lim, false)
	return !c.over
}
