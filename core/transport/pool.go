package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/sock"
)

// Pool holds the connections to one endpoint. It is safe for concurrent use.
type Pool struct {
	network string
	address string
	cfg     Config
	open    atomic.Int64
	h2      h2Pool

	mu     sync.Mutex // guards what follows
	idle   []*conn    // the one used last is last
	reaper *time.Timer
	closed bool
}

// NewPool returns a pool for an address, host:port or unix:/path. It connects to nothing yet.
func NewPool(address string, cfg Config) *Pool {
	p := &Pool{network: "tcp", address: address, cfg: cfg}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		p.network, p.address = "unix", path
	}
	if p.cfg.HeadLimit == 0 {
		p.cfg.HeadLimit = DefaultHeadLimit
	}
	return p
}

// Open returns the number of connections there are now, in use or kept.
func (p *Pool) Open() int { return int(p.open.Load()) }

// Close closes the connections that nobody uses; the others close when their exchange has ended.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	p.h2.close()
}

// staleAfter is how long a kept connection is trusted unseen. One that has been idle for longer is
// checked for having been closed, or for bytes that belong to nobody, before it is used.
const staleAfter = 300 * time.Microsecond

// take returns a kept connection that looks alive, nil when there is none. careful has even the
// freshest one checked.
func (p *Pool) take(now core.Instant, careful bool) *conn {
	for {
		c := p.pop()
		if c == nil {
			return nil
		}
		if !careful && now.Sub(c.idleSince) < staleAfter {
			return c
		}
		if !c.s.Stale() {
			return c
		}
		c.close()
	}
}

func (p *Pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// put keeps a connection for the next exchange, or closes it.
func (p *Pool) put(c *conn, now core.Instant) {
	c.idleSince = now
	p.mu.Lock()
	if p.closed || len(p.idle) >= p.cfg.KeepIdle {
		p.mu.Unlock()
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	if p.reaper == nil && p.cfg.KeepFor > 0 {
		p.reaper = time.AfterFunc(p.cfg.KeepFor, p.reap)
	}
	p.mu.Unlock()
}

// reap closes what has been idle for too long and comes again while something is kept.
func (p *Pool) reap() {
	now := core.Now()
	p.mu.Lock()
	old := 0
	for old < len(p.idle) && now.Sub(p.idle[old].idleSince) >= p.cfg.KeepFor {
		old++
	}
	dead := append([]*conn(nil), p.idle[:old]...)
	kept := copy(p.idle, p.idle[old:])
	clear(p.idle[kept:])
	p.idle = p.idle[:kept]
	p.reaper = nil
	if len(p.idle) > 0 && !p.closed {
		p.reaper = time.AfterFunc(p.cfg.KeepFor-now.Sub(p.idle[0].idleSince), p.reap)
	}
	p.mu.Unlock()
	for _, c := range dead {
		c.close()
	}
}

// connect makes a connection, within timeout.connect and before by.
func (p *Pool) connect(x *core.Exchange, by core.Instant) (*conn, error) {
	nc, err := p.dialCounted(x, by)
	if err != nil {
		return nil, err
	}
	c := &conn{pool: p, s: sock.New(nc)}
	c.rd.Reset(c.s)
	return c, nil
}

// stopDial lets a cancelled exchange stop connecting.
type stopDial context.CancelFunc

func (s stopDial) Close() error {
	s()
	return nil
}

func (p *Pool) dialCounted(x *core.Exchange, by core.Instant) (net.Conn, error) {
	if n := p.open.Add(1); p.cfg.MaxConns > 0 && n > int64(p.cfg.MaxConns) {
		p.open.Add(-1)
		return nil, core.Errorf(core.CodeOverflow, "all %d connections are in use", p.cfg.MaxConns)
	}
	timeout := p.cfg.Connect
	if by != 0 {
		left := max(by.Sub(core.Now()), time.Nanosecond)
		if timeout == 0 || left < timeout {
			timeout = left
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), timeout)
	}
	defer cancel()
	x.OnCancel(stopDial(cancel))
	nc, err := p.Dial(ctx)
	x.OnCancel(nil)
	if err == nil {
		return nc, nil
	}
	p.open.Add(-1)
	if x.Cancelled() {
		return nil, core.NewError(core.CodeCancelled, err)
	}
	return nil, err
}

// Dial makes a connection of its own, with the TLS handshake done, that the pool knows nothing
// of. Errors are *core.Error.
func (p *Pool) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, p.network, p.address)
	if err != nil {
		return nil, connectError(err)
	}
	if p.cfg.TLS == nil {
		return nc, nil
	}
	tc := tls.Client(nc, p.tlsConfig())
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, core.Errorf(core.CodeConnectTimeout, "tls handshake: %w", err)
		}
		return nil, core.NewError(core.CodeUpstreamTLS, err)
	}
	return tc, nil
}

func (p *Pool) tlsConfig() *tls.Config {
	cfg := p.cfg.TLS
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg = cfg.Clone()
		host, _, err := net.SplitHostPort(p.address)
		if err != nil {
			host = p.address
		}
		cfg.ServerName = host
	}
	if protos := p.cfg.Protocol.alpn(); len(cfg.NextProtos) == 0 && protos != nil {
		cfg = cfg.Clone()
		cfg.NextProtos = protos
	}
	return cfg
}

func (p Protocol) alpn() []string {
	switch p {
	case H2:
		return []string{"h2"}
	case Auto:
		return []string{"h2", "http/1.1"}
	}
	return nil
}

func connectError(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return core.NewError(core.CodeConnectRefused, err)
	case errors.Is(err, context.DeadlineExceeded) || sock.IsTimeout(err):
		return core.NewError(core.CodeConnectTimeout, err)
	}
	return core.NewError(core.CodeConnectFailed, err)
}
