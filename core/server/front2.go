package server

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http2"
)

// preface is the head that an HTTP/2 connection begins with (RFC 9113 3.4), as Reader.Head
// returns it.
const preface = "PRI * HTTP/2.0\r\n\r\n"

// front2 serves the HTTP/2 connections of a listener.
type front2 struct {
	ln *listener
	h2 *http2.Front
}

func newFront2(l *listener) *front2 {
	f := &front2{ln: l}
	f.h2 = http2.NewFront(http2.FrontOptions{Begin: f.begin, Refused: f.refused, Log: l.srv.log, Limits: f.limits})
	return f
}

func (f *front2) limits() http2.Limits {
	lim := &f.ln.active.Load().cfg.Limits
	return http2.Limits{
		Head: int(lim.Head), Fields: lim.Fields, Target: int(lim.Target), Body: int64(lim.Body),
		BodyIdle: lim.BodyIdle.Std(), WriteIdle: lim.WriteIdle.Std(), KeepAlive: lim.KeepAlive.Std(),
		Streams: uint32(lim.Streams),
	}
}

// begin takes the current configuration for a stream. run fills the exchange's response; end is
// called when the stream has ended.
func (f *front2) begin(x *core.Exchange) (run func(), end func()) {
	a := f.ln.begin(x.Client.ID)
	x.Listener = *f.ln.name.Load()
	x.Runtime = a.gen.cfg.Runtime
	run = func() {
		forward(x, a.cfg)
		a.handler.Handle(x)
	}
	id := x.Client.ID
	return run, func() { a.gen.release(id) }
}

// refused takes the current configuration for a stream whose request is not valid.
func (f *front2) refused(x *core.Exchange) (end func()) {
	a := f.ln.begin(x.Client.ID)
	x.Listener = *f.ln.name.Load()
	x.Runtime = a.gen.cfg.Runtime
	a.refused(x)
	id := x.Client.ID
	return func() { a.gen.release(id) }
}

// serve takes over a connection without TLS whose preface was read as a request head.
func (f *front2) serve(c *conn, head string) {
	if !f.ln.active.Load().cfg.speaks("h2") || c.client.Nth > 0 || c.client.TLS != nil {
		return
	}
	bytes := append([]byte(head), c.rd.Peek()...)
	c.rd.Skip(c.rd.Buffered())
	c.rd.Release()
	c.s.Uninterrupt()
	f.serveConn(c, &prefixed{Conn: c.nc, head: bytes})
}

func (f *front2) serveConn(c *conn, nc net.Conn) {
	if _, plain := nc.(*prefixed); plain {
		c.client.TLS = nil
	}
	if tc, ok := nc.(*tls.Conn); ok {
		c.nc = tc
	}
	f.h2.Serve(nc, c.client)
}

func (f *front2) shutdown() { go f.h2.Shutdown(context.Background()) }

func (f *front2) close() { f.h2.Close() }
