package breaker

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// rules are when a circuit opens and closes.
type rules struct {
	failures    float64
	of          int32
	consecutive int
	slowOver    time.Duration // 0: not looked at
	slowShare   float64
	slot        int64 // nanoseconds of a part of the window
	open        time.Duration
	openMax     time.Duration
	probes      int
	successes   int
}

// circuit is the state of one key.
//
//	closed --too much failed--> open --after a while, on demand--> half open --successes--> closed
//	                             ^------------------- one failed --------'
//
// Open and half open differ only in whether until has passed. Each opening and each closing begins
// a round; a result is counted only in the round in which its exchange was let through, so that
// what hung before cannot open what has recovered.
type circuit struct {
	round atomic.Uint64 // even while closed: all that an exchange reads to pass

	mu        sync.Mutex // guards all below, and changes of round
	window    window
	inARow    int           // failures since the last success
	since     core.Instant  // when the round began
	born      core.Instant  // from when the slots of the window are counted
	until     core.Instant  // when probes are let through
	wait      time.Duration // how long it is open this time
	probing   int           // probes that are out
	succeeded int           // probes that succeeded in this round
	forgotten bool          // no longer among the keys

	// Links of its shard's list of keys, guarded by the shard's lock.
	key        string
	prev, next *circuit
}

func newCircuit(key string) *circuit {
	return &circuit{key: key, born: core.Now(), since: math.MinInt64}
}

// change is what a result did to a circuit.
type change uint8

const (
	unchanged change = iota
	opened
	reopened
	closed
)

func isClosed(round uint64) bool { return round&1 == 0 }

// admit lets an exchange through, as a probe if the round is odd, or says how long to wait.
func (c *circuit) admit(r *rules) (round uint64, wait time.Duration, ok bool) {
	if round := c.round.Load(); isClosed(round) {
		return round, 0, true
	}
	return c.admitProbe(r, core.Now())
}

func (c *circuit) admitProbe(r *rules, now core.Instant) (round uint64, wait time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	round = c.round.Load()
	if isClosed(round) {
		return round, 0, true
	}
	if left := c.until.Sub(now); left > 0 {
		return 0, left, false
	}
	if c.probing >= r.probes {
		return 0, time.Second, false
	}
	c.probing++
	return round, 0, true
}

// roundOf returns the round of an exchange that began at start without asking admit, false when
// its result must not count.
func (c *circuit) roundOf(start core.Instant) (uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	round := c.round.Load()
	return round, isClosed(round) && start >= c.since
}

// release takes a probe back that came to no result.
func (c *circuit) release(round uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.round.Load() == round {
		c.probing--
	}
}

// head counts a result that was there with the response head. A success ends the row of failures
// only when it is complete.
func (c *circuit) head(r *rules, round uint64, got counts, complete bool, now core.Instant) change {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.round.Load() != round || c.forgotten {
		return unchanged
	}
	if !isClosed(round) {
		c.probing--
		return c.probed(r, got.failed+got.slow == 0, now)
	}
	c.window.moveTo(int64(now-c.born) / r.slot)
	c.window.add(got)
	switch {
	case got.failed > 0:
		c.inARow++
	case complete:
		c.inARow = 0
	}
	return c.judge(r, now)
}

// brokeOff counts a response whose head was a success and whose body was not.
func (c *circuit) brokeOff(r *rules, round uint64, now core.Instant) change {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.round.Load() != round || c.forgotten || !isClosed(round) {
		return unchanged
	}
	c.inARow++
	c.window.moveTo(int64(now-c.born) / r.slot)
	if c.window.sum.failed < c.window.sum.all { // its head may have left the window
		c.window.add(counts{failed: 1})
	}
	return c.judge(r, now)
}

// endRow notes that a response was complete.
func (c *circuit) endRow(round uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.round.Load() == round {
		c.inARow = 0
	}
}

// judge opens the circuit when a rule says so. The caller holds mu.
func (c *circuit) judge(r *rules, now core.Instant) change {
	sum := c.window.sum
	full := sum.all >= r.of
	switch {
	case r.consecutive > 0 && c.inARow >= r.consecutive:
	case full && r.failures > 0 && float64(sum.failed) >= r.failures*float64(sum.all):
	case full && r.slowOver > 0 && float64(sum.slow) >= r.slowShare*float64(sum.all):
	default:
		return unchanged
	}
	c.begin(1, now)
	c.wait = r.open
	c.until = now.Add(c.wait)
	return opened
}

// probed counts a probe's result. The caller holds mu.
func (c *circuit) probed(r *rules, ok bool, now core.Instant) change {
	if !ok {
		c.begin(2, now)
		c.wait = min(2*c.wait, r.openMax)
		c.until = now.Add(c.wait)
		return reopened
	}
	if c.succeeded++; c.succeeded < r.successes {
		return unchanged
	}
	c.begin(1, now)
	return closed
}

// begin starts another round. The caller holds mu.
func (c *circuit) begin(step uint64, now core.Instant) {
	c.round.Add(step)
	c.since = now
	c.inARow, c.probing, c.succeeded = 0, 0, 0
	c.window.reset()
}

// forget makes results of exchanges that are still out count for nothing. It returns whether the
// circuit was open.
func (c *circuit) forget() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten = true
	return !isClosed(c.round.Load())
}
