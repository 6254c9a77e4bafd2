package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/admin"
	"github.com/sluiceproxy/sluice/core/certs"
	"github.com/sluiceproxy/sluice/core/metrics"
	"github.com/sluiceproxy/sluice/core/proxy"
	"github.com/sluiceproxy/sluice/core/route"
	"github.com/sluiceproxy/sluice/core/server"
	"github.com/sluiceproxy/sluice/core/upstream"
)

// Generation is a configuration that was built: its filters, upstreams, route tables and handlers.
// It implements core.Runtime.
type Generation struct {
	file      *File
	log       *slog.Logger
	metrics   *metrics.Registry
	state     *stateStore
	upstreams map[string]*upstream.Upstream
	tables    map[string]*route.Table // by listener
	routes    map[routeKey]*core.Route
	links     map[owner][]core.Link
	listeners []server.Listener

	bags    []*stateBag
	closers []io.Closer // filters, in the order they were built
	release sync.Once
}

type routeKey struct{ listener, route string }

// owner is who has a filters list.
type owner struct {
	scope core.Scope
	name  string
}

var _ core.Runtime = (*Generation)(nil)

// Build builds f without serving it, for tools that show what it does. Certificates are loaded too,
// but no address is bound. Health checks of its upstreams run until it is closed.
func Build(f *File, log *slog.Logger) (*Generation, error) {
	g, err := build(f, nil, new(stateStore), metrics.New(), log)
	if err = errors.Join(err, checkCertificates(f, log)); err != nil && g != nil {
		g.Close()
		g = nil
	}
	return g, err
}

func checkCertificates(f *File, log *slog.Logger) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.Listeners)) {
		tls := f.Listeners[name].TLS
		if tls == nil {
			continue
		}
		loaded, err := certs.NewServer(tls, f.dir, nil, log)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: listener %s: %w", f.name, name, err))
			continue
		}
		loaded.Close()
	}
	return errors.Join(errs...)
}

// build builds f. What it shares with prev, which may be nil, is taken over. On an error all that
// was built is closed again.
func build(f *File, prev *Generation, state *stateStore, counts *metrics.Registry, log *slog.Logger) (*Generation, error) {
	g := &Generation{
		file: f, log: log, metrics: counts, state: state,
		upstreams: make(map[string]*upstream.Upstream, len(f.Upstreams)),
		tables:    make(map[string]*route.Table, len(f.Listeners)),
		routes:    make(map[routeKey]*core.Route),
		links:     make(map[owner][]core.Link),
	}
	if err := errors.Join(g.buildUpstreams(prev), g.buildRoutes(), g.buildListeners()); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *Generation) buildUpstreams(prev *Generation) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(g.file.Upstreams)) {
		cfg := g.file.Upstreams[name]
		cfg.Dir, cfg.Stats = g.file.dir, g.metrics.Upstream(name)
		links, err := g.buildFilters(owner{core.ScopeUpstream, name}, cfg.Filters)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var before *upstream.Upstream
		if prev != nil {
			before = prev.upstreams[name]
		}
		u, err := upstream.New(name, cfg, links, before, g.log.With("upstream", name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: upstream %s: %w", g.file.name, name, err))
			continue
		}
		g.upstreams[name] = u
	}
	return errors.Join(errs...)
}

// buildRoutes builds the filters of each route once, and a handler for each listener it belongs to,
// since exchanges are counted by listener.
func (g *Generation) buildRoutes() error {
	var errs []error
	entries := make(map[string][]route.Entry)
	for _, cfg := range g.file.Routes {
		made, err := g.buildRoute(cfg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, listener := range g.listenersOf(cfg) {
			r := &core.Route{Name: cfg.Name, Metadata: cfg.Metadata, Handler: proxy.Route(made),
				Stats: g.metrics.Route(listener, cfg.Name)}
			g.routes[routeKey{listener, cfg.Name}] = r
			entries[listener] = append(entries[listener], route.Entry{Config: cfg, Route: r})
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, name := range slices.Sorted(maps.Keys(g.file.Listeners)) {
		table, err := route.Compile(entries[name], route.Order(g.file.Listeners[name].Order))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.file.name, err))
			continue
		}
		g.tables[name] = table
	}
	return errors.Join(errs...)
}

func (g *Generation) listenersOf(cfg *route.Config) []string {
	if len(cfg.Listeners) > 0 {
		return cfg.Listeners
	}
	return slices.Sorted(maps.Keys(g.file.Listeners))
}

func (g *Generation) buildRoute(cfg *route.Config) (made proxy.RouteConfig, err error) {
	if made.Filters, err = g.buildFilters(owner{core.ScopeRoute, cfg.Name}, cfg.Filters); err != nil {
		return made, err
	}
	if made.To, err = route.NewTarget(cfg.To, g.UpstreamByName); err != nil {
		return made, fmt.Errorf("%s: route %s: %w", g.file.name, cfg.Name, err)
	}
	made.Rewrite = cfg.Rewrite
	return made, nil
}

func (g *Generation) buildListeners() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(g.file.Listeners)) {
		cfg := g.file.Listeners[name]
		links, err := g.buildFilters(owner{core.ScopeListener, name}, cfg.Filters)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g.listeners = append(g.listeners, server.Listener{
			Name: name, Config: cfg, Stats: g.metrics.Listener(name),
			Handler: proxy.Listener(proxy.ListenerConfig{
				Filters: links, Table: g.tables[name], Unrouted: g.metrics.Route(name, ""),
			}),
		})
	}
	return errors.Join(errs...)
}

// buildFilters builds a filters list.
func (g *Generation) buildFilters(o owner, list core.FilterList) ([]core.Link, error) {
	var errs []error
	links := make([]core.Link, 0, len(list))
	for i := range list {
		spec := &list[i]
		bag := g.state.open(identity{o.scope, o.name, spec.Name, spec.Hash})
		g.bags = append(g.bags, bag)
		filter, err := spec.Kind.Build(spec.Config, &core.Env{
			Name: spec.Name, Scope: o.scope, Owner: o.name, Dir: g.file.dir, State: bag.get,
			Log: g.log.With(o.scope.String(), o.name, "filter", spec.Name),
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s %s: filter %s: %w", spec.Pos, o.scope, o.name, spec.Name, err))
			continue
		}
		if c, ok := filter.(io.Closer); ok {
			g.closers = append(g.closers, c)
		}
		links = append(links, core.Link{
			Name: spec.Name, Kind: spec.Kind.Name, Filter: filter, When: spec.When, OnError: spec.OnError,
			Stats: g.metrics.Filter(o.scope, o.name, spec.Name),
		})
	}
	g.links[o] = links
	return links, errors.Join(errs...)
}

// UpstreamByName implements core.Runtime.
func (g *Generation) UpstreamByName(name string) core.Upstream {
	if u := g.upstreams[name]; u != nil {
		return u
	}
	return nil
}

// RouteByName implements core.Runtime.
func (g *Generation) RouteByName(listener, name string) *core.Route {
	return g.routes[routeKey{listener, name}]
}

// File returns what was built.
func (g *Generation) File() *File { return g.file }

// Upstreams returns the upstreams by name.
func (g *Generation) Upstreams() []core.Upstream {
	out := make([]core.Upstream, 0, len(g.upstreams))
	for _, name := range slices.Sorted(maps.Keys(g.upstreams)) {
		out = append(out, g.upstreams[name])
	}
	return out
}

// Listeners returns the names of the listeners, sorted.
func (g *Generation) Listeners() []string { return slices.Sorted(maps.Keys(g.tables)) }

// Table returns the route table of a listener, nil when there is none of that name.
func (g *Generation) Table(listener string) *route.Table { return g.tables[listener] }

// Filters returns the filters of a listener, route or upstream in the order they run.
func (g *Generation) Filters(scope core.Scope, name string) []core.Link {
	return g.links[owner{scope, name}]
}

// Close closes the filters and upstreams, and the state that no other generation uses. No exchange
// may run on g any more. Further calls do nothing.
func (g *Generation) Close() { g.release.Do(g.close) }

func (g *Generation) close() {
	for _, u := range g.upstreams {
		u.Close()
	}
	for _, c := range slices.Backward(g.closers) {
		if err := c.Close(); err != nil {
			g.log.Warn("a filter did not close cleanly", "error", err)
		}
	}
	for _, b := range g.bags {
		if err := g.state.release(b); err != nil {
			g.log.Warn("the state of a filter did not close cleanly", "filter", b.id.name, "error", err)
		}
	}
}

// adminRoutes describes the routes of all listeners, in the order tried.
func (g *Generation) adminRoutes() []admin.Route {
	targets := make(map[string]string, len(g.file.Routes))
	for _, cfg := range g.file.Routes {
		if cfg.To != nil {
			targets[cfg.Name] = strings.Join(cfg.To.Upstreams(), ", ")
		}
	}
	var out []admin.Route
	for _, listener := range g.Listeners() {
		for _, r := range g.tables[listener].Routes() {
			match := append([]string{cmp.Or(r.Host, "(any host)"), r.Path}, r.Criteria...)
			out = append(out, admin.Route{
				Listener: listener, Name: r.Route.Name, Match: strings.Join(match, " "), To: targets[r.Route.Name],
			})
		}
	}
	return out
}
