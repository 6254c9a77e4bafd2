package breaker_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/plugins/breaker"
)

func TestABreakerOpensByItsRules(t *testing.T) {
	share := func(c *breaker.Config) { c.Failures, c.Of = 0.5, 10 }
	for _, c := range []struct {
		name   string
		set    func(c *breaker.Config)
		script string
		want   string
	}{
		{"below the least number nothing opens", share, "FFFFFFFFF", "FFFFFFFFF"},
		{"at the least number the share counts", share, "FFFFFFFFFFS", "FFFFFFFFFFX"},
		{"exactly the share opens", share, "SSSSSFFFFFS", "SSSSSFFFFFX"},
		{"less than the share does not", share, "SSSSSSFFFFS", "SSSSSSFFFFS"},
		{"a row of failures", consecutive(3), "FFFS", "FFFX"},
		{"a success ends the row", consecutive(3), "FFSFFS", "FFSFFS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := start(t, c.set).play(c.script); got != c.want {
				t.Errorf("sent %s, came %s, due %s", c.script, got, c.want)
			}
		})
	}
}

func TestFailuresLeaveTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, func(c *breaker.Config) {
			c.Failures, c.Of, c.Window = 0.5, 10, core.Duration(10*time.Second)
		})
		p.play("FFFFFFFFF")
		time.Sleep(11 * time.Second)
		if got := p.play("FFFFFFFFFFS"); got != "FFFFFFFFFFX" {
			t.Errorf("after the window: came %s, due ten failures and then X", got)
		}
	})
}

func TestFailuresOfHalfAWindowAgoStillCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, func(c *breaker.Config) {
			c.Failures, c.Of, c.Window = 0.5, 10, core.Duration(10*time.Second)
		})
		p.play("FFFFFFFFF")
		time.Sleep(5 * time.Second)
		if got := p.play("FS"); got != "FX" {
			t.Errorf("came %s, due FX", got)
		}
	})
}

func TestSlowAnswersOpen(t *testing.T) {
	slow := func(c *breaker.Config) {
		c.Of = 4
		c.Slow = &breaker.SlowConfig{Over: core.Duration(500 * time.Millisecond), Share: 0.5}
	}
	late, soon := after(500*time.Millisecond, status(200)), after(499*time.Millisecond, status(200))
	for _, c := range []struct {
		name    string
		answers []func(*core.Exchange) error
		want    string
	}{
		{"half are slow", []func(*core.Exchange) error{late, soon, late, soon, soon}, "SSSSX"},
		{"fewer are slow", []func(*core.Exchange) error{late, soon, soon, soon, soon}, "SSSSS"},
		{"an error of the endpoint that comes late", []func(*core.Exchange) error{
			soon, soon, after(time.Second, fail(core.CodeUpstreamProtocol)), late, soon}, "SSeSX"},
		{"a client that goes away late", []func(*core.Exchange) error{
			soon, soon, after(time.Second, fail(core.CodeClientClosed)), late, soon}, "SSeSS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := start(t, slow).send(c.answers...); got != c.want {
					t.Errorf("came %s, due %s", got, c.want)
				}
			})
		})
	}
}

func TestOnlyWhatIsListedIsAFailure(t *testing.T) {
	rescued := func(x *core.Exchange) error {
		x.Respond(502, "", "")
		x.Err = core.NewError(core.CodeUpstreamReset, nil)
		return nil
	}
	for _, c := range []struct {
		name   string
		on     []string // nil: the default
		answer func(*core.Exchange) error
		opens  bool
	}{
		{"500", nil, status(500), true},
		{"404", nil, status(404), false},
		{"404 that is listed", []string{"404"}, status(404), true},
		{"500 that is not listed", []string{"404"}, status(500), false},
		{"refused", nil, fail(core.CodeConnectRefused), true},
		{"reset", nil, fail(core.CodeUpstreamReset), true},
		{"reset that a rescue has answered", nil, rescued, true},
		{"reset that is not listed", []string{"5xx"}, rescued, false},
		{"timeout", nil, fail(core.CodeTryTimeout), true},
		{"a client that goes away", nil, fail(core.CodeClientClosed), false},
		{"no endpoint", nil, fail(core.CodeNoEndpoint), false},
		{"a try that was given up", nil, fail(core.CodeCancelled), false},
	} {
		p := start(t, func(cfg *breaker.Config) {
			consecutive(1)(cfg)
			if c.on != nil {
				cfg.On = on(t, c.on...)
			}
		})
		p.send(c.answer)
		if opened := p.send(status(200)) == "X"; opened != c.opens {
			t.Errorf("%s: opened is %v, want %v", c.name, opened, c.opens)
		}
	}
}

func TestAnOpenBreakerSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, func(c *breaker.Config) {
			consecutive(1)(c)
			c.Open = core.DurationRange{Min: core.Duration(5 * time.Second), Max: core.Duration(5 * time.Second)}
		})
		p.play("F")
		time.Sleep(1500 * time.Millisecond)
		err := p.chain.Handle(p.exchange())
		e, ok := core.AsError(err)
		if !ok || e.Code != core.CodeBreakerOpen || e.StatusCode() != 503 || e.RetryAfter != 3500*time.Millisecond {
			t.Fatalf("error %v with RetryAfter %s, want breaker_open with 503 and 3.5s", err, e.RetryAfter)
		}
		if got := e.Error(); got != "upstream shop: filter breaker: breaker_open" {
			t.Errorf("the error says %q", got)
		}
		if n := len(p.up.picked); n != 0 {
			t.Errorf("%d exchanges reached the upstream, want none", n)
		}
	})
}

func TestAProbeDecidesWhetherItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, consecutive(2))
		p.play("FF")
		time.Sleep(999 * time.Millisecond)
		if got := p.play("S"); got != "X" {
			t.Fatalf("a millisecond early: came %s, due X", got)
		}
		time.Sleep(time.Millisecond)
		if got := p.play("FS"); got != "FX" {
			t.Fatalf("a probe that failed: came %s, due FX: one failure opens again", got)
		}
		time.Sleep(time.Second)
		if got := p.play("SFSFS"); got != "SFSFS" {
			t.Errorf("after a probe that succeeded: came %s, due SFSFS: closed, and two in a row to open", got)
		}
		s := p.filter.Stats()
		if o, c, r, pr := s.Opened.Load(), s.Closed.Load(), s.Refused.Load(), s.Probes.Load(); o != 2 || c != 1 || r != 2 || pr != 2 {
			t.Errorf("counted %d opened, %d closed, %d refused, %d probes; want 2, 1, 2, 2", o, c, r, pr)
		}
	})
}

func TestTheTimeOpenDoublesUntilItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, func(c *breaker.Config) {
			consecutive(1)(c)
			c.Open = core.DurationRange{Min: core.Duration(5 * time.Second), Max: core.Duration(15 * time.Second)}
		})
		p.play("F")
		for _, want := range []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 15 * time.Second} {
			since := core.Now()
			for p.play("F") == "X" {
				time.Sleep(100 * time.Millisecond)
			}
			if got := core.Now().Sub(since); got != want {
				t.Fatalf("it was open for %s, want %s", got, want)
			}
		}
		time.Sleep(15 * time.Second)
		p.play("SF")
		time.Sleep(5 * time.Second)
		if got := p.play("S"); got != "S" {
			t.Errorf("5s after it had closed and opened again: came %s, due a probe", got)
		}
	})
}

// held answers with 200 once it is let go.
type held struct {
	arrived atomic.Int32
	letGo   chan struct{}
}

func (h *held) answer(x *core.Exchange) error {
	h.arrived.Add(1)
	<-h.letGo
	return status(200)(x)
}

func TestNoMoreProbesRunThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, func(c *breaker.Config) {
			consecutive(1)(c)
			c.HalfOpen = breaker.HalfOpenConfig{Probes: 2, Successes: 3}
		})
		p.play("F")
		time.Sleep(time.Second)
		h := &held{letGo: make(chan struct{})}
		p.up.answer = h.answer
		p.up.endpoints = nil
		var ended sync.Map
		for i := range 5 {
			go func() {
				x := p.exchange()
				ended.Store(i, ending(x, p.chain.Handle(x)))
			}()
		}
		synctest.Wait()
		refused := 0
		ended.Range(func(_, got any) bool {
			if got == "X" {
				refused++
			}
			return true
		})
		if h.arrived.Load() != 2 || refused != 3 {
			t.Errorf("of 5 exchanges at the same time %d were let through and %d refused, want 2 and 3", h.arrived.Load(), refused)
		}
		close(h.letGo)
		synctest.Wait()
		if got := p.play("F"); got != "F" {
			t.Fatalf("the third probe came to %s, due F", got)
		}
		if got := p.play("S"); got != "X" {
			t.Errorf("after two probes that succeeded and one that failed: came %s, due X", got)
		}
	})
}

func TestAPanicDoesNotKeepTheProbesPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, consecutive(1))
		p.play("F")
		time.Sleep(time.Second)
		p.send(func(*core.Exchange) error { panic("no") })
		if got := p.play("S"); got != "S" {
			t.Errorf("after a probe that panicked: came %s, due another probe", got)
		}
	})
}

func TestAProbeWithoutAResultLeavesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, consecutive(1))
		p.play("F")
		time.Sleep(time.Second)
		if got := p.send(fail(core.CodeClientClosed), status(200), status(200)); got != "eSS" {
			t.Errorf("came %s, due eSS: the client's leaving is no result", got)
		}
	})
}

func TestWhatHungBeforeItOpenedCountsForNothingLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, consecutive(1))
		h := &held{letGo: make(chan struct{})}
		p.up.answer = func(x *core.Exchange) error {
			h.answer(x)
			return fail(core.CodeTryTimeout)(x)
		}
		go func() { _ = p.chain.Handle(p.exchange()) }()
		synctest.Wait()
		p.play("F")
		time.Sleep(time.Second)
		p.play("S")
		close(h.letGo)
		synctest.Wait()
		if got := p.play("S"); got != "S" {
			t.Errorf("after a timeout of an exchange from before it opened: came %s, due S", got)
		}
	})
}

func TestABodyThatBreaksOffIsAFailure(t *testing.T) {
	streaming := func(code core.Code) func(*core.Exchange) error {
		return func(x *core.Exchange) error {
			x.Response.Status = 200
			x.Response.Body.Set(io.NopCloser(strings.NewReader("")), -1)
			x.LastAttempt().Code = code // as the transport notes it when the body ends
			return nil
		}
	}
	p := start(t, consecutive(2))
	if got := p.send(streaming(core.CodeUpstreamReset), streaming(core.CodeUpstreamReset), status(200)); got != "SSX" {
		t.Errorf("after two bodies that broke off: came %s, due SSX", got)
	}
	p = start(t, consecutive(2))
	if got := p.send(streaming(core.CodeUpstreamReset), streaming(""), streaming(core.CodeUpstreamReset), status(200)); got != "SSSS" {
		t.Errorf("with a whole body between: came %s, due SSSS", got)
	}
	p = start(t, func(c *breaker.Config) { c.Failures, c.Of = 1, 2 })
	if got := p.send(streaming(core.CodeUpstreamReset), streaming(core.CodeUpstreamReset), status(200)); got != "SSX" {
		t.Errorf("all of two bodies broke off: came %s, due SSX", got)
	}
}

func TestAnOpenBreakerStaysOpenOverAReload(t *testing.T) {
	kept := make(map[string]any)
	startWith(t, core.ScopeRoute, kept, consecutive(1)).play("F")
	if got := startWith(t, core.ScopeRoute, kept, consecutive(1)).play("S"); got != "X" {
		t.Errorf("after a reload: came %s, due X", got)
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for _, c := range []struct {
		set  func(c *breaker.Config)
		want string
	}{
		{func(c *breaker.Config) {}, "nothing opens it"},
		{func(c *breaker.Config) { c.Failures = 1.5 }, "failures: 150% is above 100%"},
		{func(c *breaker.Config) { c.Failures, c.Of = 1, 0 }, "of: 0 is below 1"},
		{func(c *breaker.Config) { c.Failures, c.Window = 1, 1 }, "window: 1ns"},
		{func(c *breaker.Config) { c.Consecutive = -1 }, "consecutive: -1"},
		{func(c *breaker.Config) { c.Consecutive, c.Open = 1, core.DurationRange{} }, "open: 0s is below 1ms"},
		{func(c *breaker.Config) { c.Consecutive, c.MaxKeys = 1, 1 }, "max_keys: 1"},
	} {
		cfg := core.KindByName("breaker").New().(*breaker.Config)
		c.set(cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	for _, c := range []struct {
		by    string
		scope core.Scope
		want  string
	}{
		{"upstream", core.ScopeRoute, "the upstream is not chosen yet in the filters of a route"},
		{"endpoint", core.ScopeListener, "the upstream is not chosen yet in the filters of a listener"},
		{"route", core.ScopeListener, "the route is not known yet"},
		{"tenant", core.ScopeRoute, "holds no variable"},
		{"$no_such_variable", core.ScopeRoute, "by:"},
	} {
		cfg := core.KindByName("breaker").New().(*breaker.Config)
		cfg.Consecutive, cfg.By = 1, c.by
		_, err := core.KindByName("breaker").Build(cfg, &core.Env{Scope: c.scope})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("by: %s in the filters of a %s: error %v, want one with %q", c.by, c.scope, err, c.want)
		}
	}
}

func TestManyExchangesAtOnceOpenItOnceAndProbeOneByOne(t *testing.T) {
	p := start(t, func(c *breaker.Config) {
		c.Failures, c.Of = 0.5, 20
		c.Open = core.DurationRange{Min: core.Duration(time.Millisecond), Max: core.Duration(time.Millisecond)}
	})
	var out, most atomic.Int32
	opened := func() bool { return p.filter.Stats().Opened.Load() > 0 }
	chain := core.Chain([]core.Link{{Name: "breaker", Filter: p.filter}}, core.HandlerFunc(func(x *core.Exchange) error {
		if opened() {
			if n := out.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer out.Add(-1)
		}
		return status(500)(x)
	}))
	for range 100 { // no probe is out before it opens
		x := p.exchange()
		_ = chain.Handle(x)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				_ = chain.Handle(p.exchange())
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("up to %d probes were out at the same time, want 1", most.Load())
	}
	if s := p.filter.Stats(); s.Opened.Load() != s.Probes.Load()+1 || s.Closed.Load() != 0 {
		t.Errorf("opened %d times after %d probes that all failed, closed %d times; want one more than probes, and never",
			s.Opened.Load(), s.Probes.Load(), s.Closed.Load())
	}
}

func ExampleConfig() {
	c := new(breaker.Config)
	c.Defaults()
	fmt.Println(c.Of, c.Window, c.Open, c.By, c.On)
	// Output: 20 10s 5s scope [5xx connect reset timeout]
}
