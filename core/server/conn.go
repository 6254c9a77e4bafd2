package server

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http1"
	"github.com/sluiceproxy/sluice/core/proxy"
	"github.com/sluiceproxy/sluice/core/sock"
)

// conn is a client's connection. HTTP/1.x is served here, on one goroutine; while it waits for a
// request it holds no buffer.
type conn struct {
	srv    *Server
	ln     *listener
	id     uint64
	socket net.Conn // as accepted: what other goroutines may close or wake
	nc     net.Conn // what is read and written: the socket, or TLS over it
	state  atomic.Int32
	s      *sock.Conn
	rd     http1.Reader
	body   http1.Body
	client core.Client
	last   core.Instant // when the last exchange ended, 0 before the first
	stats  ConnStats    // of the configuration that the connection was accepted with; may be nil

	mu       sync.Mutex // guards x against cut
	x        *core.Exchange
	left     job // taken inline, to be served by next
	inlined  func(p []byte, n int) bool
	over     bool // the connection ends with the exchange served inline
	limits   *Limits
	bodyDone atomic.Bool // the request body was read to its end, or there is none
	bodyErr  atomic.Pointer[core.Error]
}

// States of a conn.
const (
	stateNew int32 = iota // no request has come yet
	stateIdle
	stateActive
	stateTunnel
	stateClosing // told to close while it was new or idle
)

func newConn(l *listener, nc net.Conn) *conn {
	id := l.srv.serial.Add(1)
	return &conn{srv: l.srv, ln: l, id: id, socket: nc, nc: nc, stats: l.active.Load().stats}
}

// run serves a new connection, on the goroutine that it was accepted for.
func (c *conn) run() {
	moved := false
	defer func() { c.leave(moved, recover()) }()
	if c.open() {
		moved = c.loop(false)
	}
}

// resume goes on with a connection that was parked, on a goroutine whose stack is still small.
func (c *conn) resume() {
	moved := false
	defer func() { c.leave(moved, recover()) }()
	moved = c.loop(true)
}

// loop serves requests until the connection ends, or until it has been idle for so long that it is
// moved to a fresh goroutine, which it reports. parked says that it waits already.
func (c *conn) loop(parked bool) (moved bool) {
	for parked || c.next() {
		if !c.s.Plain() || c.rd.Buffered() > 0 {
			continue
		}
		switch c.inline(parked) {
		case inlineOver:
			return false
		case inlinePark:
			c.srv.wg.Go(c.resume)
			return true
		}
		parked = false
	}
	return false
}

// leave ends the connection unless another goroutine has it now.
func (c *conn) leave(moved bool, panicked any) {
	if moved {
		return
	}
	if panicked != nil {
		c.srv.log.Error("panic in a connection", "listener", *c.ln.name.Load(), "panic", panicked, "stack", stack())
	}
	c.nc.Close()
	if c.s != nil {
		c.rd.Reset(nil)
	}
	c.ln.open.Add(-1)
	if c.stats != nil {
		c.stats.Closed()
	}
	c.srv.conns.remove(c)
}

// start makes nc the connection that requests are read from.
func (c *conn) start(nc net.Conn) {
	c.nc = nc
	c.s = sock.New(nc)
	c.rd.Reset(c.s)
}

func (c *conn) setAddrs(peer, local net.Addr) {
	c.client.ID = c.id
	c.client.Peer, c.client.Local = addrPort(peer), addrPort(local)
	c.client.IP = c.client.Peer.Addr()
	c.client.Port = c.client.Peer.Port()
	c.client.Addr = c.client.IP.String()
	if !c.client.IP.IsValid() {
		c.client.Addr = "unix:"
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// closeIdle ends the connection now if it waits for a request, else after the exchange. It may be
// called from any goroutine.
func (c *conn) closeIdle() {
	switch {
	case c.state.CompareAndSwap(stateIdle, stateClosing):
		c.socket.SetReadDeadline(time.Unix(1, 0))
	case c.state.CompareAndSwap(stateNew, stateClosing):
		c.socket.SetReadDeadline(time.Now().Add(graceForNew))
	}
}

// graceForNew is how long a connection that was accepted just before a drain may take to send the
// request it was opened for.
const graceForNew = time.Second

// cut ends the connection and the exchange on it, whatever they do. It may be called from any
// goroutine.
func (c *conn) cut() {
	c.socket.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.x != nil {
		c.x.Cancel()
	}
}

func (c *conn) setExchange(x *core.Exchange) {
	c.mu.Lock()
	c.x = x
	c.mu.Unlock()
}

// next serves one request and reports whether another may follow.
func (c *conn) next() bool {
	if j := c.left; j.x != nil {
		c.left = job{}
		return c.do(j)
	}
	head, start, err := c.readHead()
	if err != nil {
		return c.refuse(err, start)
	}
	if head == preface {
		c.ln.front.serve(c, head)
		return false
	}
	return c.do(c.take(head, start))
}

// job is a request that was read, with the configuration it is served by.
type job struct {
	x   *core.Exchange
	a   *active
	m   http1.Message
	err error // the request is not valid
}

// take makes an exchange of a head.
func (c *conn) take(head string, start core.Instant) job {
	j := job{a: c.ln.begin(c.id)}
	c.limits = &j.a.cfg.Limits
	j.x = core.NewExchange(c, c.srv.log)
	c.begin(j.x, j.a, start)
	j.m, j.err = c.parse(j.x, head)
	return j
}

// do serves a job and reports whether another may follow.
func (c *conn) do(j job) bool {
	defer j.a.gen.release(c.id)
	if j.err != nil {
		return c.refuseParsed(j.x, j.a, j.err)
	}
	keep := j.m.KeepAlive && !c.ln.closing() && c.more(c.limits)
	return c.serve(j.x, j.a, j.m, keep)
}

func (c *conn) more(l *Limits) bool { return l.Requests == 0 || c.client.Nth < uint64(l.Requests) }

func (c *conn) begin(x *core.Exchange, a *active, start core.Instant) {
	x.Start = start
	c.setExchange(x)
	c.client.Nth++
	x.Client = c.client
	x.Listener = *c.ln.name.Load()
	x.Runtime = a.gen.cfg.Runtime
	x.Request.Scheme = "http"
	if c.client.TLS != nil {
		x.Request.Scheme = "https"
	}
}

func (c *conn) parse(x *core.Exchange, head string) (http1.Message, error) {
	x.BytesIn = int64(len(head))
	lim := http1.Limits{Fields: c.limits.Fields, Target: int(c.limits.Target)}
	m, err := http1.ParseRequest(head, &x.Request, &lim)
	if err != nil {
		return m, err
	}
	c.bodyErr.Store(nil)
	c.bodyDone.Store(m.Length == 0)
	if m.Length == 0 {
		return m, nil
	}
	if max := int64(c.limits.Body); max > 0 && m.Length > max {
		return m, core.Errorf(core.CodeBodyTooLarge, "body of %d bytes is above the limit of %d", m.Length, max)
	}
	if m.Expect100 {
		x.SetExpect()
	}
	c.body.Init(&c.rd, c, m.Length, int64(c.limits.Body), &x.Request.Trailer)
	x.Request.Body.Set(&c.body, m.Length)
	return m, nil
}

// serve runs the exchange and reports whether the connection goes on.
func (c *conn) serve(x *core.Exchange, a *active, m http1.Message, keep bool) bool {
	forward(x, a.cfg)
	a.handler.Handle(x)
	keep = c.respond(x, keep)
	return c.end(x, keep)
}

// end finishes the exchange: what is left of the request body is read or the connection given up.
func (c *conn) end(x *core.Exchange, keep bool) bool {
	if !c.bodyDone.Load() {
		keep = c.settleBody(x) && keep
	}
	x.Finish()
	linger := !keep && !c.bodyDone.Load() && !x.Aborted
	c.setExchange(nil)
	c.last = x.Ended
	x.Release()
	if linger {
		c.linger()
	}
	if keep {
		c.rd.Release()
	}
	return keep
}

// refuse answers a request whose head could not be read, and closes.
func (c *conn) refuse(err error, start core.Instant) bool {
	if errors.Is(err, errQuiet) {
		return false
	}
	a := c.ln.begin(c.id)
	defer a.gen.release(c.id)
	c.limits = &a.cfg.Limits
	x := core.NewExchange(c, c.srv.log)
	c.begin(x, a, start)
	c.bodyDone.Store(false)
	x.Request.Proto = core.HTTP11
	return c.refuseParsed(x, a, err)
}

// refuseParsed answers a request that is not valid. Of the listener's filters only observers see
// it: nobody knows what it says.
func (c *conn) refuseParsed(x *core.Exchange, a *active, err error) bool {
	e, ok := core.AsError(err)
	if !ok {
		e = core.NewError(core.CodeBadRequest, err)
	}
	c.bodyDone.Store(false)
	x.Request.Body.Clear()
	if x.Request.Proto == 0 {
		x.Request.Proto = core.HTTP11
	}
	proxy.Fail(x, e)
	a.refused(x)
	c.srv.log.Debug("request refused", "listener", x.Listener, "client", x.Client.Addr, "error", e.Error())
	c.respond(x, false)
	x.Finish()
	c.setExchange(nil)
	x.Release()
	c.linger()
	return false
}

// lingerTime bounds how long a connection is read after the last response, so that the client gets
// to read it: closing with bytes unread would reset the connection. Like nginx's lingering_close.
const lingerTime = 5 * time.Second

func (c *conn) linger() {
	if err := c.s.CloseWrite(); err != nil {
		return
	}
	c.s.Uninterrupt()
	c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	buf := http1.Buffers{}.Get()
	defer http1.Buffers{}.Put(buf)
	for {
		if _, err := c.nc.Read(buf); err != nil {
			return
		}
	}
}

var _ core.Front = (*conn)(nil)

// Interim implements core.Front.
func (c *conn) Interim(x *core.Exchange, status int, h *core.Header) error {
	if x.Request.Proto != core.HTTP11 || status == 100 && !x.MeetExpectation(true) {
		return nil
	}
	c.s.WriteTimeout(c.limits.WriteIdle.Std())
	_, err := c.s.Write(http1.AppendInterim(make([]byte, 0, 512), status, h, ""))
	return err
}

// AbortRequestBody implements core.Front.
func (c *conn) AbortRequestBody(*core.Exchange) { c.s.Interrupt() }

// ClientGone implements core.Front.
func (c *conn) ClientGone(*core.Exchange) bool {
	sc, ok := c.socket.(syscall.Conn)
	if !ok {
		return false
	}
	return sock.PeerClosed(sc)
}
