package upstream_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

func refuse() *core.Error { return core.NewError(core.CodeConnectRefused, nil) }

// pinTo sends a request to one endpoint, whatever the balancer thinks.
func pinTo(t testing.TB, u *upstream.Upstream, address string) func(*core.Exchange) {
	return func(x *core.Exchange) { x.Endpoint = endpoint(t, u, address) }
}

// fail sends n requests to an endpoint, which fails them, and has it answer well again.
func (w *world) fail(u *upstream.Upstream, address string, n int) {
	s := w.at(address)
	s.err = refuse()
	for range n {
		w.send(u, pinTo(w.t, u, address))
	}
	s.err = nil
}

func exactly(d time.Duration) core.DurationRange {
	return core.DurationRange{Min: core.Duration(d), Max: core.Duration(d)}
}

func forTime(d time.Duration) func(*upstream.Eject) {
	return func(e *upstream.Eject) { e.For = exactly(d) }
}

func TestAnEndpointIsEjectedAfterConsecutiveFailures(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(3), ejecting()))
	defer u.Close()
	w.fail(u, "b:1", 4)
	w.send(u, pinTo(t, u, "b:1"))
	w.fail(u, "b:1", 4)
	w.wantState(u, "b:1", "up")
	w.fail(u, "b:1", 1)
	w.wantState(u, "b:1", "ejected")
	if got := w.spread(u, 30); got["b:1"] != 0 {
		t.Errorf("an ejected endpoint got requests: %v", got)
	}
	want := regexp.MustCompile(`endpoint b:1 of shop is ejected for [\d.]+s: 5 consecutive failures`)
	if log := w.log.String(); strings.Count(log, "ejected") != 1 || !want.MatchString(log) {
		t.Errorf("log: got\n%s\nwant one line like %s", log, want)
	}
}

func TestWhatCountsAsAFailureOfTheEndpoint(t *testing.T) {
	for _, c := range []struct {
		name   string
		errors string
		status int
		code   core.Code
		want   string
	}{
		{"a refused connection", "", 0, core.CodeConnectRefused, "ejected"},
		{"a reset", "", 0, core.CodeUpstreamReset, "ejected"},
		{"a try that took too long", "", 0, core.CodeTryTimeout, "ejected"},
		{"an answer that is not HTTP", "", 0, core.CodeUpstreamProtocol, "ejected"},
		{"status 500", "", 500, "", "ejected"},
		{"status 404", "", 404, "", "up"},
		{"a client that went away", "", 0, core.CodeClientClosed, "up"},
		{"a try that was cancelled", "", 0, core.CodeCancelled, "up"},
		{"status 500 when only gateway errors count", "gateway-error", 500, "", "up"},
		{"status 503 when only gateway errors count", "gateway-error", 503, "", "ejected"},
		{"a refused connection when only gateway errors count", "gateway-error", 0, core.CodeConnectRefused, "up"},
		{"status 429 when it is listed", "429", 429, "", "ejected"},
	} {
		w := newWorld(t)
		u := w.open(config(ones(2), ejecting(func(e *upstream.Eject) {
			if c.errors != "" {
				e.Errors = []core.Outcome{{}}
				if err := e.Errors[0].UnmarshalText([]byte(c.errors)); err != nil {
					t.Fatal(err)
				}
			}
		})))
		s := w.at("a:1")
		s.status = c.status
		if c.code != "" {
			s.err = core.NewError(c.code, nil)
		}
		for range 5 {
			w.send(u, pinTo(t, u, "a:1"))
		}
		if got := w.state(u, "a:1"); got != c.want {
			t.Errorf("5 times %s: got %s, want %s", c.name, got, c.want)
		}
		u.Close()
	}
}

func TestATotalTimeoutCountsAgainstWhoTookMostOfTheTime(t *testing.T) {
	for _, c := range []struct {
		before, here time.Duration
		want         string
	}{
		{time.Second, 2 * time.Second, "ejected"},
		{2 * time.Second, time.Second, "up"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			u := w.open(config(ones(2), ejecting()))
			defer u.Close()
			w.at("a:1").err = core.NewError(core.CodeTotalTimeout, nil)
			w.at("a:1").seen = func(*core.Exchange) { time.Sleep(c.here) }
			for range 5 {
				w.send(u, pinTo(t, u, "a:1"), func(x *core.Exchange) {
					x.Start = core.Now()
					time.Sleep(c.before)
				})
			}
			if got := w.state(u, "a:1"); got != c.want {
				t.Errorf("total_timeout 5 times, %s before the try and %s in it: got %s, want %s", c.before, c.here, got, c.want)
			}
		})
	}
}

func TestOneProbeBringsAnEndpointBack(t *testing.T) {
	for _, c := range policies(t) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			u := w.open(config(ones(2), c.option, ejecting(forTime(5*time.Second))))
			defer u.Close()
			w.fail(u, "a:1", 5)
			time.Sleep(5*time.Second - 1)
			w.wantState(u, "a:1", "ejected")
			time.Sleep(time.Nanosecond)
			w.wantState(u, "a:1", "probing")
			a := w.at("a:1")
			a.wait = make(chan struct{})
			before := a.calls
			for i := range 50 {
				go w.send(u, key(fmt.Sprint(i)))
				if synctest.Wait(); a.calls > before {
					break
				}
			}
			for i := range 50 {
				if to := w.send(u, key(fmt.Sprint(i))); to != "b:1" {
					t.Fatalf("%s: while the probe runs, a request went to %s", c.name, to)
				}
			}
			close(a.wait)
			synctest.Wait()
			w.wantState(u, "a:1", "up")
			if a.calls != before+1 {
				t.Errorf("%s: %d requests probed the endpoint, want 1", c.name, a.calls-before)
			}
		})
	}
}

func TestTheHeadOfTheProbesAnswerIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(2), ejecting(forTime(5*time.Second))))
		defer u.Close()
		w.fail(u, "a:1", 5)
		time.Sleep(5 * time.Second)
		w.at("a:1").hold = true
		to, end := w.hold(u)
		if to != "a:1" {
			t.Fatalf("the probe went to %s", to)
		}
		w.wantState(u, "a:1", "up")
		end()
		w.wantState(u, "a:1", "up")
	})
}

func TestAProbeThatFailsEjectsForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(2), ejecting()))
		defer u.Close()
		w.fail(u, "a:1", 5)
		last := time.Duration(0)
		w.at("a:1").err = refuse()
		for range 8 {
			out := w.untilProbing(u, "a:1")
			if out < 5*time.Second-time.Millisecond || out > 300*time.Second {
				t.Errorf("ejected for %s, want 5s..300s", out)
			}
			last = max(last, out)
			if to := w.send(u); to != "a:1" {
				t.Fatalf("the first request after the ejection went to %s, want a:1", to)
			}
			w.wantState(u, "a:1", "ejected")
		}
		if last < time.Minute {
			t.Errorf("after 8 probes that failed, the longest ejection was %s, want above a minute", last)
		}
	})
}

// untilProbing waits for the ejection to end and returns how long it took.
func (w *world) untilProbing(u *upstream.Upstream, address string) time.Duration {
	w.t.Helper()
	start := time.Now()
	for w.state(u, address) == "ejected" {
		if time.Since(start) > time.Hour {
			w.t.Fatalf("%s is ejected for more than an hour", address)
		}
		time.Sleep(time.Millisecond * 100)
	}
	return time.Since(start)
}

func TestAProbeWithoutAResultLeavesTheProbeToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(2), ejecting(forTime(5*time.Second))))
		defer u.Close()
		w.fail(u, "a:1", 5)
		time.Sleep(5 * time.Second)
		w.at("a:1").err = core.NewError(core.CodeClientClosed, nil)
		if to := w.send(u); to != "a:1" {
			t.Fatalf("the probe went to %s", to)
		}
		w.wantState(u, "a:1", "probing")
		w.at("a:1").err = nil
		if to := w.send(u); to != "a:1" {
			t.Fatalf("the second probe went to %s", to)
		}
		w.wantState(u, "a:1", "up")
	})
}

func TestTriesFromBeforeTheEjectionDoNotEndIt(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(2), ejecting()))
	defer u.Close()
	w.at("a:1").hold = true
	_, end := w.hold(u, pinTo(t, u, "a:1"))
	w.at("a:1").hold = false
	w.fail(u, "a:1", 5)
	end()
	w.wantState(u, "a:1", "ejected")
}

func TestALowSuccessRateEjects(t *testing.T) {
	for _, c := range []struct {
		name             string
		good, bad, pause int
		want             string
	}{
		{"3 of 19 fail: too few requests", 16, 3, 0, "up"},
		{"4 of 20 fail: exactly the bound", 16, 4, 0, "up"},
		{"5 of 20 fail", 15, 5, 0, "ejected"},
		{"5 of 20 fail, the good ones longer ago than the window", 15, 5, 11, "up"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			u := w.open(config(ones(2), ejecting(func(e *upstream.Eject) {
				e.Consecutive = 0
				e.SuccessRate = new(upstream.SuccessRate)
				e.SuccessRate.Defaults()
			})))
			defer u.Close()
			for range c.good {
				w.send(u, pinTo(t, u, "a:1"))
			}
			time.Sleep(time.Duration(c.pause) * time.Second)
			w.fail(u, "a:1", c.bad)
			if got := w.state(u, "a:1"); got != c.want {
				t.Errorf("%s: got %s, want %s; log %s", c.name, got, c.want, w.log.String())
			}
		})
	}
}

func TestAnEndpointThatCameBackIsJudgedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(2), ejecting(forTime(2*time.Second), func(e *upstream.Eject) {
			e.Consecutive, e.SuccessRate = 0, new(upstream.SuccessRate)
			e.SuccessRate.Defaults()
		})))
		defer u.Close()
		w.fail(u, "a:1", 20)
		w.wantState(u, "a:1", "ejected")
		time.Sleep(2 * time.Second)
		w.send(u)
		w.fail(u, "a:1", 1)
		w.wantState(u, "a:1", "up")
	})
}

func TestEjectionsGrowUntilAnEndpointStaysInForLong(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     time.Duration // between two ejections
		longer bool          // than three times the lower end
	}{
		{"soon after one another", time.Second, true},
		{"longer apart than the upper end", 41 * time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			u := w.open(config(ones(2), ejecting(func(e *upstream.Eject) {
				e.For = core.DurationRange{Min: core.Duration(time.Second), Max: core.Duration(40 * time.Second)}
			})))
			defer u.Close()
			longest := time.Duration(0)
			for range 12 {
				w.fail(u, "a:1", 5)
				longest = max(longest, w.untilProbing(u, "a:1"))
				w.send(u)
				time.Sleep(c.in)
			}
			if longest > 40*time.Second+time.Second/10 || (longest > 3*time.Second+time.Second/10) != c.longer {
				t.Errorf("ejections %s of 1s..40s: the longest was %s, want it above 3s: %v", c.name, longest, c.longer)
			}
		})
	}
}

func TestAnEndpointMuchSlowerThanTheMedianIsEjected(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, c := range []struct {
		name string
		took []time.Duration
		want string // state of the last
	}{
		{"four times the median of five", []time.Duration{ms(20), ms(22), ms(25), ms(28), ms(100)}, "ejected"},
		{"twice the median", []time.Duration{ms(20), ms(22), ms(25), ms(50)}, "up"},
		{"four times the other of two", []time.Duration{ms(20), ms(80)}, "ejected"},
		{"four times, but below the floor", []time.Duration{ms(1), ms(1), ms(4)}, "up"},
		{"alone", []time.Duration{ms(500)}, "up"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			u := w.open(config(ones(len(c.took)), ejecting(func(e *upstream.Eject) {
				e.For = exactly(time.Minute)
				e.Slow = new(upstream.Slow)
				e.Slow.Defaults()
			})))
			defer u.Close()
			last := address(len(c.took) - 1)
			for i, took := range c.took {
				w.at(address(i)).took = took
			}
			for range 5 {
				w.spread(u, 10*len(c.took))
				time.Sleep(2 * time.Second)
			}
			if got := w.state(u, last); got != c.want {
				t.Errorf("%s: got %s, want %s; log:\n%s", c.name, got, c.want, w.log.String())
			}
			for i := range len(c.took) - 1 {
				w.wantState(u, address(i), "up")
			}
		})
	}
}

func TestASlowEndpointThatCameBackIsMeasuredAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(2), ejecting(forTime(time.Second), func(e *upstream.Eject) {
			e.Slow = new(upstream.Slow)
			e.Slow.Defaults()
		})))
		defer u.Close()
		w.at("a:1").took, w.at("b:1").took = 100*time.Millisecond, 20*time.Millisecond
		w.spread(u, 40)
		time.Sleep(2 * time.Second)
		w.spread(u, 1)
		w.wantState(u, "a:1", "ejected")
		w.at("a:1").took = 20 * time.Millisecond
		w.untilProbing(u, "a:1")
		w.spread(u, 38)
		time.Sleep(2 * time.Second)
		w.spread(u, 38)
		w.wantState(u, "a:1", "up")
	})
}

func TestNoMoreThanTheMostAreEjected(t *testing.T) {
	for _, c := range []struct {
		endpoints int
		most      core.Percent
		want      int
	}{
		{10, 0.5, 5}, {3, 0.5, 1}, {2, 0.1, 1}, {1, 0.5, 0}, {4, 0, 0}, {4, 1, 4},
	} {
		w := newWorld(t)
		u := w.open(config(ones(c.endpoints), ejecting(func(e *upstream.Eject) { e.Max = c.most })))
		out := 0
		for i := range c.endpoints {
			w.fail(u, address(i), 6)
			if w.state(u, address(i)) == "ejected" {
				out++
			}
		}
		if out != c.want {
			t.Errorf("max %s of %d endpoints: %d were ejected, want %d", c.most, c.endpoints, out, c.want)
		}
		u.Close()
	}
}

func TestAllEndpointsAreUsedInPanicMode(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(4), ejecting(func(e *upstream.Eject) { e.Max = 1 }),
		func(c *upstream.Config) { c.Panic = 0.5 }))
	defer u.Close()
	w.fail(u, "a:1", 5)
	w.fail(u, "b:1", 5)
	if got := w.spread(u, 40); got["a:1"]+got["b:1"] != 0 {
		t.Fatalf("half are available, the threshold is half: got %v", got)
	}
	w.fail(u, "c:1", 5)
	if to, err := w.try(u); err != nil || to == "d:1" {
		t.Fatalf("in panic mode the turn after b's went to %s, error %v", to, err)
	}
	if log := w.log.String(); !strings.Contains(log, "upstream shop has 1 of 4 endpoints available: all are used") {
		t.Errorf("log does not say that panic mode began:\n%s", log)
	}
	// The one that has answered is back, and two of four are enough again.
	if log := w.log.String(); !strings.Contains(log, "only those are used again") {
		t.Errorf("log does not say that panic mode is over:\n%s", log)
	}
}

func TestAnUpstreamOfWhichAllAreOutIsStillUsed(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(2), ejecting(func(e *upstream.Eject) { e.Max = 1 })))
	defer u.Close()
	w.fail(u, "a:1", 5)
	w.fail(u, "b:1", 5)
	w.at("a:1").status, w.at("b:1").status = 500, 500
	if got := w.spread(u, 20); got["a:1"] != 10 || got["b:1"] != 10 {
		t.Errorf("with both ejected: got %v, want both used alike", got)
	}
}

func TestSlowStartGivesAnEndpointThatCameBackItsShareByAndBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(2), ejecting(forTime(5*time.Second)),
			func(c *upstream.Config) { c.SlowStart = core.Duration(20 * time.Second) }))
		defer u.Close()
		w.wantState(u, "a:1", "up")
		w.fail(u, "a:1", 5)
		time.Sleep(5 * time.Second)
		w.send(u)
		w.wantState(u, "a:1", "slow_start")
		for _, step := range []struct {
			after time.Duration
			due   float64 // share of a
		}{
			{0, 0.1 / 1.1}, {10 * time.Second, 0.5 / 1.5}, {5 * time.Second, 0.75 / 1.75}, {6 * time.Second, 0.5},
		} {
			time.Sleep(step.after)
			const n = 2100
			got := float64(w.spread(u, n)["a:1"]) / n
			if got < step.due-0.02 || got > step.due+0.02 {
				t.Errorf("%s later: a got %.1f%% of the requests, due are %.1f%%", step.after, got*100, step.due*100)
			}
		}
		w.wantState(u, "a:1", "up")
	})
}
