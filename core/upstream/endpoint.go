package upstream

import (
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/metrics"
	"github.com/sluiceproxy/sluice/core/transport"
)

// Endpoint is one address of a generation of an upstream.
type Endpoint struct {
	up       *Upstream
	peer     *peer
	address  string
	index    int // in up.endpoints
	weight   int
	limit    int64 // tries under way at most; 0: no limit
	metadata map[string]string
	stats    *metrics.EndpointStats // nil: not counted
}

var (
	_ core.Endpoint   = (*Endpoint)(nil)
	_ transport.Ender = (*Endpoint)(nil)
)

// peer is what is known of an address. Generations share it while its transport settings stay.
type peer struct {
	key      string // address and transport settings
	address  string
	pool     roundTripper
	inFlight atomic.Int64

	cost    peakEWMA
	row     atomic.Int64 // failures in a row
	rate    rateWindow
	latency latencyWindow

	// What follows is written under lineage.mu and read without it, but for probed.

	out      atomic.Int64 // until when it is ejected, an Instant; from then on it is probing. 0: it is in
	outSince atomic.Int64 // when it was ejected last, an Instant
	probed   atomic.Bool  // its probe is under way
	sick     atomic.Bool  // its health check says so
	rampFrom atomic.Int64 // when slow start began, an Instant; 0: never

	// What follows is guarded by lineage.mu.

	refs     int
	backoff  time.Duration // how long it was ejected last
	backAt   core.Instant  // when it came back last
	checker  *checker      // nil: it is not checked
	wasCheck bool          // some check has ended
}

// Address returns host:port as configured.
func (e *Endpoint) Address() string { return e.address }

// Weight returns the weight as configured; 0 is drained.
func (e *Endpoint) Weight() int { return e.weight }

// Metadata returns the metadata as configured. It must not be changed.
func (e *Endpoint) Metadata() map[string]string { return e.metadata }

// InFlight returns the number of tries under way, of all generations.
func (e *Endpoint) InFlight() int { return int(e.peer.inFlight.Load()) }

// Available reports whether a balancer may pick the endpoint, panic mode apart.
func (e *Endpoint) Available() bool {
	switch e.State() {
	case "up", "slow_start":
		return true
	case "probing":
		return !e.peer.probed.Load() && !e.full()
	}
	return false
}

// State names why the endpoint is or is not available: drained (weight 0), unhealthy, ejected,
// probing, full, slow_start or up.
func (e *Endpoint) State() string {
	now := core.Now()
	out := core.Instant(e.peer.out.Load())
	switch {
	case e.weight == 0:
		return "drained"
	case e.peer.sick.Load():
		return "unhealthy"
	case out != 0 && now < out:
		return "ejected"
	case out != 0:
		return "probing"
	case e.full():
		return "full"
	case e.ramp(now) < 1:
		return "slow_start"
	}
	return "up"
}

func (e *Endpoint) full() bool { return e.limit > 0 && e.peer.inFlight.Load() >= e.limit }

// free reports whether a balancer should pick the endpoint for the exchange.
func (e *Endpoint) free(x *core.Exchange) bool { return e.open() && !tried(x, e) }

func (e *Endpoint) open() bool { return !e.full() && !e.peer.probed.Load() }

func tried(x *core.Exchange, e *Endpoint) bool {
	for _, t := range x.Tried {
		if t == core.Endpoint(e) {
			return true
		}
	}
	return false
}

// take reserves a place for a try. An endpoint that is probing gives its one place to the first
// who comes. forced is panic mode, in which neither ejection nor probe matter.
func (e *Endpoint) take(now core.Instant, forced bool) bool {
	p := e.peer
	out := core.Instant(p.out.Load())
	probe := out != 0 && !forced
	if probe && (now < out || !p.probed.CompareAndSwap(false, true)) {
		return false
	}
	if n := p.inFlight.Add(1); e.limit == 0 || n <= e.limit {
		return true
	}
	p.inFlight.Add(-1)
	if probe {
		p.probed.Store(false)
	}
	return false
}

// minRamp is the share of its weight that an endpoint begins slow start with: less would give it
// too little to warm up on.
const minRamp = 0.1

// ramp returns the share of its weight that the endpoint has in slow start, 1 outside of it.
func (e *Endpoint) ramp(now core.Instant) float64 {
	slow := e.up.cfg.SlowStart.Std()
	from := core.Instant(e.peer.rampFrom.Load())
	if slow == 0 || from == 0 {
		return 1
	}
	return max(minRamp, min(1, float64(now.Sub(from))/float64(slow)))
}

// AttemptEnded implements transport.Ender.
func (e *Endpoint) AttemptEnded(x *core.Exchange, err error) {
	u := e.up
	if a := x.LastAttempt(); a != nil {
		var why *core.Error
		if err != nil {
			why, _ = core.AsError(err)
		}
		if why != nil {
			why.Upstream, why.Endpoint = u.name, e.address
			a.Code = why.Code
		}
		if e.stats != nil {
			e.stats.Ended(a)
		}
		u.judge(x, e, a, why)
	}
	e.peer.inFlight.Add(-1)
	if u.limited {
		u.leave()
	}
}
