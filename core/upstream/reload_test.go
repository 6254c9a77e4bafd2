package upstream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

func TestAReloadKeepsWhatIsKnownOfAnEndpoint(t *testing.T) {
	w := newWorld(t)
	old := w.open(config(ones(3), balance("ewma"), ejecting()))
	w.at("c:1").took = 80 * time.Millisecond
	for range 3 {
		w.send(old, pinTo(t, old, "a:1"))
		w.send(old, pinTo(t, old, "c:1"))
	}
	w.fail(old, "b:1", 5)
	w.at("a:1").hold = true
	_, end := w.hold(old, pinTo(t, old, "a:1"))

	u := w.open(config([]int{2, 1, 1, 1}, balance("ewma"), ejecting()))
	old.Close()
	w.wantState(u, "b:1", "ejected")
	if n := endpoint(t, u, "a:1").InFlight(); n != 1 {
		t.Errorf("a has %d in flight after the reload, want the 1 of the old generation", n)
	}
	if weight := endpoint(t, u, "a:1").Weight(); weight != 2 {
		t.Errorf("a has the weight %d, want the new one, 2", weight)
	}
	w.at("a:1").hold = false
	end()
	if n := endpoint(t, u, "a:1").InFlight(); n != 0 {
		t.Errorf("a has %d in flight after the old exchange has ended", n)
	}
	if got := w.spread(u, 30); got["c:1"] != 0 {
		t.Errorf("c was slow before the reload, and got %d requests after it: %v", got["c:1"], got)
	}
	for _, a := range []string{"a:1", "b:1", "c:1"} {
		if s := w.at(a); s.opened != 1 || s.closed != 0 {
			t.Errorf("%s: %d pools were opened and %d closed, want the first one still", a, s.opened, s.closed)
		}
	}
	u.Close()
	for i := range 4 {
		if s := w.at(address(i)); s.opened != 1 || s.closed != 1 {
			t.Errorf("%s: %d pools were opened and %d closed at the end, want 1 and 1", address(i), s.opened, s.closed)
		}
	}
}

func TestAnEndpointThatIsGoneClosesWithTheLastGenerationThatHasIt(t *testing.T) {
	w := newWorld(t)
	first := w.open(config(ones(2)))
	second := w.open(config(ones(1)))
	if to, err := w.try(first, pinTo(t, first, "b:1")); to != "b:1" || err != nil {
		t.Errorf("an exchange of the old generation went to %s with the error %v", to, err)
	}
	if w.at("b:1").closed != 0 {
		t.Error("the pool of b was closed while the old generation is in use")
	}
	first.Close()
	first.Close()
	if n := w.at("b:1").closed; n != 1 {
		t.Errorf("the pool of b was closed %d times, want once", n)
	}
	if n := w.at("a:1").closed; n != 0 {
		t.Errorf("the pool of a, which the new generation has, was closed %d times", n)
	}
	second.Close()
}

func TestChangedTransportSettingsMakeNewConnections(t *testing.T) {
	w := newWorld(t)
	old := w.open(config(ones(1)))
	u := w.open(config(ones(1), func(c *upstream.Config) { c.Timeout.Connect = core.Duration(time.Minute) }))
	defer u.Close()
	old.Close()
	if s := w.at("a:1"); s.opened != 2 || s.closed != 1 {
		t.Errorf("%d pools were opened and %d closed, want 2 and 1", s.opened, s.closed)
	}
}

func TestAGenerationThatIsGivenUpChangesNothing(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(2), ejecting()))
	defer u.Close()
	next := w.open(config(ones(3), ejecting(forTime(time.Hour))))
	next.Close()
	w.current = u
	w.fail(u, "a:1", 5)
	w.wantState(u, "a:1", "ejected")
	if got := w.spread(u, 10); got["b:1"] != 10 {
		t.Errorf("got %v, want all at b", got)
	}
	if s := w.at("a:1"); s.opened != 1 || s.closed != 0 {
		t.Errorf("a: %d pools were opened and %d closed, want 1 and 0", s.opened, s.closed)
	}
}

func TestOlderGenerationsSeeAnEjectionToo(t *testing.T) {
	w := newWorld(t)
	old := w.open(config(ones(2), ejecting()))
	u := w.open(config(ones(3), ejecting()))
	w.fail(u, "a:1", 5)
	if got := w.spread(old, 10); got["b:1"] != 10 {
		t.Errorf("the old generation sent %v, want all to b", got)
	}
	old.Close()
	u.Close()
}

func TestEjectionEndsWhenItIsConfiguredAway(t *testing.T) {
	w := newWorld(t)
	old := w.open(config(ones(2), ejecting()))
	w.fail(old, "a:1", 5)
	u := w.open(config(ones(2)))
	defer u.Close()
	old.Close()
	w.wantState(u, "a:1", "up")
	if got := w.spread(u, 10); got["a:1"] != 5 {
		t.Errorf("got %v, want both alike", got)
	}
}

func TestLimitsHoldOverAReload(t *testing.T) {
	w := newWorld(t)
	option := limits(upstream.Limits{Requests: 1})
	old := w.open(config(ones(1), option))
	w.at("a:1").hold = true
	_, end := w.hold(old)
	w.at("a:1").hold = false
	u := w.open(config(ones(1), option))
	_, err := w.try(u)
	hasCode(t, err, core.CodeOverflow)
	end()
	if _, err := w.try(u); err != nil {
		t.Errorf("after the old exchange has ended: %v", err)
	}
	old.Close()
	u.Close()
}

func TestOnlyEndpointsThatAReloadAddsStartSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(c *upstream.Config) { c.SlowStart = core.Duration(10 * time.Second) }
		w := newWorld(t)
		old := w.open(config(ones(2), slow))
		w.wantState(old, "a:1", "up")
		u := w.open(config(ones(3), slow))
		defer u.Close()
		old.Close()
		w.wantState(u, "a:1", "up")
		w.wantState(u, "c:1", "slow_start")
		if got := w.spread(u, 210); got["c:1"] != 10 {
			t.Errorf("c has a tenth of its weight: got %v, want 10 of 210", got)
		}
		time.Sleep(10 * time.Second)
		w.wantState(u, "c:1", "up")
		if got := w.spread(u, 210); got["c:1"] != 70 {
			t.Errorf("c has its full weight: got %v, want 70 of 210", got)
		}
	})
}
