package upstream

import (
	"crypto/tls"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/transport"
)

// Upstream is one generation of a named set of endpoints. It is safe for concurrent use.
type Upstream struct {
	name      string
	cfg       *Config
	log       *slog.Logger
	chain     core.Handler
	lineage   *lineage
	endpoints []*Endpoint
	public    []core.Endpoint // endpoints, as Endpoints returns them
	byAddress map[string]*Endpoint

	snap   atomic.Pointer[snapshot]
	turn   atomic.Uint64 // of round_robin, over all snapshots
	table  hashTable     // of hash, over all endpoints; nil without
	random func() uint64

	failures *core.OutcomeSet
	eject    *ejector // nil: nothing is ejected
	requests int64    // tries under way at most; 0: no limit
	limited  bool     // some limit is set
	host     hostMode
	checkTLS *tls.Config // of health checks; nil: plain
	closed   bool        // guarded by lineage.mu
}

var _ core.Upstream = (*Upstream)(nil)

// roundTripper sends to one endpoint.
type roundTripper interface {
	RoundTrip(x *core.Exchange, end transport.Ender) error
	Close()
	Open() int
}

// seams is what a test replaces.
type seams struct {
	pool   func(address string, cfg transport.Config) roundTripper
	random func() uint64
}

// New makes a generation of the upstream called name; links are its filters, compiled. prev is the
// generation that it replaces, nil for none, and must not be closed yet: endpoints that both have,
// with the same transport settings, keep their connections, latency, health and ejection. Health
// checks begin at once. The result must be closed.
func New(name string, cfg *Config, links []core.Link, prev *Upstream, log *slog.Logger) (*Upstream, error) {
	return newUpstream(name, cfg, links, prev, log, realSeams)
}

func newUpstream(name string, cfg *Config, links []core.Link, prev *Upstream, log *slog.Logger, s seams) (*Upstream, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	conf, err := cfg.transport(log)
	if err != nil {
		return nil, err
	}
	u := &Upstream{
		name: name, cfg: cfg, log: log, random: s.random,
		byAddress: make(map[string]*Endpoint, len(cfg.Endpoints)),
		host:      hostModeOf(cfg.Host),
		lineage:   newLineage(name, prev),
		checkTLS:  conf.TLS,
	}
	u.setLimits()
	u.setEject()
	for i := range cfg.Endpoints {
		u.addEndpoint(&cfg.Endpoints[i])
	}
	u.table = newHashTable(&cfg.Balance, u.endpoints)
	u.chain = core.Chain(links, &sender{u})
	u.lineage.join(u, conf, prev != nil, s.pool)
	return u, nil
}

func newLineage(name string, prev *Upstream) *lineage {
	if prev != nil {
		return prev.lineage
	}
	return &lineage{name: name, peers: map[string]*peer{}}
}

func (u *Upstream) addEndpoint(c *EndpointConfig) {
	e := &Endpoint{
		up: u, address: c.Address, weight: c.Weight, metadata: c.Metadata,
		index: len(u.endpoints), limit: u.endpointLimit(),
	}
	if u.cfg.Stats != nil {
		e.stats = u.cfg.Stats.Endpoint(c.Address)
	}
	u.endpoints = append(u.endpoints, e)
	u.public = append(u.public, e)
	u.byAddress[c.Address] = e
}

// setLimits folds the limits of connections into those of tries: over HTTP/1.1 each try has one
// connection.
func (u *Upstream) setLimits() {
	l := &u.cfg.Limits
	u.requests = int64(l.Requests)
	if u.cfg.Protocol == "http1" {
		u.requests = tighter(u.requests, int64(l.Connections))
	}
	u.limited = u.requests > 0 || u.endpointLimit() > 0
}

func (u *Upstream) endpointLimit() int64 {
	l := &u.cfg.Limits
	if u.cfg.Protocol != "http1" {
		return int64(l.EndpointRequests)
	}
	return tighter(int64(l.EndpointRequests), int64(l.EndpointConnections))
}

// tighter returns the lower of two limits of which 0 is none.
func tighter(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Name returns the name in the configuration.
func (u *Upstream) Name() string { return u.name }

// Endpoints returns the endpoints in the configuration's order. The slice is shared: it must not
// be changed.
func (u *Upstream) Endpoints() []core.Endpoint { return u.public }

// Handle runs the upstream's filters and sends the request.
func (u *Upstream) Handle(x *core.Exchange) error {
	if total := u.cfg.Timeout.Total.Std(); total > 0 {
		by := core.Now().Add(total)
		if x.Deadline == 0 || by < x.Deadline {
			x.Deadline = by
		}
	}
	return u.chain.Handle(x)
}

// Close releases the generation when its last exchange has ended. What a newer generation has
// taken over lives on; the rest is closed, and its health checks have ended when Close returns.
func (u *Upstream) Close() { u.lineage.leave(u) }

// tryTimeout is how long the exchange's next try may take, 0 for any time.
func (u *Upstream) tryTimeout(x *core.Exchange) time.Duration {
	if x.TryTimeout > 0 {
		return x.TryTimeout
	}
	return u.cfg.Timeout.Try.Std()
}

// find returns the endpoint of this generation that has p, nil when none has.
func (u *Upstream) find(p *peer) *Endpoint {
	i := slices.IndexFunc(u.endpoints, func(e *Endpoint) bool { return e.peer == p })
	if i < 0 {
		return nil
	}
	return u.endpoints[i]
}
