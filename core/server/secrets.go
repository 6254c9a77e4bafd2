package server

import (
	"crypto/tls"
	"log/slog"

	"github.com/sluiceproxy/sluice/core/certs"
)

// secrets are a listener's certificates; without TLS there are none.
type secrets struct {
	certs *certs.Server
}

func loadSecrets(c *ListenerConfig, dir string, log *slog.Logger) (*secrets, error) {
	if c.TLS == nil {
		return &secrets{}, nil
	}
	var alpn []string
	if c.speaks("h2") {
		alpn = append(alpn, "h2")
	}
	if c.speaks("http1") {
		alpn = append(alpn, "http/1.1")
	}
	cs, err := certs.NewServer(c.TLS, dir, alpn, log)
	if err != nil {
		return nil, err
	}
	return &secrets{certs: cs}, nil
}

// config returns nil without TLS.
func (s *secrets) config() *tls.Config {
	if s.certs == nil {
		return nil
	}
	return s.certs.TLSConfig()
}

func (s *secrets) close() {
	if s.certs != nil {
		s.certs.Close()
	}
}
