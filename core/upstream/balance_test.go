package upstream_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

func TestRoundRobinFollowsNginxSmoothOrder(t *testing.T) {
	for _, c := range []struct {
		weights []int
		want    string
	}{
		{[]int{1}, "aaaa"},
		{[]int{1, 1, 1}, "abcabc"},
		{[]int{2, 2}, "abab"},
		{[]int{5, 1, 1}, "aabacaaaabacaa"},
		{[]int{3, 2, 1}, "abacba"},
		{[]int{4, 0, 2}, "acaaca"},
	} {
		w := newWorld(t)
		u := w.open(config(c.weights))
		got := ""
		for range len(c.want) {
			got += w.send(u)[:1]
		}
		if got != c.want {
			t.Errorf("weights %v: got %s, want %s", c.weights, got, c.want)
		}
		u.Close()
	}
}

func TestRoundRobinKeepsToUnevenWeights(t *testing.T) {
	weights := []int{997, 991, 10, 1, 0}
	w := newWorld(t)
	u := w.open(config(weights))
	defer u.Close()
	got := w.spread(u, 1999)
	for i, want := range weights {
		if n := got[address(i)]; n != want {
			t.Errorf("endpoint %s of weight %d got %d of 1999 requests", address(i), want, n)
		}
	}
}

func TestEveryPolicySharesByWeight(t *testing.T) {
	for _, c := range []struct {
		policy  string
		weights []int
		within  float64 // of the share that is due
	}{
		{"round_robin", ones(7), 0.01},
		{"round_robin", []int{3, 2, 1}, 0.01},
		{"least", ones(7), 0.01},
		{"least", []int{3, 2, 1}, 0.01},
		{"random", ones(7), 0.1},
		{"random", []int{3, 2, 1}, 0.1},
		{"ewma", ones(7), 0.1},
		{"ring", ones(7), 0.25},
		{"ring", []int{3, 2, 1}, 0.25},
		{"maglev", ones(7), 0.1},
		{"maglev", []int{3, 2, 1}, 0.1},
	} {
		w := newWorld(t)
		option := balance(c.policy)
		if c.policy == "ring" || c.policy == "maglev" {
			option = balanceHash(t, c.policy)
		}
		u := w.open(config(c.weights, option))
		const n = 20_000
		got, sum := map[string]int{}, 0
		for i := range n {
			got[w.send(u, key(fmt.Sprint("key", i)))]++
		}
		for _, weight := range c.weights {
			sum += weight
		}
		for i, weight := range c.weights {
			due := float64(n*weight) / float64(sum)
			if n := float64(got[address(i)]); n < due*(1-c.within) || n > due*(1+c.within) {
				t.Errorf("%s with weights %v: endpoint %s got %.0f requests, due are %.0f within %.0f%%",
					c.policy, c.weights, address(i), n, due, c.within*100)
			}
		}
		u.Close()
	}
}

func TestTheLeastBusyEndpointIsPicked(t *testing.T) {
	w := newWorld(t)
	u := w.open(config([]int{1, 1, 2}, balance("least")))
	defer u.Close()
	for _, a := range []string{"a:1", "b:1", "c:1"} {
		w.at(a).hold = true
	}
	got := map[string]int{}
	var ends []func()
	for range 40 {
		to, end := w.hold(u)
		got[to]++
		ends = append(ends, end)
	}
	if want := (map[string]int{"a:1": 10, "b:1": 10, "c:1": 20}); !maps.Equal(got, want) {
		t.Errorf("40 requests that stay: got %v, want %v", got, want)
	}
	for _, end := range ends {
		end()
	}
	for _, e := range u.Endpoints() {
		if e.InFlight() != 0 {
			t.Errorf("%s has %d in flight when all have ended", e.Address(), e.InFlight())
		}
	}
}

func TestTwoChoicesKeepAwayFromABusyEndpoint(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(4), balance("random")))
	defer u.Close()
	w.at("a:1").hold = true
	pin := func(x *core.Exchange) { x.Endpoint = endpoint(t, u, "a:1") }
	_, end := w.hold(u, pin)
	defer end()
	if got := w.spread(u, 1000); got["a:1"] != 0 {
		t.Errorf("the busy endpoint was preferred to idle ones: %v", got)
	}
}

func TestEWMAPrefersTheFastAndForgetsTheSlow(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(2), balance("ewma"), func(c *upstream.Config) {
		c.Balance.Decay = core.Duration(10 * time.Millisecond)
	}))
	defer u.Close()
	w.at("a:1").took, w.at("b:1").took = 50*time.Millisecond, 5*time.Millisecond
	w.spread(u, 2) // each is asked once: nothing is known of the other
	if got := w.spread(u, 20); got["a:1"] > 1 {
		t.Errorf("a is ten times slower: got %v", got)
	}
	deadline := time.Now().Add(5 * time.Second)
	for w.send(u) != "a:1" {
		if time.Now().After(deadline) {
			t.Fatal("the slow endpoint was never tried again")
		}
	}
}

func TestEWMADoesNotTakeFailuresForSpeed(t *testing.T) {
	for _, warm := range []int{0, 20} {
		w := newWorld(t)
		u := w.open(config(ones(2), balance("ewma")))
		w.at("a:1").took, w.at("b:1").took = 20*time.Millisecond, 20*time.Millisecond
		w.spread(u, warm)
		w.at("a:1").status, w.at("a:1").took = 503, time.Microsecond
		if got := w.spread(u, 200); got["a:1"] > 2 {
			t.Errorf("after %d good answers a fails in a microsecond, b answers in 20ms: got %v", warm, got)
		}
		u.Close()
	}
}

func TestEWMALearnsFromATryThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(2), balance("ewma")))
		defer u.Close()
		w.at("a:1").took, w.at("b:1").took = 10*time.Millisecond, 20*time.Millisecond
		w.spread(u, 20)
		w.at("a:1").seen = func(*core.Exchange) { time.Sleep(time.Second) }
		w.at("a:1").err = core.NewError(core.CodeCancelled, nil)
		w.send(u, pinTo(t, u, "a:1"))
		if got := w.spread(u, 20); got["a:1"] != 0 {
			t.Errorf("a had not answered after a second, b answers in 20ms: got %v", got)
		}
	})
}

func TestEWMASendsOneRequestToAnEndpointItKnowsNothingOf(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(2), balance("ewma")))
	defer u.Close()
	w.at("a:1").hold = true
	w.at("b:1").took = 20 * time.Millisecond
	pin := func(x *core.Exchange) { x.Endpoint = endpoint(t, u, "a:1") }
	_, end := w.hold(u, pin)
	defer end()
	if got := w.spread(u, 100); got["b:1"] != 100 {
		t.Errorf("a has not answered its first request yet: got %v", got)
	}
}

func TestHashMovesOnlyTheKeysOfAnEndpointThatLeaves(t *testing.T) {
	const n, keys = 10, 20_000
	for _, c := range []struct {
		table string
		most  float64 // share of keys that may move
	}{
		{"ring", 1.0/n + 0.03},
		{"maglev", 1.0/n + 0.05},
	} {
		w := newWorld(t)
		before := w.open(config(ones(n), balanceHash(t, c.table)))
		homes := homesOf(w, before, keys)
		after := w.open(config(ones(n), balanceHash(t, c.table), func(cfg *upstream.Config) {
			cfg.Endpoints = slices.Delete(cfg.Endpoints, 3, 4)
		}))
		before.Close()
		moved := 0
		for i, home := range homesOf(w, after, keys) {
			if home == address(3) {
				t.Fatalf("%s: key%d went to the endpoint that has left", c.table, i)
			}
			if home != homes[i] {
				moved++
			}
		}
		if share := float64(moved) / keys; share > c.most || moved == 0 {
			t.Errorf("%s: %.1f%% of the keys moved, at most %.1f%% should", c.table, share*100, c.most*100)
		}
		after.Close()
	}
}

func TestHashSpreadsTheKeysOfAnEndpointThatIsOut(t *testing.T) {
	for _, table := range []string{"ring", "maglev"} {
		w := newWorld(t)
		u := w.open(config(ones(5), balanceHash(t, table), ejecting()))
		const keys = 5000
		homes := homesOf(w, u, keys)
		w.at("b:1").err = core.NewError(core.CodeConnectRefused, nil)
		for i := 0; w.state(u, "b:1") != "ejected"; i++ {
			w.send(u, key(fmt.Sprint("key", i)))
		}
		others := map[string]int{}
		for i, home := range homesOf(w, u, keys) {
			switch {
			case homes[i] != "b:1" && home != homes[i]:
				t.Fatalf("%s: key%d of %s moved to %s, though only b is out", table, i, homes[i], home)
			case homes[i] == "b:1":
				others[home]++
			}
		}
		if len(others) != 4 || others["b:1"] != 0 {
			t.Errorf("%s: the keys of b went to %v, want all four others", table, others)
		}
		u.Close()
	}
}

func homesOf(w *world, u *upstream.Upstream, keys int) []string {
	out := make([]string, keys)
	for i := range out {
		out[i] = w.send(u, key(fmt.Sprint("key", i)))
	}
	return out
}

func TestHashBalancesRequestsWithoutAKey(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(4), balanceHash(t, "ring")))
	defer u.Close()
	for a, n := range w.spread(u, 4000) {
		if n < 800 || n > 1200 {
			t.Errorf("%s got %d of 4000 requests without a key, due are 1000", a, n)
		}
	}
}

func TestPoliciesAvoidWhatWasTriedWhileThereIsAnother(t *testing.T) {
	for _, c := range policies(t) {
		w := newWorld(t)
		u := w.open(config([]int{1000, 1, 0}, c.option))
		a, b := endpoint(t, u, "a:1"), endpoint(t, u, "b:1")
		if got := w.spread(u, 50, key("k"), not(a)); got["b:1"] != 50 {
			t.Errorf("%s with a tried: got %v, want all at b", c.name, got)
		}
		if got := w.spread(u, 50, key("k"), not(a, b)); got["a:1"]+got["b:1"] != 50 {
			t.Errorf("%s with a and b tried: got %v, want all at those again", c.name, got)
		}
		u.Close()
	}
}

func TestADrainedUpstreamHasNoEndpoint(t *testing.T) {
	for _, c := range policies(t) {
		w := newWorld(t)
		u := w.open(config([]int{0, 0}, c.option))
		_, err := w.try(u, key("k"))
		if e, ok := core.AsError(err); !ok || e.Code != core.CodeNoEndpoint || e.Upstream != "shop" {
			t.Errorf("%s: got the error %v, want no_endpoint of shop", c.name, err)
		}
		w.wantState(u, "a:1", "drained")
		u.Close()
	}
}

type policy struct {
	name   string
	option func(*upstream.Config)
}

func policies(t testing.TB) []policy {
	out := []policy{{"ring", balanceHash(t, "ring")}, {"maglev", balanceHash(t, "maglev")}}
	for _, name := range strings.Fields("round_robin least random ewma") {
		out = append(out, policy{name, balance(name)})
	}
	return out
}
