package server

import (
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/sock"
)

// readHead waits for a request and returns its head, and when its first byte was there.
func (c *conn) readHead() (string, core.Instant, error) {
	cfg := c.ln.active.Load().cfg
	lim := &cfg.Limits
	if c.rd.Buffered() == 0 {
		if err := c.await(lim); err != nil {
			return "", 0, err
		}
	}
	start := core.Now()
	for {
		head, ok, err := c.rd.Head(lim.head())
		if err != nil {
			return "", start, c.headError(err, lim)
		}
		if ok {
			return head, start, nil
		}
		if lim.HeadTime > 0 {
			now := core.Now()
			c.s.ReadTimeoutFrom(now, max(start.Add(lim.HeadTime.Std()).Sub(now), time.Nanosecond))
		}
		if err := c.rd.Fill(); err != nil {
			return "", start, c.headError(err, lim)
		}
	}
}

// maxHead bounds a head where the configuration sets no limit.
const maxHead = 1 << 20

func (l *Limits) head() int {
	if l.Head == 0 {
		return maxHead
	}
	return int(l.Head)
}

// await waits, without a buffer, for the first bytes of a request.
func (c *conn) await(lim *Limits) error {
	if !c.rest(lim) {
		return errQuiet
	}
	err := c.rd.Fill()
	c.wake(err)
	if err != nil {
		return errQuiet
	}
	return nil
}

// rest makes the connection idle, for as long as limits.keep_alive allows. It returns false when
// the connection should close instead.
func (c *conn) rest(lim *Limits) bool {
	wait := lim.KeepAlive.Std()
	if c.client.Nth == 0 && lim.HeadTime > 0 {
		wait = lim.HeadTime.Std()
	}
	return c.restFor(wait)
}

func (c *conn) restFor(wait time.Duration) bool {
	if c.last == 0 {
		c.last = core.Now()
	}
	c.s.ReadTimeoutFrom(c.last, wait)
	if c.client.Nth == 0 {
		return true
	}
	c.state.CompareAndSwap(stateActive, stateIdle)
	return !c.ln.closing()
}

// wake makes the connection active again.
func (c *conn) wake(err error) {
	if err == nil && !c.state.CompareAndSwap(stateIdle, stateActive) && !c.state.CompareAndSwap(stateNew, stateActive) {
		// Told to close while a request was arriving: it is still served, as the last one.
		c.state.Store(stateActive)
		c.s.Uninterrupt()
	}
}

// errQuiet ends a connection on which nothing is under way.
var errQuiet = errors.New("connection ended between requests")

func (c *conn) headError(err error, lim *Limits) error {
	switch {
	case errors.Is(err, http1.ErrHeadTooLarge):
		if c.targetTooLong(lim) {
			return core.NewError(core.CodeTargetTooLong, err)
		}
		return core.NewError(core.CodeHeadTooLarge, err)
	case errors.Is(err, http1.ErrLineEnd):
		return core.NewError(core.CodeBadRequest, err)
	case sock.IsTimeout(err):
		return core.Errorf(core.CodeClientTimeout, "request head not complete after %s", lim.HeadTime)
	}
	return errQuiet
}

// targetTooLong tells a head that is too large for its request line from one with many fields.
func (c *conn) targetTooLong(lim *Limits) bool {
	p := c.rd.Peek()
	if max := int(lim.Target); max > 0 && len(p) > max {
		for _, b := range p[:max] {
			if b == '\n' {
				return false
			}
		}
		return true
	}
	return false
}
