package upstream_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/upstream"
)

func limits(l upstream.Limits) func(*upstream.Config) {
	return func(c *upstream.Config) { c.Limits = l }
}

// hasCode fails the test when err is not of the code.
func hasCode(t *testing.T, err error, want core.Code) {
	t.Helper()
	if e, ok := core.AsError(err); !ok || e.Code != want || e.Upstream != "shop" {
		t.Errorf("got the error %v, want %s of upstream shop", err, want)
	}
}

func TestLimitsRefuseWhatIsAboveThem(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits upstream.Limits
		most   int
	}{
		{"requests", upstream.Limits{Requests: 3}, 3},
		{"connections", upstream.Limits{Connections: 5, Requests: 7}, 5},
		{"requests of an endpoint", upstream.Limits{EndpointRequests: 2}, 4},
		{"connections of an endpoint", upstream.Limits{EndpointConnections: 1}, 2},
	} {
		for _, p := range policies(t) {
			w := newWorld(t)
			u := w.open(config(ones(2), p.option, limits(c.limits)))
			w.at("a:1").hold, w.at("b:1").hold = true, true
			var ends []func()
			for i := range c.most {
				_, end := w.hold(u, key(fmt.Sprint(i)))
				ends = append(ends, end)
			}
			_, err := w.try(u)
			hasCode(t, err, core.CodeOverflow)
			ends[0]()
			if _, end := w.hold(u); end == nil {
				t.Errorf("%s, %s: a place that became free was not given", c.name, p.name)
			} else {
				end()
			}
			for _, end := range ends[1:] {
				end()
			}
			u.Close()
		}
	}
}

func TestAFullEndpointSaysSo(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(2), limits(upstream.Limits{EndpointRequests: 1})))
	defer u.Close()
	w.at("a:1").hold = true
	_, end := w.hold(u, pinTo(t, u, "a:1"))
	w.wantState(u, "a:1", "full")
	if endpoint(t, u, "a:1").Available() {
		t.Error("a full endpoint is available")
	}
	_, err := w.try(u, pinTo(t, u, "a:1"))
	hasCode(t, err, core.CodeOverflow)
	end()
	w.wantState(u, "a:1", "up")
}

func TestPendingRequestsAreServedInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(1), limits(upstream.Limits{Requests: 1, Pending: 6})))
		defer u.Close()
		w.at("a:1").hold = true
		_, end := w.hold(u)
		w.at("a:1").hold = false
		var order []string // one request at a time is under way
		w.at("a:1").seen = func(x *core.Exchange) { order = append(order, x.Request.Header.Get("X-Key")) }
		send := func(name string) {
			if _, err := w.try(u, key(name)); err != nil {
				t.Errorf("request %s: %v", name, err)
			}
		}
		for _, name := range []string{"0", "1", "2", "3", "4", "5"} {
			go send(name)
			synctest.Wait() // it waits in the queue now
		}
		_, err := w.try(u, key("one too many"))
		hasCode(t, err, core.CodeOverflow)
		w.at("a:1").wait = make(chan struct{})
		end()
		synctest.Wait()
		go send("late") // there is one place in the queue now
		synctest.Wait()
		close(w.at("a:1").wait)
		synctest.Wait()
		if got, want := strings.Join(order, " "), "0 1 2 3 4 5 late"; got != want {
			t.Errorf("served in the order %s, want %s", got, want)
		}
	})
}

func TestARequestDoesNotOvertakeThoseThatWait(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			u := w.open(config(ones(1), limits(upstream.Limits{Requests: 1, Pending: 2})))
			defer u.Close()
			w.at("a:1").hold = true
			_, end := w.hold(u)
			w.at("a:1").hold = false
			var order []string
			w.at("a:1").seen = func(x *core.Exchange) { order = append(order, x.Request.Header.Get("X-Key")) }
			go w.send(u, key("first"))
			synctest.Wait()
			end() // first is told, and may not have run yet
			w.send(u, key("second"))
			if got, want := strings.Join(order, " "), "first second"; got != want {
				t.Errorf("served in the order %s, want %s", got, want)
			}
		})
	}
}

func TestTheTimeOfATryBeginsWhenItsWaitHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(1), limits(upstream.Limits{Requests: 1, Pending: 1})))
		defer u.Close()
		w.at("a:1").hold = true
		_, end := w.hold(u)
		w.at("a:1").hold = false
		due := core.Now().Add(3 * time.Second)
		time.AfterFunc(3*time.Second, end)
		w.at("a:1").seen = func(x *core.Exchange) {
			if got := x.LastAttempt().Start; got != due {
				t.Errorf("the try began %s off the end of its wait", got.Sub(due))
			}
		}
		w.send(u)
	})
}

func TestAPendingRequestWaitsNoLongerThanItsTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(x *core.Exchange)
		after  time.Duration
		code   core.Code
	}{
		{"timeout.try", func(*core.Exchange) {}, 2 * time.Second, core.CodeOverflow},
		{"the exchange's own try timeout", func(x *core.Exchange) { x.TryTimeout = time.Second }, time.Second, core.CodeOverflow},
		{"the deadline", func(x *core.Exchange) { x.Deadline = core.Now().Add(time.Second / 2) }, time.Second / 2, core.CodeTotalTimeout},
		{"its being cancelled", func(x *core.Exchange) { time.AfterFunc(time.Second/4, x.Cancel) }, time.Second / 4, core.CodeCancelled},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			u := w.open(config(ones(1), limits(upstream.Limits{Requests: 1, Pending: 5}),
				func(c *upstream.Config) { c.Timeout.Try = core.Duration(2 * time.Second) }))
			defer u.Close()
			w.at("a:1").hold = true
			_, end := w.hold(u)
			start := time.Now()
			_, err := w.try(u, c.change)
			if took := time.Since(start); took != c.after {
				t.Errorf("%s: waited %s, want %s", c.name, took, c.after)
			}
			hasCode(t, err, c.code)
			w.at("a:1").hold = false
			end()
			if _, err := w.try(u); err != nil {
				t.Errorf("%s: the place was not given to the next: %v", c.name, err)
			}
		})
	}
}

func TestThePlaceOfABodyThatPanicsIsGivenBack(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(1), limits(upstream.Limits{Requests: 1})))
	defer u.Close()
	w.at("a:1").seen = func(*core.Exchange) { panic("body of a filter") }
	func() {
		defer func() { _ = recover() }()
		w.send(u)
	}()
	w.at("a:1").seen = nil
	if _, err := w.try(u); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

func TestTheUpstreamSetsTheDeadlineUnlessItIsEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		u := w.open(config(ones(1), func(c *upstream.Config) { c.Timeout.Total = core.Duration(3 * time.Second) }))
		defer u.Close()
		now := core.Now()
		for _, c := range []struct{ before, want core.Instant }{
			{0, now.Add(3 * time.Second)},
			{now.Add(time.Second), now.Add(time.Second)},
			{now.Add(time.Hour), now.Add(3 * time.Second)},
		} {
			var got core.Instant
			w.at("a:1").seen = func(x *core.Exchange) { got = x.Deadline }
			w.send(u, func(x *core.Exchange) { x.Deadline = c.before })
			if got != c.want {
				t.Errorf("with the deadline %v: sent with %v, want %v", c.before, got, c.want)
			}
		}
	})
}

func TestErrorsNameUpstreamAndEndpoint(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(1)))
	defer u.Close()
	w.at("a:1").err = core.Errorf(core.CodeConnectRefused, "connection refused")
	_, err := w.try(u)
	if want := "upstream shop: endpoint a:1: connect_refused: connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestEveryTryIsInTheAttempts(t *testing.T) {
	w := newWorld(t)
	u := w.open(config(ones(2)))
	defer u.Close()
	x := core.NewExchange(nil, nil)
	w.at("a:1").err = refuse()
	if err := u.Handle(x); err == nil {
		t.Fatal("no error from an endpoint that refuses")
	}
	x.Tried, x.Endpoint = append(x.Tried, x.Endpoint), nil
	if err := u.Handle(x); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range x.Attempts {
		got = append(got, fmt.Sprintf("%s %s %d %s", a.Upstream, a.Endpoint, a.Status, a.Code))
		if a.Total < 0 {
			t.Errorf("attempt at %s has no end", a.Endpoint)
		}
	}
	if want := "shop a:1 0 connect_refused, shop b:1 200 "; strings.Join(got, ", ") != want {
		t.Errorf("attempts: got %q, want %q", strings.Join(got, ", "), want)
	}
}

func TestAFilterMaySetTheEndpoint(t *testing.T) {
	w := newWorld(t)
	u := w.open(config([]int{1, 1, 0}, ejecting()))
	defer u.Close()
	other := newWorld(t).open(config(ones(9)))
	defer other.Close()
	w.fail(u, "b:1", 5)
	for _, c := range []struct {
		name string
		set  func(x *core.Exchange)
		want string // "" for an error
	}{
		{"one that is up", pinTo(t, u, "a:1"), "a:1"},
		{"one that is drained", pinTo(t, u, "c:1"), "c:1"},
		{"one of another upstream", pinTo(t, other, "h:1"), ""},
		{"one of another upstream with an address we have", pinTo(t, other, "a:1"), ""},
		{"one that was tried", func(x *core.Exchange) {
			x.Endpoint = endpoint(t, u, "b:1")
			x.Tried = append(x.Tried, x.Endpoint)
		}, "a:1"},
		{"what a try at another upstream has left", func(x *core.Exchange) {
			x.Endpoint = endpoint(t, other, "h:1")
			x.Attempts = append(x.Attempts, core.Attempt{Upstream: "other", Endpoint: "h:1"})
		}, "a:1"},
		{"one that is ejected", pinTo(t, u, "b:1"), "b:1"},
	} {
		got, err := w.try(u, c.set)
		if got != c.want || (err == nil) == (c.want == "") {
			t.Errorf("%s: went to %q with the error %v, want %q", c.name, got, err, c.want)
		}
		if c.want == "" {
			hasCode(t, err, core.CodeNoEndpoint)
		}
	}
}

func TestHostIsRewrittenForTheEndpointOnly(t *testing.T) {
	for _, c := range []struct{ host, want string }{
		{"", "shop.example.com"},
		{"preserve", "shop.example.com"},
		{"endpoint", "a:1"},
		{"backend.internal", "backend.internal"},
		{"$host.internal", "shop.example.com.internal"},
	} {
		w := newWorld(t)
		u := w.open(config(ones(1), func(cfg *upstream.Config) {
			if c.host == "" {
				return
			}
			host, err := core.ParseTemplate(c.host)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Host = host
		}))
		x := core.NewExchange(nil, nil)
		x.Request.Authority = "shop.example.com"
		for range 2 {
			got := ""
			w.at("a:1").seen = func(x *core.Exchange) { got = x.Request.Authority }
			if err := u.Handle(x); err != nil {
				t.Fatal(err)
			}
			if got != c.want || x.Request.Authority != "shop.example.com" {
				t.Errorf("host %q: sent %q, want %q; $host is %q afterwards", c.host, got, c.want, x.Request.Authority)
			}
		}
		u.Close()
	}
}
