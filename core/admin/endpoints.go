package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/metrics"
)

const indexText = `GET  /metrics        counters, for Prometheus
GET  /ready          200, or 503 while draining
GET  /healthz        200 while the process answers
GET  /upstreams      endpoints and their state
GET  /routes         routes in the order tried
GET  /debug/pprof/   profiles of the process, for go tool pprof
POST /config/reload  load the configuration anew
`

func index(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, indexText) }

func healthz(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }

func (s Source) ready(w http.ResponseWriter, _ *http.Request) {
	if s.Draining() {
		writeText(w, http.StatusServiceUnavailable, "draining\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

func (s Source) reload(w http.ResponseWriter, _ *http.Request) {
	if err := s.Reload(); err != nil {
		writeText(w, http.StatusUnprocessableEntity, err.Error()+"\n")
		return
	}
	writeText(w, http.StatusOK, "reloaded\n")
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// metrics writes what was counted, and the endpoints' gauges as they are now.
func (s Source) metrics(w http.ResponseWriter, _ *http.Request) {
	var out bytes.Buffer // its writes cannot fail
	s.Metrics.WritePrometheus(&out)
	writeGauges(metrics.NewText(&out), s.Upstreams())
	w.Header().Set("Content-Type", metrics.ContentType)
	out.WriteTo(w)
}

func writeGauges(t *metrics.Text, upstreams []core.Upstream) {
	gauges := []struct {
		name, help string
		value      func(core.Endpoint) float64
	}{
		{"sluice_endpoint_available", "1 when a balancer may pick the endpoint.", available},
		{"sluice_endpoint_in_flight", "Exchanges at the endpoint now.",
			func(e core.Endpoint) float64 { return float64(e.InFlight()) }},
	}
	for _, g := range gauges {
		t.Family(g.name, "gauge", g.help)
		for _, u := range upstreams {
			for _, e := range u.Endpoints() {
				t.Sample(g.value(e), "upstream", u.Name(), "endpoint", e.Address())
			}
		}
	}
	t.Flush()
}

func available(e core.Endpoint) float64 {
	if e.Available() {
		return 1
	}
	return 0
}

// UpstreamState is an element of /upstreams.
type UpstreamState struct {
	Name      string          `json:"name"`
	Endpoints []EndpointState `json:"endpoints"`
}

// EndpointState is an endpoint as it is now.
type EndpointState struct {
	Address   string `json:"address"`
	State     string `json:"state"` // as core.Endpoint has it
	Available bool   `json:"available"`
	Weight    int    `json:"weight"`
	InFlight  int    `json:"in_flight"`
}

func (s Source) upstreams(w http.ResponseWriter, _ *http.Request) {
	out := []UpstreamState{}
	for _, u := range s.Upstreams() {
		state := UpstreamState{Name: u.Name(), Endpoints: []EndpointState{}}
		for _, e := range u.Endpoints() {
			state.Endpoints = append(state.Endpoints, EndpointState{
				Address: e.Address(), State: e.State(), Available: e.Available(), Weight: e.Weight(), InFlight: e.InFlight(),
			})
		}
		out = append(out, state)
	}
	writeJSON(w, out)
}

// RouteState is an element of /routes: the route and what was counted on it since the process
// began.
type RouteState struct {
	Route
	Exchanges uint64  `json:"exchanges"`
	P50       float64 `json:"p50_seconds"`
	P99       float64 `json:"p99_seconds"`
}

func (s Source) routes(w http.ResponseWriter, _ *http.Request) {
	out := []RouteState{}
	for _, r := range s.Routes() {
		stats := s.Metrics.Route(r.Listener, r.Name)
		latency := stats.Latency()
		out = append(out, RouteState{
			Route: r, Exchanges: stats.Exchanges(),
			P50: latency.Quantile(0.5).Seconds(), P99: latency.Quantile(0.99).Seconds(),
		})
	}
	writeJSON(w, out)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(v) // it fails only when the client is gone
}
