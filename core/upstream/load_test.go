package upstream_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/core"
	"github.com/sluiceproxy/sluice/core/metrics"
	"github.com/sluiceproxy/sluice/core/upstream"
)

// TestNothingIsLostUnderLoadWithFailuresAndReloads has requests run while endpoints fail, come
// back, are added and taken away, under limits: in the end no place is taken and no pool is open.
func TestNothingIsLostUnderLoadWithFailuresAndReloads(t *testing.T) {
	for _, p := range policies(t) {
		w := newWorld(t)
		for i := range 5 {
			w.at(address(i)).took = time.Millisecond
		}
		w.at("b:1").err = refuse()
		option := func(c *upstream.Config) {
			allFeatures(c)
			p.option(c)
			c.Limits = upstream.Limits{Requests: 4, EndpointRequests: 2, Pending: 100}
			c.Eject.For = exactly(time.Millisecond)
			c.SlowStart = core.Duration(5 * time.Millisecond)
		}
		generations := []*upstream.Upstream{w.open(config(ones(3), option))}
		for i := range 10 {
			u := generations[len(generations)-1]
			var senders sync.WaitGroup
			for range 8 {
				senders.Go(func() {
					for range 20 {
						_, err := w.try(u, key("k"))
						if e, ok := core.AsError(err); err != nil && (!ok || e.Code != core.CodeConnectRefused) {
							t.Errorf("%s: got the error %v, want none but connect_refused", p.name, err)
						}
					}
				})
			}
			generations = append(generations, w.open(config(ones(2+i%4), option)))
			senders.Wait()
		}
		for _, u := range generations {
			for _, e := range u.Endpoints() {
				if n := e.InFlight(); n != 0 {
					t.Errorf("%s: %s has %d in flight when all have ended", p.name, e.Address(), n)
				}
			}
			u.Close()
		}
		for i := range 5 {
			if s := w.at(address(i)); s.opened != s.closed {
				t.Errorf("%s: %s has %d pools opened, %d closed", p.name, address(i), s.opened, s.closed)
			}
		}
	}
}

func TestTriesAreCountedByEndpoint(t *testing.T) {
	registry := metrics.New()
	w := newWorld(t)
	u := w.open(config(ones(2), func(c *upstream.Config) { c.Stats = registry.Upstream("shop") }))
	defer u.Close()
	w.at("a:1").status = 503
	w.at("b:1").err = refuse()
	w.spread(u, 4)
	var out bytes.Buffer
	registry.WritePrometheus(&out)
	for _, want := range []string{`endpoint="a:1",outcome="5xx"} 2`, `endpoint="b:1",outcome="connect_refused"} 2`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("metrics have no sample with %s:\n%s", want, out.String())
		}
	}
}
