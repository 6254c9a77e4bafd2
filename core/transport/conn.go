package transport

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/sock"
)

// conn is an HTTP/1.1 connection to an endpoint. One exchange at a time has it.
type conn struct {
	pool      *Pool
	s         *sock.Conn
	rd        http1.Reader
	body      *responseBody // of the response; nil without one
	idleSince core.Instant
	uses      uint64
	closing   sync.Once

	x       *core.Exchange
	end     Ender
	attempt int // index of the exchange's attempt
	headAt  core.Instant
	alive   bool // the response lets the connection be kept
	whole   bool // all of the response came with its head
	got     bool // a byte of the response has come
	sent    bool // a byte of the request has gone
	pump    pumpState
}

var _ http1.Owner = (*conn)(nil)

func (c *conn) close() {
	c.closing.Do(func() {
		c.s.Close()
		c.pool.open.Add(-1)
	})
}

// Close lets a cancelled exchange stop waiting.
func (c *conn) Close() error {
	c.close()
	return nil
}

// BeforeRead implements http1.Owner.
func (c *conn) BeforeRead() error {
	c.s.ReadTimeout(c.pool.cfg.Idle)
	return nil
}

// BodyEnded implements http1.Owner.
func (c *conn) BodyEnded(err error) error {
	if err != nil && !errors.Is(err, http1.ErrBodyClosed) {
		err = bodyError(err)
	}
	c.finish(err)
	return err
}

// bodyError types what went wrong behind the response head.
func bodyError(err error) error {
	e, typed := core.AsError(err)
	switch {
	case typed && e.Side == core.SideClient:
		return &core.Error{Code: core.CodeUpstreamProtocol, Side: core.SideUpstream, Sent: true, Err: e.Err}
	case typed:
		return e
	case sock.IsTimeout(err):
		return &core.Error{Code: core.CodeIdleTimeout, Side: core.SideUpstream, Sent: true, Err: err}
	}
	return &core.Error{Code: core.CodeUpstreamReset, Side: core.SideUpstream, Sent: true, Err: err}
}

// finish ends the exchange on the connection and keeps or closes it.
func (c *conn) finish(err error) {
	x, end := c.x, c.end
	if x == nil {
		return
	}
	x.OnCancel(nil) // before somebody else may have the connection
	now := c.headAt
	if !c.whole {
		now = core.Now()
	}
	if a := x.AttemptAt(c.attempt); a != nil {
		a.Total = now.Sub(a.Start)
		if c.body != nil {
			a.BytesIn = c.body.Total()
		}
		a.BytesOut = c.pump.bytes.Load()
	}
	c.x, c.end, c.body = nil, nil, nil
	keep := err == nil && c.alive && c.pump.idle() && c.rd.Buffered() == 0
	if keep {
		c.rd.Release()
		c.pool.put(c, now)
	} else {
		c.close()
	}
	end.AttemptEnded(x, err)
}

// responseBody belongs to its exchange, not to the connection: who reads it may close it after the
// connection has gone on to the next one.
type responseBody struct {
	http1.Body
}

var responseBodies = sync.Pool{New: func() any { return new(responseBody) }}

// Done implements core.Done: nobody reads the body any more.
func (b *responseBody) Done(*core.Exchange) {
	b.Body = http1.Body{}
	responseBodies.Put(b)
}

// pumpState is what the goroutine that sends a request body shares with the one that reads the
// response.
type pumpState struct {
	running atomic.Bool
	bytes   atomic.Int64
	failed  atomic.Pointer[core.Error] // reading the body failed: the client's fault, or a filter's
}

func (p *pumpState) idle() bool { return !p.running.Load() && p.failed.Load() == nil }

func (p *pumpState) reset() {
	p.bytes.Store(0)
	p.failed.Store(nil)
}

// tunnel is the endpoint's side of an upgraded connection.
type tunnel struct {
	c    *conn
	once sync.Once
}

func (t *tunnel) Read(p []byte) (int, error) { return t.c.rd.Read(p) }

// WriteTo copies what the endpoint sends, without a buffer while it sends nothing.
func (t *tunnel) WriteTo(w io.Writer) (int64, error) { return t.c.rd.WriteTo(w) }

func (t *tunnel) Write(p []byte) (int, error) { return t.c.s.Write(p) }

func (t *tunnel) CloseWrite() error { return t.c.s.CloseWrite() }

func (t *tunnel) Close() error {
	t.once.Do(func() {
		t.c.alive = false
		t.c.finish(nil)
	})
	return nil
}
