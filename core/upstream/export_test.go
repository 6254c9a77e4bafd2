package upstream

import (
	"log/slog"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/transport"
)

// Sender is what stands in for a transport.Pool.
type Sender = roundTripper

// NewFake is New with the connections and the chance of a test's own.
func NewFake(name string, cfg *Config, links []core.Link, prev *Upstream, log *slog.Logger,
	pool func(address string) Sender, random func() uint64) (*Upstream, error) {
	return newUpstream(name, cfg, links, prev, log, seams{
		pool:   func(address string, _ transport.Config) roundTripper { return pool(address) },
		random: random,
	})
}
