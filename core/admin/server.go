package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/metrics"
)

// Source is what the admin server asks of the running proxy. Every field but Listen is mandatory,
// and all are safe for concurrent use.
type Source struct {
	Metrics   *metrics.Registry
	Upstreams func() []core.Upstream // of the running configuration, in its order
	Routes    func() []Route         // of the running configuration, in the order tried
	Reload    func() error           // loads the configuration anew; an error changes nothing
	Draining  func() bool            // no new exchanges are wanted

	// Listen opens the socket, so that it can be one that an older process has handed over.
	// nil: net.Listen.
	Listen func(network, address string) (net.Listener, error)
}

// Route describes a compiled route.
type Route struct {
	Listener string `json:"listener"`
	Name     string `json:"name"`
	Match    string `json:"match"`
	To       string `json:"to,omitempty"`
}

// Server is a running admin server.
type Server struct {
	http    *http.Server
	addr    net.Addr
	serving sync.WaitGroup
}

// Start listens on c's address and serves until Close.
func Start(c *Config, s Source, log *slog.Logger) (*Server, error) {
	listen := s.Listen
	if listen == nil {
		listen = net.Listen
	}
	l, err := listen("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	a := &Server{addr: l.Addr(), http: &http.Server{
		Handler:           handler(s, l.Addr()),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
	a.serving.Go(func() {
		if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("admin server ended", "error", err)
		}
	})
	return a, nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.addr }

// Close lets running requests end until ctx does, and then cuts them.
func (s *Server) Close(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	s.serving.Wait()
}

func handler(s Source, bound net.Addr) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /ready", s.ready)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /upstreams", s.upstreams)
	mux.HandleFunc("GET /routes", s.routes)
	mux.HandleFunc("POST /config/reload", s.reload)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return guard(http.NewCrossOriginProtection().Handler(mux), bound)
}
