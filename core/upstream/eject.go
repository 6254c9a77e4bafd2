package upstream

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// verdict is what a try says of its endpoint.
type verdict uint8

const (
	unknown   verdict = iota // nothing: the client went away, or the proxy gave up
	succeeded                // it answers as it should
	failed                   // it is at fault
)

// ejector is the part of Eject that is worked out when the configuration loads.
type ejector struct {
	*Eject
	most     int           // endpoints that may be out
	rateSlot time.Duration // of SuccessRate's window
	slowSlot time.Duration // of Slow's window
	slowNext atomic.Int64  // when latencies are compared next, an Instant
}

func (u *Upstream) setEject() {
	c := u.cfg.Eject
	if c == nil {
		u.failures = core.NewOutcomeSet(defaultFailures())
		return
	}
	u.failures = core.NewOutcomeSet(c.Errors)
	used := 0
	for i := range u.cfg.Endpoints {
		if u.cfg.Endpoints[i].Weight > 0 {
			used++
		}
	}
	x := &ejector{Eject: c, most: int(float64(c.Max) * float64(used))}
	if x.most == 0 && c.Max > 0 && used > 1 {
		x.most = 1
	}
	if c.SuccessRate != nil {
		x.rateSlot = c.SuccessRate.Window.Std() / windowSlots
	}
	if c.Slow != nil {
		x.slowSlot = c.Slow.Window.Std() / windowSlots
		x.slowNext.Store(int64(core.Now().Add(x.slowSlot)))
	}
	u.eject = x
}

// judge takes down what a try that has ended says of its endpoint. why is nil unless it failed.
func (u *Upstream) judge(x *core.Exchange, e *Endpoint, a *core.Attempt, why *core.Error) {
	end := a.Start.Add(a.Total)
	if a.Total < 0 {
		end = core.Now()
	}
	took := a.Header
	if took < 0 {
		took = end.Sub(a.Start)
	}
	v := u.verdict(x, a, why, end)
	if u.cfg.Balance.Policy == "ewma" {
		e.peer.cost.observe(end, took, v, u.cfg.Balance.Decay.Std(), u.cfg.Balance.Penalty.Std())
	}
	if u.eject != nil {
		u.note(e, a.Start, end, took, v)
	}
}

func (u *Upstream) verdict(x *core.Exchange, a *core.Attempt, why *core.Error, end core.Instant) verdict {
	if why != nil && why.Side == core.SideUpstream {
		switch {
		case why.Code == core.CodeUpstreamProtocol || u.failures.MatchCode(why.Code):
			return failed
		case why.Code == core.CodeTotalTimeout && 2*end.Sub(a.Start) > end.Sub(x.Start):
			return failed // most of the time went by here, not in other tries or in filters
		}
		return unknown
	}
	switch {
	case a.Status == 0:
		return unknown
	case u.failures.MatchStatus(a.Status):
		return failed
	}
	return succeeded
}

// note counts a verdict and ejects the endpoint when it has had enough of them.
func (u *Upstream) note(e *Endpoint, start, end core.Instant, took time.Duration, v verdict) {
	p := e.peer
	if p.out.Load() != 0 {
		u.noteOut(e, start, end, v)
		return
	}
	c := u.eject
	switch v {
	case succeeded:
		if p.row.Load() != 0 {
			p.row.Store(0)
		}
		if c.SuccessRate != nil {
			p.rate.add(end, c.rateSlot, true)
		}
		if c.Slow != nil {
			p.latency.add(end, c.slowSlot, took)
			u.compareLatencies(end)
		}
	case failed:
		u.noteFailure(e, end)
	}
}

func (u *Upstream) noteFailure(e *Endpoint, end core.Instant) {
	p, c := e.peer, u.eject
	if row := p.row.Add(1); c.Consecutive > 0 && row >= int64(c.Consecutive) {
		u.ejectEndpoint(e, end, func() string { return fmt.Sprintf("%d consecutive failures", row) })
		return
	}
	rate := c.SuccessRate
	if rate == nil {
		return
	}
	p.rate.add(end, c.rateSlot, false)
	good, all := p.rate.sum(end, c.rateSlot)
	if all >= rate.MinRequests && float64(good) < float64(rate.Below)*float64(all) {
		u.ejectEndpoint(e, end, func() string {
			return fmt.Sprintf("%d of %d requests succeeded in %s, less than %s", good, all, rate.Window, rate.Below)
		})
	}
}

// noteHead ends an ejection when the probe's response head is there: its body may take hours.
func (u *Upstream) noteHead(x *core.Exchange, e *Endpoint) {
	if u.eject == nil || e.peer.out.Load() == 0 {
		return
	}
	if a := x.LastAttempt(); !u.failures.MatchStatus(a.Status) {
		u.noteOut(e, a.Start, core.Now(), succeeded)
	}
}

// noteOut has a try that began after the ejection decide whether it is over: the probe, one that a
// filter sent there, or one of panic mode.
func (u *Upstream) noteOut(e *Endpoint, start, end core.Instant, v verdict) {
	p := e.peer
	if start < core.Instant(p.outSince.Load()) {
		return
	}
	switch {
	case v == succeeded:
		u.bringBack(e, end)
	case v == failed && end >= core.Instant(p.out.Load()):
		u.ejectEndpoint(e, end, func() string { return "its probe failed" })
	case v == unknown:
		p.probed.Store(false)
	}
}

// ejectEndpoint takes the endpoint out, unless it is or too many others are.
func (u *Upstream) ejectEndpoint(e *Endpoint, now core.Instant, why func() string) {
	l, p := u.lineage, e.peer
	l.mu.Lock()
	defer l.mu.Unlock()
	out := core.Instant(p.out.Load())
	if out != 0 && now < out || u.othersOut(e) >= u.eject.most {
		return
	}
	d := u.nextBackoff(p, now)
	p.backoff = d
	p.outSince.Store(int64(now))
	p.out.Store(int64(now.Add(d)))
	p.probed.Store(false)
	p.row.Store(0)
	p.rate.reset()
	p.latency.reset()
	l.refresh(now)
	u.log.Warn(fmt.Sprintf("%s is ejected for %s: %s", l.say(p), d.Round(time.Millisecond), why()))
}

func (u *Upstream) othersOut(e *Endpoint) int {
	n := 0
	for _, o := range u.endpoints {
		if o != e && o.weight > 0 && o.peer.out.Load() != 0 {
			n++
		}
	}
	return n
}

// nextBackoff is decorrelated jitter: a random time between the lower end and three times the last
// one. It begins anew when the endpoint has been in for longer than the upper end.
func (u *Upstream) nextBackoff(p *peer, now core.Instant) time.Duration {
	lo, hi := u.eject.For.Min.Std(), u.eject.For.Max.Std()
	last := p.backoff
	if last == 0 || p.out.Load() == 0 && now.Sub(p.backAt) > hi {
		last = lo
	}
	top := max(lo, min(hi, 3*last))
	share := float64(u.random()>>11) / (1 << 53)
	return lo + time.Duration(share*float64(top-lo))
}

// bringBack ends the ejection.
func (u *Upstream) bringBack(e *Endpoint, now core.Instant) {
	l, p := u.lineage, e.peer
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.out.Load() == 0 {
		return
	}
	p.out.Store(0)
	p.probed.Store(false)
	p.backAt = now
	p.rampFrom.Store(int64(now))
	l.refresh(now)
	after := now.Sub(core.Instant(p.outSince.Load())).Round(time.Millisecond)
	u.log.Info(fmt.Sprintf("%s is back after %s: it answers again", l.say(p), after))
}

// compareLatencies ejects, once in a slot of the window, the endpoints that are too slow.
func (u *Upstream) compareLatencies(now core.Instant) {
	c := u.eject
	due := c.slowNext.Load()
	if int64(now) < due || !c.slowNext.CompareAndSwap(due, int64(now.Add(c.slowSlot))) {
		return
	}
	type mean struct {
		e    *Endpoint
		took time.Duration
	}
	var means []mean
	for _, e := range u.endpoints {
		took, n := e.peer.latency.mean(now, c.slowSlot)
		if n >= c.Slow.MinRequests { // one that is out has none
			means = append(means, mean{e, took})
		}
	}
	if len(means) < 2 {
		return
	}
	slices.SortFunc(means, func(a, b mean) int { return int(b.took - a.took) })
	median := means[len(means)/2].took // the lower one of two
	for _, m := range means {
		if m.took <= c.Slow.Floor.Std() || float64(m.took) <= c.Slow.Factor*float64(median) {
			return
		}
		u.ejectEndpoint(m.e, now, func() string {
			return fmt.Sprintf("its latency %s is more than %g times the median %s",
				round(m.took), c.Slow.Factor, round(median))
		})
	}
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}
