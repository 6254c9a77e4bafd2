package retry

import (
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// hedger sends another try while one is out.
type hedger struct {
	after   HedgeAfter
	max     int
	budget  *budget
	latency *latency
}

func newHedger(c *HedgeConfig, env *core.Env) *hedger {
	share := &BudgetConfig{Percent: c.Percent, TTL: core.Duration(10 * time.Second), MinPerSecond: c.MinPerSecond}
	return &hedger{
		after:   c.After,
		max:     c.Max,
		budget:  env.State("hedge", func() any { return newBudget(share) }).(*budget),
		latency: env.State("latency", func() any { return newLatency() }).(*latency),
	}
}

func (h *hedger) handle(f *Filter, x *core.Exchange, next core.Handler) error {
	start := core.Now()
	h.budget.deposit(start)
	err := h.race(f, x, next, start)
	if h.after.quantile > 0 && f.good(x, err) {
		h.latency.record(core.Now().Sub(start))
	}
	return err
}

func (h *hedger) race(f *Filter, x *core.Exchange, next core.Handler, start core.Instant) error {
	after := h.after.fixed
	if h.after.quantile > 0 {
		after, _ = h.latency.quantile(h.after.quantile, start)
	}
	if after == 0 || !f.methods.has(x.Request.Method) {
		return next.Handle(x)
	}
	first := x.Fork()
	if first == nil {
		return next.Handle(x)
	}
	r := &race{x: x, next: next, results: make(chan result, 1+h.max)}
	if !x.OnCancel(r) {
		first.Abandon()
		return core.NewError(core.CodeCancelled, nil)
	}
	r.launch(first)
	return r.run(f, h, after)
}

// mayHedge takes a hedge from its own share and from the budget of the retries.
func (h *hedger) mayHedge(f *Filter, x *core.Exchange) bool {
	if x.ClientGone() || x.Cancelled() {
		return false
	}
	if !h.budget.withdraw(core.Now()) {
		f.stats.Exhausted.Add(1)
		return false
	}
	return f.withdraw()
}

// race runs forks of one exchange at the same time. The exchange itself rests on its goroutine
// until one of them has won.
type race struct {
	x       *core.Exchange
	next    core.Handler
	results chan result // holds one of each fork, so that none ever blocks
	pending int         // launched and not yet received

	mu     sync.Mutex // guards all below
	forks  []*core.Exchange
	closed bool
}

type result struct {
	fork *core.Exchange
	err  error
}

// run waits for the first good answer. A bad one is passed over while another try is out: it may
// yet be good.
func (r *race) run(f *Filter, h *hedger, after time.Duration) error {
	timer := time.NewTimer(after)
	defer timer.Stop()
	for hedges := 0; ; {
		select {
		case got := <-r.results:
			r.pending--
			if good := f.good(got.fork, got.err); good || r.pending == 0 {
				if good && got.fork != r.forks[0] {
					f.stats.HedgesWon.Add(1)
				}
				r.finish(got.fork)
				return got.err
			}
			r.pass(got.fork)
		case <-timer.C:
			if hedges == h.max || !h.mayHedge(f, r.x) {
				continue
			}
			hedges++
			f.stats.Hedges.Add(1)
			r.launch(r.another())
			timer.Reset(after)
		}
	}
}

// another forks the exchange for a try at an endpoint that no other one is out at.
func (r *race) another() *core.Exchange {
	fork := r.x.Fork()
	fork.Endpoint = nil
	for _, other := range r.forks {
		if e := other.Waiting(); e != nil {
			fork.Tried = append(fork.Tried, e)
		}
	}
	return fork
}

func (r *race) launch(fork *core.Exchange) {
	r.mu.Lock()
	r.forks = append(r.forks, fork)
	if r.closed {
		fork.Cancel()
	}
	r.mu.Unlock()
	r.pending++
	r.x.Go(func() { r.results <- result{fork, fork.Try(r.next)} })
}

// pass gives up a fork that answered badly while others are out.
func (r *race) pass(fork *core.Exchange) {
	if fork.Endpoint != nil {
		r.x.Tried = append(r.x.Tried, fork.Endpoint)
	}
	fork.Abandon()
}

// finish adopts the winner and has those that are still out cancelled.
func (r *race) finish(winner *core.Exchange) {
	r.x.Adopt(winner)
	if r.pending == 0 {
		return
	}
	for _, fork := range r.forks {
		if fork != winner {
			fork.Cancel()
		}
	}
	r.x.Go(func() {
		for range r.pending {
			lost := <-r.results
			lost.fork.Abandon()
		}
	})
}

// Close implements io.Closer for core.Exchange.OnCancel: it cancels every fork.
func (r *race) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, fork := range r.forks {
		fork.Cancel()
	}
	return nil
}
