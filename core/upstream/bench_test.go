package upstream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

// sendAgain sends one exchange over and over, as a retry would.
func sendAgain(t testing.TB, u *upstream.Upstream) func() {
	x := core.NewExchange(nil, nil)
	x.Request.Header.Set("X-Key", "customer-1234")
	return func() {
		x.Attempts, x.Endpoint = x.Attempts[:0], nil
		if err := u.Handle(x); err != nil {
			t.Fatal(err)
		}
	}
}

func allFeatures(c *upstream.Config) {
	ejecting(func(e *upstream.Eject) {
		e.SuccessRate, e.Slow = new(upstream.SuccessRate), new(upstream.Slow)
		e.SuccessRate.Defaults()
		e.Slow.Defaults()
		e.Slow.Window = core.Duration(time.Hour) // latencies are compared rarely, which allocates
	})(c)
	c.Limits = upstream.Limits{Requests: 1000, EndpointRequests: 100, Pending: 10}
	c.Timeout.Total = core.Duration(time.Second)
}

func TestATryAllocatesNothing(t *testing.T) {
	for _, c := range policies(t) {
		w := newWorld(t)
		u := w.open(config([]int{3, 2, 1, 1}, c.option, allFeatures))
		if n := testing.AllocsPerRun(500, sendAgain(t, u)); n != 0 {
			t.Errorf("%s with all features: %.1f allocations a try, want 0", c.name, n)
		}
		u.Close()
	}
}

// BenchmarkTry is picking, counting and judging, without a network.
func BenchmarkTry(b *testing.B) {
	for _, c := range policies(b) {
		for _, n := range []int{3, 300} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				w := newWorld(b)
				u := w.open(config(ones(n), c.option))
				defer u.Close()
				try := sendAgain(b, u)
				b.ReportAllocs()
				for b.Loop() {
					try()
				}
			})
		}
	}
	b.Run("round_robin with all features/3", func(b *testing.B) {
		w := newWorld(b)
		u := w.open(config(ones(3), allFeatures))
		defer u.Close()
		try := sendAgain(b, u)
		b.ReportAllocs()
		for b.Loop() {
			try()
		}
	})
}
