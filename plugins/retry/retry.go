package retry

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

func init() {
	core.Register("retry", "Tries again what failed, within a budget, and hedges what is slow.",
		core.ScopeUpstream|core.ScopeRoute, New)
}

// Filter tries an exchange again.
type Filter struct {
	on         *core.OutcomeSet
	methods    methods
	max        int
	backoff    backoff
	retryAfter time.Duration
	buffer     int64
	try        time.Duration
	budget     *budget // nil: none
	hedge      *hedger // nil: none
	stats      *Stats
}

// Stats counts what the filter did. It lives as long as the filter's configuration stays the same.
type Stats struct {
	Retries   atomic.Uint64 // tries after the first, hedges not counted
	Recovered atomic.Uint64 // exchanges that a retry saved
	Exhausted atomic.Uint64 // retries and hedges that the budget forbade
	Hedges    atomic.Uint64 // tries sent while another was out
	HedgesWon atomic.Uint64 // hedges that answered first
}

// New makes the filter.
func New(c *Config, env *core.Env) (core.Filter, error) {
	f := &Filter{
		on:         core.NewOutcomeSet(c.On),
		methods:    newMethods(c.Methods),
		max:        c.Max,
		backoff:    backoff{c.Backoff.Min.Std(), c.Backoff.Max.Std()},
		retryAfter: c.RetryAfter.Std(),
		buffer:     int64(c.Buffer),
		try:        c.Try.Std(),
		stats:      env.State("stats", func() any { return new(Stats) }).(*Stats),
	}
	if !c.Budget.none {
		f.budget = env.State("budget", func() any { return newBudget(&c.Budget) }).(*budget)
	}
	if c.Hedge != nil {
		f.hedge = newHedger(c.Hedge, env)
	}
	return f, nil
}

// Stats returns the filter's counters.
func (f *Filter) Stats() *Stats { return f.stats }

// Handle implements core.Filter.
func (f *Filter) Handle(x *core.Exchange, next core.Handler) error {
	f.enter(x)
	asked := targetOf(x)
	pause := time.Duration(0)
	for retries := 0; ; retries++ {
		err := f.send(x, next)
		if !f.on.Match(x, err) {
			if retries > 0 && x.Failure(err) == nil {
				f.stats.Recovered.Add(1)
			}
			return err
		}
		if retries == f.max || !f.mayRepeat(x, err) {
			return err
		}
		pause = f.backoff.next(pause)
		wait := max(pause, f.askedFor(x))
		if x.Deadline != 0 && core.Now().Add(wait) >= x.Deadline || !f.withdraw() {
			return err
		}
		if err := f.prepare(x, wait); err != nil {
			return err
		}
		asked.restore(x)
		f.stats.Retries.Add(1)
	}
}

func (f *Filter) enter(x *core.Exchange) {
	if f.budget != nil {
		// The time of the first byte is near enough for windows of a tenth of ttl, and saves a
		// reading of the clock.
		f.budget.deposit(x.Start)
	}
	if f.try > 0 {
		x.TryTimeout = f.try
	}
	if f.max > 0 && f.buffer > 0 {
		x.Request.Body.Record(f.buffer)
	}
}

func (f *Filter) send(x *core.Exchange, next core.Handler) error {
	if f.hedge == nil {
		return next.Handle(x)
	}
	return f.hedge.handle(f, x, next)
}

// mayRepeat reports whether the exchange may be sent again as far as the request goes. What next
// has returned is only a head, so no byte of the response has gone to the client.
func (f *Filter) mayRepeat(x *core.Exchange, err error) bool {
	if x.Response.Tunnel != nil || !x.Request.Body.Replayable() {
		return false
	}
	// When nothing was sent no endpoint can have acted on it, whatever the method.
	if e := x.Failure(err); !f.methods.has(x.Request.Method) && (e == nil || e.Sent) {
		return false
	}
	return !x.Cancelled() && !x.ClientGone()
}

// good reports whether what next has returned is an answer that needs no other try.
func (f *Filter) good(x *core.Exchange, err error) bool {
	return x.Failure(err) == nil && !f.on.Match(x, nil)
}

func (f *Filter) withdraw() bool {
	if f.budget == nil || f.budget.withdraw(core.Now()) {
		return true
	}
	f.stats.Exhausted.Add(1)
	return false
}

// prepare makes the exchange ready for another try, after wait.
func (f *Filter) prepare(x *core.Exchange, wait time.Duration) error {
	if x.Endpoint != nil {
		x.Tried = append(x.Tried, x.Endpoint)
	}
	x.Endpoint, x.Err = nil, nil
	x.Response.Reset() // before Rewind: it stops a sender that still reads the body
	if !sleep(x, wait) {
		return core.Errorf(core.CodeCancelled, "while waiting %s to retry", wait)
	}
	if x.ClientGone() {
		return core.NewError(core.CodeClientClosed, nil)
	}
	if !x.Request.Body.Rewind() {
		return core.Errorf(core.CodeUpstreamReset, "the request body outgrew the retry buffer of %s", core.Size(f.buffer))
	}
	return nil
}

// target is where a request goes. A rewrite below the filter must not be applied to its own result
// by the next try.
type target struct {
	method, authority, path, query string
	hasQuery                       bool
}

func targetOf(x *core.Exchange) target {
	r := &x.Request
	return target{r.Method, r.Authority, r.RawPath(), r.Query(), r.HasQuery()}
}

func (t target) restore(x *core.Exchange) {
	r := &x.Request
	r.Method, r.Authority = t.method, t.authority
	if t.hasQuery && t.query == "" {
		r.SetTarget(t.path + "?") // SetQuery would drop the '?'
		return
	}
	r.SetPath(t.path)
	r.SetQuery(t.query)
}

// askedFor returns how long the answer asks to wait (RFC 9110 10.2.3), as far as it is heeded.
func (f *Filter) askedFor(x *core.Exchange) time.Duration {
	if f.retryAfter == 0 {
		return 0
	}
	value := x.Response.Header.Get("Retry-After")
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, f.retryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), f.retryAfter)
}

// methods are those that may be tried again though something was sent.
type methods struct {
	any   bool
	names []string
}

// RFC 9110 9.2.2, without CONNECT, which is not idempotent.
var idempotent = []string{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}

func newMethods(list []string) methods {
	var m methods
	for _, name := range list {
		switch strings.ToLower(name) {
		case "any":
			m.any = true
		case "idempotent":
			m.names = append(m.names, idempotent...)
		default:
			m.names = append(m.names, name)
		}
	}
	return m
}

func (m methods) has(method string) bool { return m.any || slices.Contains(m.names, method) }
