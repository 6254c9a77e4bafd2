package upstream

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/core"
)

// peakEWMA is an endpoint's latency, as Finagle's peak EWMA has it: a slower answer counts at once
// and in full, a faster one moves the average, and what nobody has asked for is forgotten, so that
// a slow endpoint is tried again. It is one word: latency in nanoseconds as a 32-bit float, and
// when it was seen, in milliseconds.
type peakEWMA struct{ word atomic.Uint64 }

func (c *peakEWMA) load() (cost float64, at uint32) {
	w := c.word.Load()
	return float64(math.Float32frombits(uint32(w >> 32))), uint32(w)
}

func millis(now core.Instant) uint32 { return uint32(now / core.Instant(time.Millisecond)) }

// left is the share of an old value that is left after the time from at to now.
func left(at, now uint32, decay time.Duration) float64 {
	ms := int32(now - at) // right also when the counter has wrapped, every 49 days
	if ms <= 0 {
		return 1
	}
	return math.Exp(-float64(ms) * float64(time.Millisecond) / float64(decay))
}

// leastCost is the cost below which nothing is known of an endpoint any more.
const leastCost = float64(time.Microsecond)

// value returns the cost now in nanoseconds, 0 when nothing is known.
func (c *peakEWMA) value(now core.Instant, decay time.Duration) float64 {
	cost, at := c.load()
	if cost == 0 {
		return 0
	}
	if cost *= left(at, millis(now), decay); cost < leastCost {
		return 0
	}
	return cost
}

// observe takes in a try that took so long. A failure doubles the cost, up to penalty; of a try
// that was given up it is only known that it took at least so long.
func (c *peakEWMA) observe(now core.Instant, took time.Duration, v verdict, decay, penalty time.Duration) {
	ms := millis(now)
	for {
		word := c.word.Load()
		cost, at := c.load()
		next := max(float64(took), leastCost)
		switch {
		case v == failed && cost == 0:
			next = max(next, float64(penalty))
		case v == failed:
			next = max(next, min(2*cost, max(cost, float64(penalty))))
		case v == unknown && next < cost:
			return
		case next < cost:
			w := left(at, ms, decay)
			next = cost*w + next*(1-w)
		}
		if c.word.CompareAndSwap(word, uint64(math.Float32bits(float32(next)))<<32|uint64(ms)) {
			return
		}
	}
}
