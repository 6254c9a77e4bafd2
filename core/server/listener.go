package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// listener is a socket and what is served on it.
type listener struct {
	srv     *Server
	name    atomic.Pointer[string]
	address string // as configured
	socket  net.Listener
	active  atomic.Pointer[active]
	secrets atomic.Pointer[secrets]
	front   *front2
	open    atomic.Int64
	retired atomic.Bool
}

func newListener(s *Server, l *Listener, socket net.Listener) *listener {
	n := &listener{srv: s, address: l.Config.Address, socket: socket}
	n.front = newFront2(n)
	return n
}

// install makes a generation's configuration the current one.
func (l *listener) install(c *Listener, gen *generation, sec *secrets) {
	l.name.Store(&c.Name)
	if old := l.secrets.Swap(sec); old != nil {
		old.close()
	}
	l.active.Store(&active{gen: gen, cfg: c.Config, handler: c.Handler, stats: c.Stats})
}

// retire closes a listener that the new configuration has not. Its connections end with their
// exchanges.
func (l *listener) retire() {
	l.retired.Store(true)
	l.socket.Close()
	l.front.shutdown()
	l.closeSecrets()
	l.srv.conns.each(func(c *conn) {
		if c.ln == l {
			c.closeIdle()
		}
	})
}

func (l *listener) closeSecrets() {
	if sec := l.secrets.Load(); sec != nil {
		sec.close()
	}
}

// closing reports whether connections should end with their exchange.
func (l *listener) closing() bool { return l.retired.Load() || l.srv.draining.Load() }

// listen binds an address, or takes the socket that an older process or systemd handed over.
func (s *Server) listen(address string) (net.Listener, error) {
	if ln := s.inherited.take(address); ln != nil {
		return ln, nil
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(path)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, listenError(address, err)
	}
	return ln, nil
}

// listenUnix removes a socket that a process which is gone has left behind.
func listenUnix(path string) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if c, dialErr := net.Dial("unix", path); dialErr == nil {
			c.Close()
			return nil, fmt.Errorf("listen on unix:%s: another process serves it", path)
		}
		os.Remove(path)
		ln, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, listenError("unix:"+path, err)
	}
	return ln, nil
}

func listenError(address string, err error) error {
	var sys *os.SyscallError
	if !errors.As(err, &sys) {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: the port is taken by another process", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: not permitted: ports below 1024 need the capability cap_net_bind_service", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s: this machine does not have the address", address)
	}
	return fmt.Errorf("listen on %s: %w", address, sys.Err)
}

// accept serves connections until the socket is closed.
func (l *listener) accept() {
	for {
		nc, err := l.socket.Accept()
		switch {
		case err == nil:
			l.serve(nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			l.srv.log.Error("accept failed", "listener", *l.name.Load(), "error", err)
			time.Sleep(acceptBackoff)
		}
	}
}

func (l *listener) serve(nc net.Conn) {
	limit := l.active.Load().cfg.Limits.Connections
	if n := l.open.Add(1); limit > 0 && n > int64(limit) {
		l.open.Add(-1)
		nc.Close()
		return
	}
	c := newConn(l, nc)
	if c.stats != nil {
		c.stats.Accepted()
	}
	l.srv.conns.add(c)
	l.srv.wg.Go(c.run)
}
