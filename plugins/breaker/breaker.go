package breaker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

func init() {
	core.Register("breaker", "Answers 503 at once while too much of what goes through it fails or is slow.",
		core.ScopeAny, New)
}

// Filter is a breaker.
type Filter struct {
	rules    rules
	on       *core.OutcomeSet
	by       by
	template *core.Template
	whole    *circuit // the one circuit of byScope
	keys     *keys    // the circuits of the others
	stats    *Stats
}

// Stats counts what the filter did. It lives as long as the filter's configuration stays the same.
type Stats struct {
	Opened  atomic.Uint64 // times a breaker opened, after a failed probe too
	Closed  atomic.Uint64 // times one closed again
	Refused atomic.Uint64 // exchanges answered with breaker_open
	Probes  atomic.Uint64 // exchanges let through half open
}

// New makes the filter.
func New(c *Config, env *core.Env) (core.Filter, error) {
	by, template, err := parseBy(c.By, env.Scope)
	if err != nil {
		return nil, err
	}
	f := &Filter{
		rules: rules{
			failures: float64(c.Failures), of: int32(c.Of), consecutive: c.Consecutive,
			slot: int64(c.Window) / slots,
			open: c.Open.Min.Std(), openMax: c.Open.Max.Std(),
			probes: c.HalfOpen.Probes, successes: c.HalfOpen.Successes,
		},
		on: core.NewOutcomeSet(c.On), by: by, template: template,
		stats: env.State("stats", func() any { return new(Stats) }).(*Stats),
	}
	if c.Slow != nil {
		f.rules.slowOver, f.rules.slowShare = c.Slow.Over.Std(), float64(c.Slow.Share)
	}
	if by == byScope {
		f.whole = env.State("circuit", func() any { return newCircuit("") }).(*circuit)
		return f, nil
	}
	f.keys = env.State("keys", func() any { return newKeys(c.MaxKeys) }).(*keys)
	return f, nil
}

// Stats returns the filter's counters.
func (f *Filter) Stats() *Stats { return f.stats }

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	if f.by == byEndpoint {
		return f.handleByEndpoint(x, next)
	}
	c := f.circuitOf(x)
	if c == nil {
		return next.Handle(x)
	}
	round, wait, ok := c.admit(&f.rules)
	if !ok {
		return f.refuse(x, wait)
	}
	start := f.start()
	var err error
	if isClosed(round) {
		err = next.Handle(x)
	} else {
		err = f.probe(x, next, c, round)
	}
	f.settle(x, err, c, round, start)
	return err
}

// start reads the clock if how long an exchange takes matters.
func (f *Filter) start() core.Instant {
	if f.rules.slowOver == 0 {
		return 0
	}
	return core.Now()
}

var keyBuffers = sync.Pool{New: func() any { return new([]byte) }}

// circuitOf returns the circuit of the exchange's key, nil when it has none.
func (f *Filter) circuitOf(x *core.Exchange) *circuit {
	if f.by == byScope {
		return f.whole
	}
	buf := keyBuffers.Get().(*[]byte)
	defer keyBuffers.Put(buf)
	key := (*buf)[:0]
	switch {
	case f.by == byTemplate:
		key = f.template.Append(key, x)
	case x.Route != nil:
		key = append(key, x.Route.Name...)
	}
	*buf = key
	if len(key) == 0 {
		return nil
	}
	return f.keys.get(key)
}

// refuse is the answer while the breaker is open.
func (f *Filter) refuse(x *core.Exchange, wait time.Duration) error {
	f.stats.Refused.Add(1)
	e := core.NewError(core.CodeBreakerOpen, nil)
	e.RetryAfter = max(wait, time.Second)
	if x.Upstream != nil {
		e.Upstream = x.Upstream.Name()
	}
	return e
}

// probe calls next for a circuit that is half open. A panic below must not keep the probe's place.
func (f *Filter) probe(x *core.Exchange, next core.Handler, c *circuit, round uint64) error {
	f.stats.Probes.Add(1)
	returned := false
	defer func() {
		if !returned {
			c.release(round)
		}
	}()
	err := next.Handle(x)
	returned = true
	return err
}

// settle counts what next returned.
func (f *Filter) settle(x *core.Exchange, err error, c *circuit, round uint64, start core.Instant) {
	now, failure := core.Now(), x.Failure(err)
	got := counts{all: 1}
	if f.on.Match(x, err) {
		got.failed = 1
	}
	// What the client or the proxy itself has ended says nothing of what is below.
	ofUpstream := failure == nil || failure.Side == core.SideUpstream
	if f.rules.slowOver > 0 && ofUpstream && now.Sub(start) >= f.rules.slowOver {
		got.slow = 1
	}
	if failure != nil && got.failed+got.slow == 0 {
		if !isClosed(round) {
			c.release(round)
		}
		return
	}
	complete := !isClosed(round) || got.failed > 0 || !f.watch(x, c, round)
	f.note(c.head(&f.rules, round, got, complete, now))
}

func (f *Filter) note(what change) {
	switch what {
	case opened:
		f.stats.Opened.Add(1)
		f.trip(1)
	case reopened:
		f.stats.Opened.Add(1)
	case closed:
		f.stats.Closed.Add(1)
		f.trip(-1)
	}
}

func (f *Filter) trip(n int64) {
	if f.keys != nil {
		f.keys.tripped.Add(n)
	}
}

// watcher waits for the end of a response body.
type watcher struct {
	f       *Filter
	c       *circuit
	round   uint64
	attempt core.Instant // start of the attempt whose body it is
}

var watchers = sync.Pool{New: func() any { return new(watcher) }}

// watch has the end of the response's body counted. It returns false when there is none to come.
func (f *Filter) watch(x *core.Exchange, c *circuit, round uint64) bool {
	if f.rules.failures == 0 && f.rules.consecutive == 0 {
		return false
	}
	a := x.LastAttempt()
	if _, _, inMemory := x.Response.Body.Buffered(); inMemory || a == nil {
		return false
	}
	w := watchers.Get().(*watcher)
	*w = watcher{f, c, round, a.Start}
	x.OnDone(w)
	return true
}

// Done implements core.Done.
func (w *watcher) Done(x *core.Exchange) {
	failed := false
	for i := range x.Attempts {
		// The start tells attempts apart: hedging may have put others before this one.
		if a := &x.Attempts[i]; a.Start == w.attempt {
			failed = a.Code != "" && w.f.on.MatchCode(a.Code)
		}
	}
	switch {
	case failed:
		w.f.note(w.c.brokeOff(&w.f.rules, w.round, core.Now()))
	case w.f.rules.consecutive > 0:
		w.c.endRow(w.round)
	}
	*w = watcher{}
	watchers.Put(w)
}
