package retry_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/retry"
)

func TestATryIsRepeatedOnlyWhereThatIsSafe(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		on     []string
		max    int
		fail   func(x *core.Exchange, nth int) error // every try
		picked string
		ends   string
	}{
		{name: "a refused connection goes to the next endpoint", method: "GET", max: 1,
			fail:   func(*core.Exchange, int) error { return failure(core.CodeConnectRefused, false) },
			picked: "a b", ends: "connect_refused"},
		{name: "nothing sent: also a POST", method: "POST", max: 2,
			fail:   func(*core.Exchange, int) error { return failure(core.CodeConnectTimeout, false) },
			picked: "a b c", ends: "connect_timeout"},
		{name: "something sent: not a POST", method: "POST", max: 1,
			fail:   func(*core.Exchange, int) error { return failure(core.CodeUpstreamReset, true) },
			picked: "a", ends: "upstream_reset"},
		{name: "something sent: but a DELETE", method: "DELETE", max: 1,
			fail:   func(*core.Exchange, int) error { return failure(core.CodeUpstreamReset, true) },
			picked: "a b", ends: "upstream_reset"},
		{name: "a timeout is not in the default list", method: "GET", max: 1,
			fail:   func(*core.Exchange, int) error { return failure(core.CodeTryTimeout, true) },
			picked: "a", ends: "try_timeout"},
		{name: "a timeout that is listed", method: "GET", on: []string{"timeout"}, max: 1,
			fail:   func(*core.Exchange, int) error { return failure(core.CodeTryTimeout, true) },
			picked: "a b", ends: "try_timeout"},
		{name: "a status that is listed", method: "GET", on: []string{"503"}, max: 2,
			fail: status(503), picked: "a b c", ends: "503"},
		{name: "a status that is not listed", method: "GET", on: []string{"503"}, max: 2,
			fail: status(502), picked: "a", ends: "502"},
		{name: "an answered POST", method: "POST", on: []string{"5xx"}, max: 2,
			fail: status(503), picked: "a", ends: "503"},
		{name: "what a rescue below has answered", method: "GET", on: []string{"reset"}, max: 1,
			fail: func(x *core.Exchange, _ int) error {
				x.Err = core.NewError(core.CodeUpstreamReset, nil)
				return respond(x, 502)
			}, picked: "a b", ends: "502"},
		{name: "a failure of ours", method: "GET", on: []string{"5xx", "connect", "timeout"}, max: 2,
			fail:   func(*core.Exchange, int) error { return failure(core.CodeNoEndpoint, false) },
			picked: "a", ends: "no_endpoint"},
		{name: "more tries than endpoints", method: "GET", on: []string{"5xx"}, max: 4,
			fail: status(500), picked: "a b c a a", ends: "500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := build(t, func(cfg *retry.Config) {
					cfg.Max = c.max
					if c.on != nil {
						cfg.On = on(t, c.on...)
					}
				})
				u := newUpstream(c.fail)
				if ends := run(f, exchange(c.method), u); ends != c.ends || u.picked() != c.picked {
					t.Errorf("%s ended with %s after tries at %q, want %s after %q", c.method, ends, u.picked(), c.ends, c.picked)
				}
			})
		})
	}
}

func TestASecondTryThatSucceedsIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, func(c *retry.Config) { c.On = on(t, "5xx") })
		u := newUpstream(func(x *core.Exchange, nth int) error {
			if nth == 1 {
				x.Response.Header.Add("X-First", "1")
				return respond(x, 503)
			}
			return respond(x, 200)
		})
		x := exchange("GET")
		ends := run(f, x, u)
		_, body, _ := x.Response.Body.Buffered()
		if ends != "200" || body != "from b" || x.Response.Header.Has("X-First") {
			t.Errorf("got %s %q with fields %v, want 200 %q with nothing of the first answer", ends, body, x.Response.Header.Fields(), "from b")
		}
		if s := f.Stats(); s.Retries.Load() != 1 || s.Recovered.Load() != 1 {
			t.Errorf("counted %d retries and %d recovered, want 1 and 1", s.Retries.Load(), s.Recovered.Load())
		}
	})
}

func TestRetriesWaitWithJitterFromTheLowerEndOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const low, high = 10 * time.Millisecond, 50 * time.Millisecond
		f := build(t, func(c *retry.Config) {
			c.On, c.Max = on(t, "5xx"), 6
			c.Backoff = core.DurationRange{Min: core.Duration(low), Max: core.Duration(high)}
		})
		varied := false
		for range 20 {
			u := newUpstream(status(500))
			run(f, exchange("GET"), u)
			last := time.Duration(0)
			for i, c := range u.calls[1:] {
				wait := c.at - u.calls[i].at
				if i == 0 && wait != low {
					t.Fatalf("the first retry waited %s, want %s", wait, low)
				}
				if wait < low || wait > high || i > 0 && wait > 3*last {
					t.Fatalf("retry %d waited %s after a wait of %s, want %s to min(%s, 3 times that)", i+1, wait, last, low, high)
				}
				varied = varied || wait != low && wait != high
				last = wait
			}
		}
		if !varied {
			t.Error("no wait in 20 exchanges of 6 retries was between the ends, want random ones")
		}
	})
}

func TestRetryAfterIsHeededUpToItsCap(t *testing.T) {
	for _, c := range []struct {
		value string
		wait  time.Duration
	}{
		{"1", time.Second},
		{"0", 10 * time.Millisecond},
		{"60", 2 * time.Second},
		{"Sat, 01 Jan 2000 00:00:01 GMT", time.Second}, // synctest's clock begins a second before
		{"Fri, 31 Dec 1999 00:00:00 GMT", 10 * time.Millisecond},
		{"soon", 10 * time.Millisecond},
		{"-1", 10 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := build(t, func(cfg *retry.Config) {
				cfg.On, cfg.RetryAfter = on(t, "503"), core.Duration(2*time.Second)
			})
			u := newUpstream(func(x *core.Exchange, nth int) error {
				respond(x, 503)
				x.Response.Header.Add("Retry-After", c.value)
				return nil
			})
			run(f, exchange("GET"), u)
			if len(u.calls) != 2 || u.calls[1].at != c.wait {
				t.Errorf("Retry-After: %s: calls %v, want the second after %s", c.value, u.calls, c.wait)
			}
		})
	}
}

func TestNoTryBeginsAfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, func(c *retry.Config) {
			c.On, c.Max = on(t, "timeout"), 20
			c.Backoff = core.DurationRange{Min: core.Duration(100 * time.Millisecond), Max: core.Duration(100 * time.Millisecond)}
		})
		u := newUpstream(func(x *core.Exchange, _ int) error {
			time.Sleep(150 * time.Millisecond)
			return failure(core.CodeTryTimeout, true)
		})
		x := exchange("GET")
		x.Deadline = x.Start.Add(time.Second)
		ends := run(f, x, u)
		// Tries begin every 250 ms; after the fourth, the wait would end past the second.
		if took := core.Now().Sub(x.Start); ends != "try_timeout" || len(u.calls) != 4 || took != 900*time.Millisecond {
			t.Errorf("ended with %s after %d tries and %s, want try_timeout after 4 and 900ms", ends, len(u.calls), took)
		}
	})
}

func TestNobodyIsTriedForWhenTheClientIsGone(t *testing.T) {
	f := build(t, func(c *retry.Config) { c.On = on(t, "5xx") })
	gone := &client{}
	x := core.NewExchange(gone, nil)
	x.Request.Method = "GET"
	u := newUpstream(func(x *core.Exchange, _ int) error {
		gone.gone = true
		return respond(x, 500)
	})
	if ends := run(f, x, u); ends != "500" || len(u.calls) != 1 {
		t.Errorf("ended with %s after %d tries, want 500 after 1", ends, len(u.calls))
	}
}

func TestACancelledExchangeStopsWaitingForItsRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, func(c *retry.Config) {
			c.On = on(t, "5xx")
			c.Backoff = core.DurationRange{Min: core.Duration(time.Hour), Max: core.Duration(time.Hour)}
		})
		x := exchange("GET")
		time.AfterFunc(time.Second, x.Cancel)
		u := newUpstream(status(500))
		ends := run(f, x, u)
		if took := core.Now().Sub(x.Start); ends != "cancelled" || took != time.Second || len(u.calls) != 1 {
			t.Errorf("ended with %s after %d tries and %s, want cancelled after 1 and 1s", ends, len(u.calls), took)
		}
	})
}

func TestATunnelIsNeverRetried(t *testing.T) {
	f := build(t, func(c *retry.Config) { c.On, c.Max = on(t, "200"), 1 })
	u := newUpstream(func(x *core.Exchange, _ int) error {
		x.Response.Status, x.Response.Tunnel = 200, tunnel{}
		return nil
	})
	if ends := run(f, exchange("GET"), u); ends != "200" || len(u.calls) != 1 {
		t.Errorf("ended with %s after %d tries, want 200 after 1", ends, len(u.calls))
	}
}

type tunnel struct{ io.ReadWriteCloser }

func (tunnel) CloseWrite() error { return nil }

func TestABodyIsReplayedWhileItFitsTheBuffer(t *testing.T) {
	for _, c := range []struct {
		name   string
		length int
		buffer core.Size
		tries  int
	}{
		{"empty buffer", 10, 0, 1},
		{"below the buffer", 1000, 1024, 2},
		{"above the buffer", 5000, 1024, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := build(t, func(cfg *retry.Config) { cfg.On, cfg.Buffer = on(t, "5xx"), c.buffer })
				sent := strings.Repeat("x", c.length)
				x := exchange("PUT")
				x.Request.Body.Set(io.NopCloser(strings.NewReader(sent)), -1)
				u := newUpstream(status(503))
				run(f, x, u)
				if len(u.calls) != c.tries {
					t.Fatalf("%d tries of a body of %d with a buffer of %s, want %d", len(u.calls), c.length, c.buffer, c.tries)
				}
				for i, got := range u.calls {
					if got.body != sent {
						t.Errorf("try %d got %d bytes of the body, want all %d", i+1, len(got.body), len(sent))
					}
				}
			})
		})
	}
}

func TestTrySetsTheTimeoutOfEachTry(t *testing.T) {
	f := build(t, func(c *retry.Config) { c.Try = core.Duration(300 * time.Millisecond) })
	u := newUpstream(func(x *core.Exchange, _ int) error {
		if x.TryTimeout != 300*time.Millisecond {
			t.Errorf("TryTimeout is %s, want 300ms", x.TryTimeout)
		}
		return respond(x, 200)
	})
	run(f, exchange("GET"), u)
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for _, c := range []struct {
		set  func(c *retry.Config)
		want string
	}{
		{func(c *retry.Config) { c.Max = 21 }, "max: 21 is not between 0 and 20"},
		{func(c *retry.Config) { c.Max = 0 }, "without hedge does nothing"},
		{func(c *retry.Config) { c.Methods = nil }, "methods: the list is empty"},
		{func(c *retry.Config) { c.On = on(t, "grpc:14") }, "gRPC calls are POST"},
	} {
		cfg := core.KindByName("retry").New().(*retry.Config)
		c.set(cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	for _, max := range []int{0, 6} {
		if err := (&retry.HedgeConfig{Max: max}).Validate(); err == nil {
			t.Errorf("hedge.max: %d was accepted", max)
		}
	}
	var b retry.BudgetConfig
	var a retry.HedgeAfter
	for text, parse := range map[string]func([]byte) error{
		"20": b.UnmarshalText, "no": b.UnmarshalText, "200000%": b.UnmarshalText,
		"0ms": a.UnmarshalText, "p0": a.UnmarshalText, "p100": a.UnmarshalText, "pNaN": a.UnmarshalText, "95": a.UnmarshalText,
	} {
		if err := parse([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestEachTryFindsTheTargetAsItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, target := range []string{"/a/b", "/a/b?", "/a/b?c=1"} {
			f := build(t, func(c *retry.Config) { c.On = on(t, "5xx") })
			x := exchange("GET")
			x.Request.SetTarget(target)
			u := newUpstream(func(x *core.Exchange, nth int) error {
				if got := string(x.Request.AppendTarget(nil)); got != target {
					t.Errorf("try %d found %s, want %s", nth, got, target)
				}
				x.Request.SetTarget("/rewritten?d=1")
				return respond(x, 500)
			})
			if run(f, x, u); len(u.calls) != 2 {
				t.Errorf("%s: %d tries, want 2", target, len(u.calls))
			}
		}
	})
}
