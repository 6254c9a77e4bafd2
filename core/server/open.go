package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// openTime bounds the PROXY header and the TLS handshake where limits.head_time is 0.
const openTime = 30 * time.Second

// open reads the PROXY header and makes the TLS handshake, where the listener wants them. It
// reports whether there is an HTTP/1.x connection to serve; an HTTP/2 one was served by then.
func (c *conn) open() bool {
	a := c.ln.active.Load()
	c.setAddrs(c.nc.RemoteAddr(), c.nc.LocalAddr())
	wait := a.cfg.Limits.HeadTime.Std()
	if wait == 0 {
		wait = openTime
	}
	nc := c.nc
	if a.cfg.ProxyProtocol {
		c.nc.SetReadDeadline(time.Now().Add(wait))
		rest, err := c.readProxyHeader()
		if err != nil {
			c.srv.log.Debug("no proxy protocol header", "listener", *c.ln.name.Load(),
				"peer", c.client.Peer.String(), "error", err)
			return false
		}
		c.nc.SetReadDeadline(time.Time{})
		nc = rest
	}
	cfg := c.ln.secrets.Load().config()
	if cfg == nil {
		c.start(nc)
		return true
	}
	return c.handshake(tls.Server(nc, cfg), wait)
}

func (c *conn) handshake(tc *tls.Conn, wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		c.srv.log.Debug("tls handshake failed", "listener", *c.ln.name.Load(),
			"peer", c.client.Peer.String(), "error", err)
		return false
	}
	state := tc.ConnectionState()
	c.client.TLS = &state
	if state.NegotiatedProtocol == "h2" {
		c.ln.front.serveConn(c, tc)
		return false
	}
	c.start(tc)
	return true
}

// readProxyHeader sets the client's address from a PROXY header (v1 or v2) and returns the
// connection behind it.
func (c *conn) readProxyHeader() (net.Conn, error) {
	br := bufio.NewReaderSize(c.nc, 4096)
	h, err := proxyproto.Read(br)
	if err != nil {
		return nil, err
	}
	if !h.Command.IsLocal() && h.SourceAddr != nil {
		if ap := addrPort(h.SourceAddr); ap.IsValid() {
			c.client.IP, c.client.Port = ap.Addr(), ap.Port()
			c.client.Addr = ap.Addr().String()
		}
	}
	rest, _ := br.Peek(br.Buffered())
	if len(rest) == 0 {
		return c.nc, nil
	}
	return &prefixed{Conn: c.nc, head: append([]byte(nil), rest...)}, nil
}

// prefixed is a connection of which some bytes have been read already.
type prefixed struct {
	net.Conn
	head []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.head)
	p.head = p.head[n:]
	return n, nil
}

// CloseWrite ends the outgoing direction where the connection can do that.
func (p *prefixed) CloseWrite() error {
	if h, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return p.Conn.Close()
}

// NetConn returns the connection below.
func (p *prefixed) NetConn() net.Conn { return p.Conn }
