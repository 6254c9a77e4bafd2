package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// Registry holds everything that is counted. It lives as long as the process: a configuration that
// is loaded again finds its counters by name, and they go on.
type Registry struct {
	mu        sync.Mutex // guards the maps, while loading and while writing
	listeners map[string]*ListenerStats
	routes    map[routeKey]*RouteStats
	upstreams map[string]*UpstreamStats
	filters   map[filterKey]*core.FilterStats

	started        time.Time
	reloads        atomic.Uint64
	reloadsFailed  atomic.Uint64
	reloadedAtUnix atomic.Int64
}

type routeKey struct{ listener, route string }

type filterKey struct {
	scope       core.Scope
	owner, name string
}

// New returns an empty registry.
func New() *Registry {
	r := &Registry{
		listeners: make(map[string]*ListenerStats),
		routes:    make(map[routeKey]*RouteStats),
		upstreams: make(map[string]*UpstreamStats),
		filters:   make(map[filterKey]*core.FilterStats),
		started:   time.Now(),
	}
	r.reloadedAtUnix.Store(r.started.Unix())
	return r
}

// Listener returns the counters of a listener's connections.
func (r *Registry) Listener(name string) *ListenerStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return entry(r.listeners, name, func() *ListenerStats { return new(ListenerStats) })
}

// Route returns the counters of a route of a listener. The route "" is for exchanges that ended
// without one: refused before routing, or with no_route.
func (r *Registry) Route(listener, route string) *RouteStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return entry(r.routes, routeKey{listener, route}, func() *RouteStats {
		return newRouteStats(listener, route)
	})
}

// Upstream returns the counters of an upstream.
func (r *Registry) Upstream(name string) *UpstreamStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return entry(r.upstreams, name, func() *UpstreamStats {
		return &UpstreamStats{name: name, endpoints: make(map[string]*EndpointStats)}
	})
}

// Filter returns the counters to put into a link's Stats. owner is the name of the listener, route
// or upstream in whose list the filter called name stands.
func (r *Registry) Filter(scope core.Scope, owner, name string) *core.FilterStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return entry(r.filters, filterKey{scope, owner, name}, func() *core.FilterStats {
		return new(core.FilterStats)
	})
}

func entry[K comparable, V any](m map[K]*V, key K, make func() *V) *V {
	v := m[key]
	if v == nil {
		v = make()
		m[key] = v
	}
	return v
}

// Reloaded counts an attempt to load the configuration anew; err is why it was refused.
func (r *Registry) Reloaded(err error) {
	if err != nil {
		r.reloadsFailed.Add(1)
		return
	}
	r.reloads.Add(1)
	r.reloadedAtUnix.Store(time.Now().Unix())
}

// ListenerStats counts the connections of a listener.
type ListenerStats struct {
	accepted, closed atomic.Uint64
}

// Accepted counts a connection that was opened.
func (l *ListenerStats) Accepted() { l.accepted.Add(1) }

// Closed counts a connection that was closed.
func (l *ListenerStats) Closed() { l.closed.Add(1) }

// Open returns how many connections are open now.
func (l *ListenerStats) Open() uint64 {
	closed := l.closed.Load() // first, so that it is never above what was accepted
	return l.accepted.Load() - closed
}
