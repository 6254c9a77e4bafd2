package transport

import (
	"errors"
	"io"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/sock"
)

// RoundTrip sends x.Request and returns when the response head is in x.Response. The caller has
// appended the attempt to x.Attempts, whose times are filled. See Ender for what follows a nil
// error; any other is a *core.Error, and then end is not called.
func (p *Pool) RoundTrip(x *core.Exchange, end Ender) error {
	by := p.deadline(x)
	if p.cfg.Protocol != HTTP1 {
		return p.roundTripH2(x, by, end)
	}
	return p.roundTrip1(x, by, end)
}

// deadline returns when the response head must be there, 0 for never.
func (p *Pool) deadline(x *core.Exchange) core.Instant {
	try := p.cfg.Try
	if x.TryTimeout > 0 {
		try = x.TryTimeout
	}
	by := x.Deadline
	if try > 0 {
		if at := x.LastAttempt().Start.Add(try); by == 0 || at < by {
			by = at
		}
	}
	return by
}

func (p *Pool) roundTrip1(x *core.Exchange, by core.Instant, end Ender) error {
	idempotent := isIdempotent(x.Request.Method)
	c := p.take(x.LastAttempt().Start, !idempotent)
	if c == nil {
		return p.roundTripNew(x, by, end)
	}
	err := c.roundTrip(x, by, end)
	if err == nil || !c.died(err) || (c.sent && !idempotent) || !x.Request.Body.Rewind() {
		return err
	}
	// The endpoint had closed the kept connection: RFC 9112 9.3.1 lets one more try be made.
	x.Response.Reset()
	return p.roundTripNew(x, by, end)
}

func (p *Pool) roundTripNew(x *core.Exchange, by core.Instant, end Ender) error {
	c, err := p.connect(x, by)
	if err != nil {
		return timedOut(x, err)
	}
	return c.roundTrip(x, by, end)
}

// died reports whether a kept connection ended before a byte of the answer.
func (c *conn) died(err error) bool {
	e, ok := core.AsError(err)
	return ok && e.Code == core.CodeUpstreamReset && c.reused() && !c.got
}

// reused reports whether the connection has served before this exchange.
func (c *conn) reused() bool { return c.uses > 1 }

func isIdempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// roundTrip runs one exchange on the connection. After an error the connection is closed.
func (c *conn) roundTrip(x *core.Exchange, by core.Instant, end Ender) error {
	c.begin(x, end)
	x.OnCancel(c)
	err := c.sendAndRead(x, by)
	if err == nil {
		return nil // finish takes it from here
	}
	x.OnCancel(nil)
	c.x, c.end = nil, nil
	c.close()
	return err
}

func (c *conn) begin(x *core.Exchange, end Ender) {
	c.x, c.end, c.attempt = x, end, len(x.Attempts)-1
	c.uses++
	c.got, c.sent, c.alive, c.whole = false, false, false, false
	c.pump.reset()
	a := x.LastAttempt()
	a.Reused = c.reused()
	a.Connect = 0
	if !a.Reused {
		a.Connect = core.Now().Sub(a.Start)
	}
}

func (c *conn) sendAndRead(x *core.Exchange, by core.Instant) error {
	if err := c.send(x, by); err != nil {
		return c.typed(x, err, by)
	}
	m, err := c.readHead(x, by)
	if err != nil {
		return c.typed(x, err, by)
	}
	a := x.LastAttempt()
	a.Status = x.Response.Status
	a.Header = core.Now().Sub(a.Start)
	c.alive = m.KeepAlive
	c.headAt = a.Start.Add(a.Header)
	c.handOver(x, m)
	return nil
}

// handOver makes the response's body, or tunnel, the exchange's.
func (c *conn) handOver(x *core.Exchange, m http1.Message) {
	resp := &x.Response
	switch {
	case resp.Status == 101 || x.Request.Method == "CONNECT" && resp.Status < 300:
		c.s.ReadTimeout(0)
		resp.Tunnel = &tunnel{c: c}
	case m.Length == 0:
		c.whole = true
		c.finish(nil)
	default:
		c.body = responseBodies.Get().(*responseBody)
		c.body.Init(&c.rd, c, m.Length, 0, &resp.Trailer)
		c.whole = c.body.AllBuffered()
		x.OnDone(c.body)
		resp.Body.Set(&c.body.Body, max(m.Length, -1))
	}
}

// readHead reads up to the final response head, passing 1xx responses on.
func (c *conn) readHead(x *core.Exchange, by core.Instant) (http1.Message, error) {
	for range maxInterim {
		head, err := c.nextHead(by)
		if err != nil {
			return http1.Message{}, err
		}
		lim := http1.Limits{Fields: maxFields}
		m, err := http1.ParseResponse(head, x.Request.Method, &x.Response, &lim)
		if err != nil || x.Response.Status >= 200 {
			return m, err
		}
		if x.Response.Status == 101 {
			return m, c.checkUpgrade(x)
		}
		if err := x.Interim(x.Response.Status, &x.Response.Header); err != nil {
			return m, core.NewError(core.CodeClientClosed, err)
		}
		x.Response.Reset()
	}
	return http1.Message{}, core.Errorf(core.CodeUpstreamProtocol, "more than %d interim responses", maxInterim)
}

// maxInterim is how many 1xx responses one request may get.
const maxInterim = 64

func (c *conn) checkUpgrade(x *core.Exchange) error {
	if x.Request.Upgrade == "" || x.Request.Method == "CONNECT" {
		return core.Errorf(core.CodeUpstreamProtocol, "status 101 to a request that asked for no upgrade")
	}
	return nil
}

func (c *conn) nextHead(by core.Instant) (string, error) {
	for {
		head, ok, err := c.rd.Head(c.pool.cfg.HeadLimit)
		if err != nil {
			return "", core.NewError(core.CodeUpstreamProtocol, err)
		}
		if ok {
			c.got = true
			return head, nil
		}
		c.readBy(core.Now(), by)
		if err := c.rd.Fill(); err != nil {
			return "", err
		}
		c.got = true
	}
}

// readBy makes reads fail at the instant, or up to an eighth of the time that is left later.
func (c *conn) readBy(now, by core.Instant) {
	if by == 0 {
		c.s.ReadTimeout(0)
		return
	}
	c.s.ReadTimeoutFrom(now, max(by.Sub(now), time.Nanosecond))
}

// typed gives an error of the socket its code.
func (c *conn) typed(x *core.Exchange, err error, by core.Instant) error {
	if e := c.pump.failed.Load(); e != nil {
		return e
	}
	if e, ok := core.AsError(err); ok {
		e.Sent = e.Sent || c.sent
		return e
	}
	e := &core.Error{Code: core.CodeUpstreamReset, Side: core.SideUpstream, Sent: c.sent, Err: err}
	switch {
	case x.Cancelled():
		e.Code, e.Side = core.CodeCancelled, core.SideProxy
	case sock.IsTimeout(err):
		e.Code = core.CodeTryTimeout
		return timedOut(x, e)
	case errors.Is(err, io.EOF):
		e.Err = errClosed
	}
	return e
}

var errClosed = errors.New("connection closed before the response")

// timedOut makes an error of a timeout total_timeout when that is what has passed.
func timedOut(x *core.Exchange, err error) error {
	e, ok := core.AsError(err)
	if !ok || x.Deadline == 0 || core.Now() < x.Deadline {
		return err
	}
	if e.Code == core.CodeTryTimeout || e.Code == core.CodeConnectTimeout {
		e.Code = core.CodeTotalTimeout
	}
	return err
}
