package retry_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/retry"
)

// hedging sets hedge: after, for tests without retries of their own.
func hedging(t testing.TB, after string, set func(c *retry.Config)) func(c *retry.Config) {
	return func(c *retry.Config) {
		c.On, c.Max = on(t, "5xx", "connect", "reset"), 0
		c.Hedge = new(retry.HedgeConfig)
		if err := c.Hedge.UnmarshalText([]byte(after)); err != nil {
			t.Fatal(err)
		}
		if set != nil {
			set(c)
		}
	}
}

// slowFirst answers the first call of an exchange after d and the others at once.
func slowFirst(d time.Duration) func(x *core.Exchange, nth int) error {
	return func(x *core.Exchange, nth int) error {
		if nth == 1 {
			if err := during(x, d); err != nil {
				return err
			}
		}
		return respond(x, 200)
	}
}

func TestAHedgeIsSentWhileTheFirstTryIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, hedging(t, "50ms", nil))
		u := newUpstream(slowFirst(time.Minute))
		x := exchange("GET")
		ends := run(f, x, u)
		took := core.Now().Sub(x.Start)
		if _, body, _ := x.Response.Body.Buffered(); ends != "200" || body != "from b" || took != 50*time.Millisecond {
			t.Errorf("got %s %q after %s, want 200 %q after 50ms", ends, body, took, "from b")
		}
		x.Finish()
		if took := core.Now().Sub(x.Start); took != 50*time.Millisecond {
			t.Errorf("the exchange ended after %s, want 50ms: the loser was not cancelled", took)
		}
		if s := f.Stats(); s.Hedges.Load() != 1 || s.HedgesWon.Load() != 1 {
			t.Errorf("counted %d hedges of which %d won, want 1 and 1", s.Hedges.Load(), s.HedgesWon.Load())
		}
		if n, last := len(x.Attempts), x.LastAttempt().Endpoint; n != 2 || last != "b" {
			t.Errorf("%d attempts, the last at %s, want 2, the last at b", n, last)
		}
	})
}

func TestHedging(t *testing.T) {
	const after = 50 * time.Millisecond
	for _, c := range []struct {
		name   string
		method string
		set    func(c *retry.Config)
		answer func(x *core.Exchange, nth int) error
		picked string
		ends   string
		took   time.Duration
	}{
		{name: "a quick answer has no hedge", method: "GET",
			answer: slowFirst(after - time.Millisecond), picked: "a", ends: "200", took: after - time.Millisecond},
		{name: "the first try may yet win", method: "GET",
			answer: func(x *core.Exchange, nth int) error {
				if err := during(x, time.Duration(nth*nth)*60*time.Millisecond); err != nil {
					return err
				}
				return respond(x, 200)
			}, picked: "a b", ends: "200", took: 60 * time.Millisecond},
		{name: "a bad answer waits for the try that is out", method: "GET",
			answer: func(x *core.Exchange, nth int) error {
				if nth == 2 {
					return respond(x, 500)
				}
				if err := during(x, 80*time.Millisecond); err != nil {
					return err
				}
				return respond(x, 200)
			}, picked: "a b", ends: "200", took: 80 * time.Millisecond},
		{name: "the last of bad answers is the answer", method: "GET",
			answer: func(x *core.Exchange, nth int) error {
				if err := during(x, 60*time.Millisecond); err != nil {
					return err
				}
				return failure(core.CodeUpstreamReset, true)
			}, picked: "a b", ends: "upstream_reset", took: 110 * time.Millisecond},
		{name: "a bad answer before a hedge is not waited on", method: "GET",
			answer: status(500), picked: "a", ends: "500"},
		{name: "a method that may not be repeated", method: "POST",
			answer: slowFirst(100 * time.Millisecond), picked: "a", ends: "200", took: 100 * time.Millisecond},
		{name: "up to max", method: "GET",
			set: func(c *retry.Config) { c.Hedge.Max = 2 },
			answer: func(x *core.Exchange, nth int) error {
				if err := during(x, 200*time.Millisecond); err != nil {
					return err
				}
				return respond(x, 200)
			}, picked: "a b c", ends: "200", took: 200 * time.Millisecond},
		{name: "not above the budget of the retries", method: "GET",
			set:    func(c *retry.Config) { c.Budget.Percent, c.Budget.MinPerSecond = 0, 0 },
			answer: slowFirst(100 * time.Millisecond), picked: "a", ends: "200", took: 100 * time.Millisecond},
		{name: "not above its own share", method: "GET",
			set:    func(c *retry.Config) { c.Hedge.Percent, c.Hedge.MinPerSecond = 0, 0 },
			answer: slowFirst(100 * time.Millisecond), picked: "a", ends: "200", took: 100 * time.Millisecond},
		{name: "a panic of one try is its error", method: "GET",
			answer: func(x *core.Exchange, nth int) error { panic("no") }, picked: "a", ends: "internal_error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := build(t, hedging(t, after.String(), c.set))
				u := newUpstream(c.answer)
				x := exchange(c.method)
				ends := run(f, x, u)
				took := core.Now().Sub(x.Start)
				x.Finish()
				if ends != c.ends || u.picked() != c.picked || took != c.took {
					t.Errorf("ended with %s after tries at %q and %s, want %s after %q and %s",
						ends, u.picked(), took, c.ends, c.picked, c.took)
				}
			})
		})
	}
}

func TestARetryFollowsHedgesThatAllFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, hedging(t, "50ms", func(c *retry.Config) { c.Max = 1 }))
		u := newUpstream(func(x *core.Exchange, nth int) error {
			if nth == 3 {
				return respond(x, 200)
			}
			if err := during(x, 60*time.Millisecond); err != nil {
				return err
			}
			return respond(x, 503)
		})
		x := exchange("GET")
		if ends := run(f, x, u); ends != "200" || u.picked() != "a b c" {
			t.Errorf("ended with %s after tries at %q, want 200 after %q", ends, u.picked(), "a b c")
		}
		x.Finish()
		if len(x.Attempts) != 3 {
			t.Errorf("%d attempts are noted, want 3", len(x.Attempts))
		}
	})
}

func TestCancellingAnExchangeCancelsAllItsTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, hedging(t, "50ms", nil))
		x := exchange("GET")
		time.AfterFunc(100*time.Millisecond, x.Cancel)
		ends := run(f, x, newUpstream(func(x *core.Exchange, _ int) error { return during(x, time.Minute) }))
		x.Finish()
		if took := core.Now().Sub(x.Start); ends != "cancelled" || took != 100*time.Millisecond {
			t.Errorf("ended with %s after %s, want cancelled after 100ms", ends, took)
		}
	})
}

func TestAPercentileHedgesOnceLatencyIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, hedging(t, "p90", func(c *retry.Config) { c.Hedge.Percent = 1 }))
		send := func(d time.Duration) time.Duration {
			x := exchange("GET")
			run(f, x, newUpstream(slowFirst(d)))
			x.Finish()
			return core.Now().Sub(x.Start)
		}
		if took := send(time.Second); took != time.Second {
			t.Fatalf("the first exchange took %s, want 1s without a hedge", took)
		}
		for i := range 100 {
			send(time.Duration(i*37%100+1) * time.Millisecond)
		}
		time.Sleep(time.Second)
		// The buckets are 6 % wide, and a hedge at once ends what is above the percentile.
		if took := send(time.Second); took < 80*time.Millisecond || took > 100*time.Millisecond {
			t.Errorf("a slow exchange after latencies of 1 to 100 ms took %s, want about 90ms, with a hedge at p90", took)
		}
	})
}

func TestAPercentileForgetsHowItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, hedging(t, "p90", func(c *retry.Config) { c.Hedge.Percent = 1 }))
		send := func(d time.Duration) time.Duration {
			x := exchange("GET")
			run(f, x, newUpstream(slowFirst(d)))
			x.Finish()
			return core.Now().Sub(x.Start)
		}
		for range 1000 {
			send(80 * time.Millisecond)
		}
		for range 10 { // each 10 s, what was before counts half
			time.Sleep(10 * time.Second)
			for range 100 {
				send(10 * time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		if took := send(time.Second); took > 12*time.Millisecond {
			t.Errorf("a slow exchange long after latencies of 80 ms, and latencies of 10 ms since, took %s, want about 10ms", took)
		}
	})
}
