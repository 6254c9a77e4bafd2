package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server owns the listening sockets and the connections. It outlives configurations.
type Server struct {
	log       *slog.Logger
	conns     connSet
	serial    atomic.Uint64
	draining  atomic.Bool
	inherited *inherited
	wg        sync.WaitGroup // accept loops and connections
	stop      chan struct{}  // closed at the end, for watchClients
	watcher   sync.WaitGroup

	mu        sync.Mutex // guards what follows
	listeners map[string]*listener
	others    map[string]net.Listener // from Listen, by address
	gen       *generation
	closed    bool
}

// New returns a server that listens nowhere yet.
func New(log *slog.Logger) *Server {
	return &Server{log: log, listeners: map[string]*listener{}, others: map[string]net.Listener{},
		inherited: inheritSockets(log), stop: make(chan struct{})}
}

// Prepared is a configuration whose sockets are bound and whose certificates are loaded, ready to
// be served.
type Prepared struct {
	s       *Server
	cfg     *Config
	fresh   map[string]*listener // bound for it
	reused  map[string]*listener
	secrets map[string]*secrets
}

// Prepare binds the sockets that c needs and the server does not have, and loads certificates.
// Nothing is served before Commit; on an error, and after Abort, all is as it was. Errors name the
// listener.
func (s *Server) Prepare(c *Config) (*Prepared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining.Load() {
		return nil, errors.New("the server is shutting down")
	}
	p := &Prepared{s: s, cfg: c, fresh: map[string]*listener{}, reused: map[string]*listener{},
		secrets: map[string]*secrets{}}
	var errs []error
	for i := range c.Listeners {
		if err := p.listener(&c.Listeners[i]); err != nil {
			errs = append(errs, fmt.Errorf("listener %s: %w", c.Listeners[i].Name, err))
		}
	}
	if len(errs) > 0 {
		p.Abort()
		return nil, errors.Join(errs...)
	}
	return p, nil
}

func (p *Prepared) listener(l *Listener) error {
	sec, err := loadSecrets(l.Config, p.cfg.Dir, p.s.log)
	if err != nil {
		return err
	}
	p.secrets[l.Name] = sec
	if old := p.s.boundTo(l.Name, l.Config.Address); old != nil {
		p.reused[l.Name] = old
		return nil
	}
	ln, err := p.s.listen(l.Config.Address)
	if err != nil {
		return err
	}
	p.fresh[l.Name] = newListener(p.s, l, ln)
	return nil
}

// boundTo finds a listener by its address: a renamed one keeps its socket, unless the system chose
// its port.
func (s *Server) boundTo(name, address string) *listener {
	if l := s.listeners[name]; l != nil && l.address == address {
		return l
	}
	if strings.HasSuffix(address, ":0") {
		return nil
	}
	for _, l := range s.listeners {
		if l.address == address {
			return l
		}
	}
	return nil
}

// Abort gives up what Prepare bound.
func (p *Prepared) Abort() {
	for _, l := range p.fresh {
		l.socket.Close()
	}
	for _, sec := range p.secrets {
		sec.close()
	}
}

// Commit serves the configuration. Exchanges that run go on with the former one; connections stay.
func (p *Prepared) Commit() {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	gen := &generation{cfg: p.cfg}
	next := make(map[string]*listener, len(p.cfg.Listeners))
	for i := range p.cfg.Listeners {
		lc := &p.cfg.Listeners[i]
		l := p.reused[lc.Name]
		if l == nil {
			l = p.fresh[lc.Name]
		}
		l.install(lc, gen, p.secrets[lc.Name])
		next[lc.Name] = l
	}
	for _, l := range s.listeners {
		if !contains(next, l) {
			l.retire()
		}
	}
	s.listeners = next
	old := s.gen
	s.gen = gen
	if old == nil {
		s.watcher.Go(func() { s.watchClients(s.stop) })
	}
	for _, l := range p.fresh {
		s.wg.Go(l.accept)
	}
	if old != nil {
		old.retire()
	}
}

func contains(m map[string]*listener, l *listener) bool {
	for _, have := range m {
		if have == l {
			return true
		}
	}
	return false
}

// Listen binds an address for somebody else, such as the admin server, who closes it. The socket is
// handed over with the listeners', and taken from an older process where that has handed it over.
func (s *Server) Listen(_, address string) (net.Listener, error) {
	ln, err := s.listen(address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others[address] = ln
	return ln, nil
}

// Addr returns the address that a listener is bound to, nil when there is none of that name.
func (s *Server) Addr(name string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listeners[name]
	if l == nil {
		return nil
	}
	return l.socket.Addr()
}

// Connections returns how many client connections are open.
func (s *Server) Connections() int { return s.conns.len() }

// Drain stops accepting and closes each connection when its exchange has ended, tunnels and
// streams included. When ctx ends first, what is left is cut and ctx's error returned.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.mu.Lock()
	for _, l := range s.listeners {
		l.socket.Close()
		l.front.shutdown()
	}
	s.mu.Unlock()
	s.conns.each((*conn).closeIdle)
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.end()
		return nil
	case <-ctx.Done():
		s.Close()
		<-done
		return ctx.Err()
	}
}

// Draining reports whether Drain was called.
func (s *Server) Draining() bool { return s.draining.Load() }

// Close cuts every connection and waits for what served them.
func (s *Server) Close() {
	s.draining.Store(true)
	s.mu.Lock()
	for _, l := range s.listeners {
		l.socket.Close()
		l.front.close()
	}
	s.mu.Unlock()
	s.conns.each((*conn).cut)
	s.wg.Wait()
	s.end()
}

// end releases the last configuration.
func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	close(s.stop)
	s.watcher.Wait()
	for _, l := range s.listeners {
		l.closeSecrets()
	}
	s.inherited.close()
	if s.gen != nil {
		s.gen.retire()
	}
}

// acceptBackoff is how long accept waits after an error that may pass, such as too many open files.
const acceptBackoff = 50 * time.Millisecond
