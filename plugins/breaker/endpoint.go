package breaker

import (
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// handleByEndpoint breaks each endpoint for itself. Nothing is looked up before the call while all
// of them are closed.
func (f *Filter) handleByEndpoint(x *core.Exchange, next core.Handler) error {
	start := core.Now()
	if f.keys.tripped.Load() == 0 {
		err := next.Handle(x)
		f.settleEndpoint(x, err, start)
		return err
	}
	tried := len(x.Tried)
	probe, round, err := f.steer(x, start)
	switch {
	case err != nil:
	case probe != nil:
		err = f.probeEndpoint(x, next, probe, round, start)
	default:
		err = next.Handle(x)
		f.settleEndpoint(x, err, start)
	}
	x.Tried = untry(x.Tried, tried)
	return err
}

// steer keeps the balancer away from the endpoints that are open, by x.Tried, and picks one itself
// that is due for a probe. The error is breaker_open when none is left.
func (f *Filter) steer(x *core.Exchange, now core.Instant) (probe *circuit, round uint64, err error) {
	if x.Endpoint != nil {
		return f.admitEndpoint(x, now)
	}
	all := x.Upstream.Endpoints()
	avoided, soonest := 0, time.Duration(0)
	for _, e := range all {
		c := f.keys.find(e.Address())
		if c == nil || isClosed(c.round.Load()) {
			continue
		}
		if probe == nil && e.Available() && !slices.Contains(x.Tried, e) {
			got, wait, ok := c.admitProbe(&f.rules, now)
			if ok && isClosed(got) {
				continue
			}
			if ok {
				probe, round, x.Endpoint = c, got, e
				continue
			}
			if soonest == 0 || wait < soonest {
				soonest = wait
			}
		}
		x.Tried = append(x.Tried, e)
		avoided++
	}
	if probe == nil && avoided == len(all) && avoided > 0 {
		return nil, 0, f.refuse(x, soonest)
	}
	return probe, round, nil
}

// admitEndpoint asks for an endpoint that a filter has set.
func (f *Filter) admitEndpoint(x *core.Exchange, now core.Instant) (*circuit, uint64, error) {
	c := f.keys.find(x.Endpoint.Address())
	if c == nil || isClosed(c.round.Load()) {
		return nil, 0, nil
	}
	round, wait, ok := c.admitProbe(&f.rules, now)
	switch {
	case !ok:
		return nil, 0, f.refuse(x, wait)
	case isClosed(round):
		return nil, 0, nil
	}
	return c, round, nil
}

// probeEndpoint calls next with x.Endpoint set to the one that is due. A retry below may have ended
// at another one: then the probe came to no result.
func (f *Filter) probeEndpoint(x *core.Exchange, next core.Handler, c *circuit, round uint64, start core.Instant) error {
	due := x.Endpoint
	err := f.probe(x, next, c, round)
	if x.Endpoint == due {
		f.settle(x, err, c, round, start)
		return err
	}
	c.release(round)
	f.settleEndpoint(x, err, start)
	return err
}

// settleEndpoint counts the result for the endpoint that the balancer has picked.
func (f *Filter) settleEndpoint(x *core.Exchange, err error, start core.Instant) {
	if x.Endpoint == nil {
		return
	}
	var buf [64]byte
	c := f.keys.get(append(buf[:0], x.Endpoint.Address()...))
	if round, ok := c.roundOf(start); ok {
		f.settle(x, err, c, round, start)
	}
}

// untry takes back what steer has added, so that a retry above asks again.
func untry(tried []core.Endpoint, n int) []core.Endpoint {
	if len(tried) <= n {
		return tried
	}
	clear(tried[n:])
	return tried[:n]
}
