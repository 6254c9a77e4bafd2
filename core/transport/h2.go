package transport

import (
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/http2"
	"github.com/sluiceproxy/sluice/core/sock"
)

// h2Pool holds an endpoint's HTTP/2 connections. One serves many exchanges; another is made when
// its streams are used up.
type h2Pool struct {
	mu      sync.Mutex // guards what follows
	conns   []*http2.ClientConn
	dialing chan struct{} // closed when the connection being made is there, or failed
	http1   bool          // ALPN has settled on HTTP/1.1
	closed  bool
}

// reserve takes a stream of a connection there is.
func (h *h2Pool) reserve() *http2.ClientConn {
	h.mu.Lock()
	defer h.mu.Unlock()
	alive := h.conns[:0]
	var found *http2.ClientConn
	for _, c := range h.conns {
		if c.Done() {
			continue
		}
		alive = append(alive, c)
		if found == nil && c.Reserve() {
			found = c
		}
	}
	clear(h.conns[len(alive):])
	h.conns = alive
	return found
}

func (h *h2Pool) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, c := range h.conns {
		c.Retire()
	}
}

func (p *Pool) roundTripH2(x *core.Exchange, by core.Instant, end Ender) error {
	if p.h2.isHTTP1() {
		return p.roundTrip1(x, by, end)
	}
	a := x.LastAttempt()
	c := p.h2.reserve()
	a.Reused = c != nil
	if c == nil {
		one, many, err := p.connectH2(x, by)
		if err != nil {
			return timedOut(x, err)
		}
		if one != nil {
			return one.roundTrip(x, by, end)
		}
		c = many
	}
	a.Connect = core.Now().Sub(a.Start)
	return c.RoundTrip(x, by, p.cfg.Idle, end)
}

func (h *h2Pool) isHTTP1() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.http1
}

// connectH2 makes a connection, or waits for the one that another exchange is making. What comes
// is HTTP/1.1 when ALPN says so and the protocol is auto.
func (p *Pool) connectH2(x *core.Exchange, by core.Instant) (*conn, *http2.ClientConn, error) {
	for {
		done, mine := p.h2.beginDial()
		if mine {
			one, many, err := p.dialH2(x, by)
			p.h2.endDial(done)
			return one, many, err
		}
		if err := awaitDial(done, by); err != nil {
			return nil, nil, err
		}
		if c := p.h2.reserve(); c != nil {
			return nil, c, nil
		}
		if p.h2.isHTTP1() {
			c, err := p.connect(x, by)
			return c, nil, err
		}
	}
}

func (h *h2Pool) beginDial() (done chan struct{}, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dialing != nil {
		return h.dialing, false
	}
	h.dialing = make(chan struct{})
	return h.dialing, true
}

func (h *h2Pool) endDial(done chan struct{}) {
	h.mu.Lock()
	h.dialing = nil
	h.mu.Unlock()
	close(done)
}

func awaitDial(done chan struct{}, by core.Instant) error {
	if by == 0 {
		<-done
		return nil
	}
	t := time.NewTimer(max(by.Sub(core.Now()), time.Nanosecond))
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		return core.Errorf(core.CodeConnectTimeout, "no connection in time")
	}
}

func (p *Pool) dialH2(x *core.Exchange, by core.Instant) (*conn, *http2.ClientConn, error) {
	nc, err := p.dialCounted(x, by)
	if err != nil {
		return nil, nil, err
	}
	scheme := "http"
	if p.cfg.TLS != nil {
		scheme = "https"
	}
	if tc, ok := nc.(*tls.Conn); ok && tc.ConnectionState().NegotiatedProtocol != "h2" {
		if p.cfg.Protocol == H2 {
			p.open.Add(-1)
			nc.Close()
			return nil, nil, core.Errorf(core.CodeUpstreamTLS, "the endpoint does not offer h2 by ALPN")
		}
		return p.fallBack(nc), nil, nil
	} else if !ok && p.cfg.Protocol == Auto {
		return p.fallBack(nc), nil, nil
	}
	c, err := http2.NewClientConn(&countedConn{Conn: nc, p: p}, scheme, p.cfg.KeepFor)
	if err != nil {
		return nil, nil, err
	}
	c.Reserve()
	p.h2.mu.Lock()
	p.h2.conns = append(p.h2.conns, c)
	p.h2.mu.Unlock()
	return nil, c, nil
}

// fallBack remembers that the endpoint speaks HTTP/1.1.
func (p *Pool) fallBack(nc net.Conn) *conn {
	p.h2.mu.Lock()
	p.h2.http1 = true
	p.h2.mu.Unlock()
	c := &conn{pool: p, s: sock.New(nc)}
	c.rd.Reset(c.s)
	return c
}

// countedConn takes a connection off the pool's count when it closes.
type countedConn struct {
	net.Conn
	p    *Pool
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.p.open.Add(-1) })
	return c.Conn.Close()
}
