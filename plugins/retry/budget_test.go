package retry_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/retry"
)

// storm sends n failing exchanges and returns how many retries they made.
func storm(f *retry.Filter, n int) uint64 {
	before := f.Stats().Retries.Load()
	for range n {
		run(f, exchange("GET"), newUpstream(status(500)))
	}
	return f.Stats().Retries.Load() - before
}

func withBudget(t *testing.T, percent core.Percent, perSecond int) func(c *retry.Config) {
	return func(c *retry.Config) {
		c.On = on(t, "5xx")
		c.Backoff = core.DurationRange{}
		c.Budget.Percent, c.Budget.MinPerSecond = percent, perSecond
	}
}

func TestTheBudgetAllowsItsShareAboveItsReserve(t *testing.T) {
	for _, c := range []struct {
		name      string
		percent   core.Percent
		perSecond int
		requests  int
		retries   uint64
	}{
		// A request brings 1 token, a retry costs 1/percent of them; the reserve pays for
		// min_per_second times ttl retries.
		{"share alone", 0.2, 0, 1000, 200},
		{"reserve alone", 0, 10, 1000, 100},
		{"share and reserve", 0.2, 10, 1000, 300},
		{"reserve that is not used up", 0.2, 10, 50, 50},
		{"two retries for each request", 2, 0, 100, 100}, // max is 1
		{"nothing", 0, 0, 100, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := build(t, withBudget(t, c.percent, c.perSecond))
				got := storm(f, c.requests)
				if got != c.retries {
					t.Errorf("%d failing requests made %d retries, want %d", c.requests, got, c.retries)
				}
				if spared := f.Stats().Exhausted.Load(); spared != uint64(c.requests)-got {
					t.Errorf("%d retries were counted as forbidden, want %d", spared, uint64(c.requests)-got)
				}
			})
		})
	}
}

func TestWhatTheBudgetGaveOutComesBackAfterItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, withBudget(t, 0.2, 1))
		if got := storm(f, 100); got != 30 {
			t.Fatalf("100 requests made %d retries, want 20 of the share and 10 of the reserve", got)
		}
		time.Sleep(5 * time.Second)
		if got := storm(f, 10); got != 2 {
			t.Errorf("after half of ttl, 10 requests made %d retries, want 2", got)
		}
		time.Sleep(11 * time.Second)
		if got := storm(f, 100); got != 30 {
			t.Errorf("after ttl, 100 requests made %d retries, want 30 again", got)
		}
	})
}

func TestTheBudgetOutlivesAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := make(map[string]any)
		if got := storm(buildWith(t, withBudget(t, 0, 1), kept), 100); got != 10 {
			t.Fatalf("100 requests made %d retries, want the reserve of 10", got)
		}
		if got := storm(buildWith(t, withBudget(t, 0, 1), kept), 100); got != 0 {
			t.Errorf("after a reload 100 requests made %d retries, want 0 of a budget that is used up", got)
		}
	})
}

func TestWithoutABudgetEveryFailureIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, func(c *retry.Config) {
			withBudget(t, 0, 0)(c)
			if err := c.Budget.UnmarshalText([]byte("none")); err != nil {
				t.Fatal(err)
			}
		})
		if got := storm(f, 1000); got != 1000 {
			t.Errorf("1000 failing requests made %d retries, want 1000", got)
		}
	})
}
