package metrics

import (
	"cmp"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// ContentType is what WritePrometheus writes: Prometheus' text format, version 0.0.4.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// WritePrometheus writes every counter, families and series in a fixed order.
func (r *Registry) WritePrometheus(w io.Writer) error {
	t := NewText(w)
	r.writeProcess(t)
	r.writeListeners(t)
	r.writeRoutes(t)
	r.writeUpstreams(t)
	r.writeFilters(t)
	return t.Flush()
}

func (r *Registry) writeProcess(t *Text) {
	t.Family("sluice_start_time_seconds", "gauge", "When the process began, in seconds since 1970.")
	t.Sample(float64(r.started.Unix()))
	t.Family("sluice_reloads_total", "counter", "Configurations loaded anew, by result.")
	t.Sample(float64(r.reloads.Load()), "result", "ok")
	t.Sample(float64(r.reloadsFailed.Load()), "result", "refused")
	t.Family("sluice_configuration_time_seconds", "gauge", "When the running configuration was loaded, in seconds since 1970.")
	t.Sample(float64(r.reloadedAtUnix.Load()))
}

func (r *Registry) writeListeners(t *Text) {
	names, stats := snapshot(&r.mu, r.listeners, cmp.Compare[string])
	t.Family("sluice_connections_total", "counter", "Connections accepted.")
	for i, s := range stats {
		t.Sample(float64(s.accepted.Load()), "listener", names[i])
	}
	t.Family("sluice_connections_open", "gauge", "Connections open now.")
	for i, s := range stats {
		t.Sample(float64(s.Open()), "listener", names[i])
	}
}

func (r *Registry) writeRoutes(t *Text) {
	_, stats := snapshot(&r.mu, r.routes, func(a, b routeKey) int {
		return cmp.Or(cmp.Compare(a.listener, b.listener), cmp.Compare(a.route, b.route))
	})
	t.Family("sluice_exchanges_total", "counter", "Exchanges ended, by class of the response's status.")
	for _, s := range stats {
		for class, n := range s.byClass() {
			if n > 0 {
				t.Sample(float64(n), "listener", s.listener, "route", s.route, "class", classes[class])
			}
		}
	}
	t.Family("sluice_exchange_errors_total", "counter", "Exchanges the proxy answered by itself, by error code.")
	for _, s := range stats {
		for i := range s.errors {
			if n := s.errors[i].Load(); n > 0 {
				t.Sample(float64(n), "listener", s.listener, "route", s.route, "code", string(codes[i]))
			}
		}
	}
	t.Family("sluice_exchanges_aborted_total", "counter", "Exchanges whose response could not be completed.")
	for _, s := range stats {
		t.Sample(float64(s.aborted.Load()), "listener", s.listener, "route", s.route)
	}
	t.Family("sluice_retries_total", "counter", "Attempts after an exchange's first.")
	for _, s := range stats {
		t.Sample(float64(s.retries.Load()), "listener", s.listener, "route", s.route)
	}
	t.Family("sluice_exchange_duration_seconds", "histogram", "From the request's first byte to the response's last.")
	for _, s := range stats {
		writeLatency(t, s)
	}
}

func writeLatency(t *Text, s *RouteStats) {
	l := s.Latency()
	if l.Count == 0 {
		return
	}
	l.cumulative(func(le time.Duration, n uint64) {
		bound := strconv.FormatFloat(le.Seconds(), 'g', -1, 64)
		t.SampleOf("_bucket", float64(n), "listener", s.listener, "route", s.route, "le", bound)
	})
	t.SampleOf("_bucket", float64(l.Count), "listener", s.listener, "route", s.route, "le", "+Inf")
	t.SampleOf("_sum", l.Sum.Seconds(), "listener", s.listener, "route", s.route)
	t.SampleOf("_count", float64(l.Count), "listener", s.listener, "route", s.route)
}

func (r *Registry) writeUpstreams(t *Text) {
	_, upstreams := snapshot(&r.mu, r.upstreams, cmp.Compare[string])
	t.Family("sluice_attempts_total", "counter", "Attempts at an endpoint, by class of its status or by error code.")
	for _, u := range upstreams {
		u.write(t)
	}
}

func (u *UpstreamStats) write(t *Text) {
	addresses, endpoints := snapshot(&u.mu, u.endpoints, cmp.Compare[string])
	for i, e := range endpoints {
		address := addresses[i]
		for class := range e.classes {
			if n := e.classes[class].Load(); n > 0 {
				t.Sample(float64(n), "upstream", u.name, "endpoint", address, "outcome", classes[class])
			}
		}
		for i := range e.codes {
			if n := e.codes[i].Load(); n > 0 {
				t.Sample(float64(n), "upstream", u.name, "endpoint", address, "outcome", string(codes[i]))
			}
		}
	}
}

func (r *Registry) writeFilters(t *Text) {
	keys, stats := snapshot(&r.mu, r.filters, func(a, b filterKey) int {
		return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.owner, b.owner), cmp.Compare(a.name, b.name))
	})
	families := []struct {
		name, help string
		value      func(*core.FilterStats) uint64
	}{
		{"sluice_filter_errors_total", "Errors of the filter's own making, panics among them.",
			func(s *core.FilterStats) uint64 { return s.Errors.Load() }},
		{"sluice_filter_panics_total", "Panics of the filter.",
			func(s *core.FilterStats) uint64 { return s.Panics.Load() }},
		{"sluice_filter_skipped_total", "Failures that on_error: skip passed over.",
			func(s *core.FilterStats) uint64 { return s.Skipped.Load() }},
	}
	for _, f := range families {
		t.Family(f.name, "counter", f.help)
		for i, s := range stats {
			k := keys[i]
			t.Sample(float64(f.value(s)), "scope", k.scope.String(), "owner", k.owner, "filter", k.name)
		}
	}
}

// snapshot returns m's keys in order and their values, so that the lock is not held while a slow
// client reads.
func snapshot[K comparable, V any](mu *sync.Mutex, m map[K]V, order func(a, b K) int) ([]K, []V) {
	mu.Lock()
	defer mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(m), order)
	values := make([]V, len(keys))
	for i, k := range keys {
		values[i] = m[k]
	}
	return keys, values
}
