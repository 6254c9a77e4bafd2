package metrics_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/metrics"
)

var shopRoute = &core.Route{Name: "shop"}

// ended returns an exchange that took d and ended on the route shop with status.
func ended(status int, d time.Duration) *core.Exchange {
	x := core.NewExchange(nil, nil)
	x.Route = shopRoute
	x.Ended = core.Now()
	x.Start = x.Ended.Add(-d)
	x.Response.Status = status
	return x
}

func exposition(t *testing.T, r *metrics.Registry) string {
	t.Helper()
	var out strings.Builder
	if err := r.WritePrometheus(&out); err != nil {
		t.Fatalf("WritePrometheus: %v", err)
	}
	return out.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("missing line\n  %s\nin\n%s", line, text)
		}
	}
}

func TestExchangesAreCountedByRouteClassAndErrorCode(t *testing.T) {
	r := metrics.New()
	shop := r.Route("web", "shop")
	shop.Done(ended(200, 0))
	shop.Done(ended(204, 0))
	shop.Done(ended(0, 0))

	failed := ended(503, 0)
	failed.Err = core.NewError(core.CodeBreakerOpen, nil)
	failed.Aborted = true
	failed.Attempts = make([]core.Attempt, 3)
	shop.Done(failed)

	strange := ended(500, 0)
	strange.Route = nil
	strange.Err = &core.Error{Code: "made_by_a_plugin"}
	r.Route("web", "").Done(strange)

	wantLines(t, exposition(t, r),
		`sluice_exchanges_total{listener="web",route="shop",class="2xx"} 2`,
		`sluice_exchanges_total{listener="web",route="shop",class="5xx"} 1`,
		`sluice_exchanges_total{listener="web",route="shop",class="none"} 1`,
		`sluice_exchange_errors_total{listener="web",route="shop",code="breaker_open"} 1`,
		`sluice_exchange_errors_total{listener="web",route="",code="other"} 1`,
		`sluice_exchanges_aborted_total{listener="web",route="shop"} 1`,
		`sluice_retries_total{listener="web",route="shop"} 2`,
		`sluice_exchange_duration_seconds_count{listener="web",route="shop"} 4`,
		`sluice_exchange_duration_seconds_bucket{listener="web",route="shop",le="+Inf"} 4`,
	)
	if n := shop.Exchanges(); n != 4 {
		t.Errorf("Exchanges() = %d, due 4", n)
	}
}

func TestAReroutedExchangeCountsForTheRouteItEndedOn(t *testing.T) {
	r := metrics.New()
	first, last, unrouted := r.Route("web", "old"), r.Route("web", "shop"), r.Route("web", "")
	x := ended(200, 0)
	x.OnDone(first)
	x.OnDone(unrouted)
	x.OnDone(last)
	x.Finish()
	if f, u, l := first.Exchanges(), unrouted.Exchanges(), last.Exchanges(); f != 0 || u != 0 || l != 1 {
		t.Errorf("counted %d on the first route, %d on none, %d on the last; due 0, 0, 1", f, u, l)
	}
}

func TestAttemptsAreCountedByEndpointAndOutcome(t *testing.T) {
	r := metrics.New()
	up := r.Upstream("shop")
	a := up.Endpoint("10.0.0.1:80")
	a.Ended(&core.Attempt{Status: 200})
	a.Ended(&core.Attempt{Code: core.CodeConnectRefused})
	a.Ended(&core.Attempt{Status: 200, Code: core.CodeUpstreamReset})
	up.Endpoint("10.0.0.2:80").Ended(&core.Attempt{Status: 404})

	wantLines(t, exposition(t, r),
		`sluice_attempts_total{upstream="shop",endpoint="10.0.0.1:80",outcome="2xx"} 1`,
		`sluice_attempts_total{upstream="shop",endpoint="10.0.0.1:80",outcome="connect_refused"} 1`,
		`sluice_attempts_total{upstream="shop",endpoint="10.0.0.1:80",outcome="upstream_reset"} 1`,
		`sluice_attempts_total{upstream="shop",endpoint="10.0.0.2:80",outcome="4xx"} 1`,
	)
}

func TestCountersGoOnWhenTheirNameIsLoadedAgain(t *testing.T) {
	r := metrics.New()
	r.Filter(core.ScopeRoute, "shop", "auth").Panics.Add(1)
	r.Filter(core.ScopeRoute, "shop", "auth").Panics.Add(1)
	r.Filter(core.ScopeUpstream, "shop", "auth").Errors.Add(1)
	l := r.Listener("web")
	l.Accepted()
	l.Accepted()
	r.Listener("web").Closed()
	r.Reloaded(nil)
	r.Reloaded(errors.New("routes[0]: unknown key"))

	wantLines(t, exposition(t, r),
		`sluice_filter_panics_total{scope="route",owner="shop",filter="auth"} 2`,
		`sluice_filter_errors_total{scope="upstream",owner="shop",filter="auth"} 1`,
		`sluice_connections_total{listener="web"} 2`,
		`sluice_connections_open{listener="web"} 1`,
		`sluice_reloads_total{result="ok"} 1`,
		`sluice_reloads_total{result="refused"} 1`,
	)
}

func TestQuantilesAreWithinAnEighthOfWhatWasCounted(t *testing.T) {
	for _, d := range []time.Duration{
		50 * time.Microsecond, time.Millisecond, 7 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second, time.Minute,
	} {
		r := metrics.New().Route("web", "shop")
		r.Done(ended(200, d))
		l := r.Latency()
		for _, q := range []float64{0.01, 0.5, 1} {
			got := l.Quantile(q)
			if low, high := d*3/4, d*5/4+time.Millisecond; got < low || got > high {
				t.Errorf("Quantile(%v) of one exchange of %v = %v, due %v to %v", q, d, got, low, high)
			}
		}
	}
}

func TestQuantilesOfNothingAndOfTheEndlessAreTheEndsOfTheScale(t *testing.T) {
	r := metrics.New().Route("web", "shop")
	if l := r.Latency(); l.Quantile(0.5) != 0 {
		t.Errorf("Quantile(0.5) of nothing = %v, due 0", l.Quantile(0.5))
	}
	r.Done(ended(200, time.Hour))
	if l := r.Latency(); l.Quantile(0.5) != 1<<36 {
		t.Errorf("Quantile(0.5) of an hour = %v, due %v", l.Quantile(0.5), time.Duration(1<<36))
	}
}

func TestBucketsAreCumulative(t *testing.T) {
	r := metrics.New()
	s := r.Route("web", "shop")
	s.Done(ended(200, 0))
	s.Done(ended(200, 100*time.Second))
	wantLines(t, exposition(t, r),
		`sluice_exchange_duration_seconds_bucket{listener="web",route="shop",le="0.001048576"} 1`,
		`sluice_exchange_duration_seconds_bucket{listener="web",route="shop",le="68.719476736"} 1`,
		`sluice_exchange_duration_seconds_bucket{listener="web",route="shop",le="+Inf"} 2`,
	)
}

func TestLabelValuesAreEscaped(t *testing.T) {
	r := metrics.New()
	r.Listener("a\"b\\c\nd").Accepted()
	wantLines(t, exposition(t, r), `sluice_connections_total{listener="a\"b\\c\nd"} 1`)
}

func TestConnectionsOnEveryShardAreCounted(t *testing.T) {
	s := metrics.New().Route("web", "shop")
	var wg sync.WaitGroup
	for id := range uint64(64) {
		wg.Go(func() {
			x := ended(200, 0)
			x.Client.ID = id
			for range 100 {
				s.Done(x)
			}
		})
	}
	wg.Wait()
	if n := s.Exchanges(); n != 6400 {
		t.Errorf("Exchanges() = %d after 64 connections with 100 each, due 6400", n)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	r := metrics.New()
	s, e := r.Route("web", "shop"), r.Upstream("shop").Endpoint("10.0.0.1:80")
	x := ended(503, time.Millisecond)
	x.Err = core.NewError(core.CodeNoEndpoint, nil)
	x.Attempts = append(x.Attempts, core.Attempt{Status: 503})
	s.Done(x)
	if n := testing.AllocsPerRun(100, func() {
		s.Done(x)
		e.Ended(x.LastAttempt())
	}); n >= 1 {
		t.Errorf("counting an exchange made %v allocations, due 0", n)
	}
}

func BenchmarkDone(b *testing.B) {
	s := metrics.New().Route("web", "shop")
	var connections atomic.Uint64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		x := ended(200, time.Millisecond)
		x.Client.ID = connections.Add(1)
		for pb.Next() {
			s.Done(x)
		}
	})
}
