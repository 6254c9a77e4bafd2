package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is how often the files are looked at for a change. A renewed certificate is in use
// after this time at the latest, without a reload.
const checkEvery = 10 * time.Second

// Server is a listener's certificates. Handshakes use what was loaded last.
type Server struct {
	cfg  *ServerConfig
	dir  string
	alpn []string
	log  *slog.Logger
	now  atomic.Pointer[tls.Config]

	mu   sync.Mutex // guards seen
	seen [sha256.Size]byte
	stop chan struct{}
	done chan struct{}
	once sync.Once
}

// NewServer loads the files that c names, relative to dir, and watches them until Close. alpn are
// the protocols offered, the preferred one first.
func NewServer(c *ServerConfig, dir string, alpn []string, log *slog.Logger) (*Server, error) {
	s := &Server{cfg: c, dir: dir, alpn: alpn, log: log, stop: make(chan struct{}), done: make(chan struct{})}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	go s.watch()
	return s, nil
}

// TLSConfig returns a configuration that follows reloads.
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: version(s.cfg.MinVersion),
		NextProtos: s.alpn,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return s.now.Load(), nil
		},
	}
}

// Reload reads the files again. What does not load leaves the former certificates in use.
func (s *Server) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := s.fingerprint()
	cfg := &tls.Config{
		MinVersion: version(s.cfg.MinVersion),
		NextProtos: s.alpn,
		ClientAuth: s.cfg.clientAuth(),
	}
	for i, p := range s.cfg.Certificates {
		pair, err := loadPair(resolve(s.dir, p.Cert), resolve(s.dir, p.Key))
		if err != nil {
			return fmt.Errorf("tls.certificates[%d]: %w", i, err)
		}
		s.warnExpired(pair, p.Cert)
		cfg.Certificates = append(cfg.Certificates, *pair)
	}
	if s.cfg.ClientCA != "" {
		pool, err := loadPool(resolve(s.dir, s.cfg.ClientCA))
		if err != nil {
			return fmt.Errorf("tls.client_ca: %w", err)
		}
		cfg.ClientCAs = pool
	}
	cfg.GetCertificate = chooser(cfg.Certificates)
	s.seen = mark
	s.now.Store(cfg)
	return nil
}

func (s *Server) warnExpired(pair *tls.Certificate, file string) {
	if left := time.Until(pair.Leaf.NotAfter); left < 0 {
		s.log.Warn("certificate has expired", "file", file, "not_after", pair.Leaf.NotAfter)
	}
}

// chooser finds a certificate by the name that the client asks for.
func chooser(pairs []tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	byName := map[string]*tls.Certificate{}
	for i := range pairs {
		leaf := pairs[i].Leaf
		names := leaf.DNSNames
		if len(names) == 0 && leaf.Subject.CommonName != "" {
			names = []string{leaf.Subject.CommonName}
		}
		for _, name := range names {
			if name = strings.ToLower(name); byName[name] == nil {
				byName[name] = &pairs[i]
			}
		}
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
		if c := byName[name]; c != nil {
			return c, nil
		}
		if i := strings.IndexByte(name, '.'); i > 0 {
			if c := byName["*"+name[i:]]; c != nil {
				return c, nil
			}
		}
		return &pairs[0], nil
	}
}

// watch reloads when a file has changed. Certificates are renewed by tools that replace files one
// by one, so a pair that does not match yet is only tried again.
func (s *Server) watch() {
	defer close(s.done)
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		changed := s.fingerprint() != s.seen
		s.mu.Unlock()
		if !changed {
			continue
		}
		err := s.Reload()
		switch {
		case err == nil:
			failed = ""
			s.log.Info("certificates reloaded")
		case err.Error() != failed:
			failed = err.Error()
			s.log.Error("certificates not reloaded, the former ones stay in use", "error", err)
		}
	}
}

// fingerprint tells whether a file was replaced, by names, sizes and times.
func (s *Server) fingerprint() [sha256.Size]byte {
	h := sha256.New()
	note := func(name string) {
		st, err := os.Stat(resolve(s.dir, name))
		if err != nil {
			fmt.Fprintln(h, name, "missing")
			return
		}
		fmt.Fprintln(h, name, st.Size(), st.ModTime().UnixNano())
	}
	for _, p := range s.cfg.Certificates {
		note(p.Cert)
		note(p.Key)
	}
	if s.cfg.ClientCA != "" {
		note(s.cfg.ClientCA)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Close stops watching. Connections go on.
func (s *Server) Close() {
	s.once.Do(func() { close(s.stop) })
	<-s.done
}
